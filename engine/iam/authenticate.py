"""From a request's headers to its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Refused
from engine.iam import signature
from engine.iam.tokens import Scope, Token, Tokens

if TYPE_CHECKING:
    from engine.iam.signature import Authorization, GetAll, SignedRequest
    from engine.ports import Clock
    from engine.store.accounts import Account, Accounts


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; ``token`` is None for a signed request."""

    account: Account
    token: Token | None = None

    @property
    def project_id(self) -> str:
        """The project that the caller may act in, empty if the token has none."""
        if self.token is not None and self.token.scope is not Scope.PROJECT:
            return ""
        return self.account.project_id


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature whose key is known and whose date is near; the body decides the rest."""

    authorization: Authorization
    secret: bytes
    date: str

    def check(self, request: SignedRequest) -> None:
        """Raise `Refused` APIGW.0301 unless the signature is right."""
        signature.verify(self.authorization, self.secret, self.date, request)


class Authenticator:
    """Finds the caller by token or signature.

    In two steps, so that a body is read only for a caller that may be one: `admit` before,
    ``Claim.check`` after it.
    """

    def __init__(self, accounts: Accounts, tokens: Tokens, clock: Clock) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock

    async def admit(self, headers: GetAll) -> tuple[Caller, Claim | None]:
        """Raises `Refused` APIGW.0301, and `StoreError`."""
        tokens = headers("x-auth-token")
        if tokens:
            return await self._by_token(tokens[0]), None
        given = headers("authorization")
        if not given:
            raise Refused("APIGW.0301", "x-auth-token not found")
        if len(given) > 1:
            raise Refused("APIGW.0301", f"{signature.FAILED}, more than one Authorization header")
        authorization = signature.parse_authorization(given[0])
        date = signature.check_date(headers, self._clock.now_ms())
        account = await self._accounts.by_access_key(authorization.access_key)
        if account is None:
            raise Refused("APIGW.0301", "Get secretKey failed")
        return Caller(account), Claim(authorization, account.secret_key.encode(), date)

    async def _by_token(self, text: str) -> Caller:
        token = await self._tokens.find(text)
        account = await self._accounts.by_user_id(token.user_id) if token else None
        if account is None:
            raise Refused("APIGW.0301", "decrypt token fail")
        return Caller(account, token)
