"""From a request's headers to its caller."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import Refused
from engine.iam import signature
from engine.iam.callers import Caller, bearer, holder

if TYPE_CHECKING:
    from engine.iam.live import LiveDirectory
    from engine.iam.signature import Authorization, GetAll, SignedRequest
    from engine.iam.snapshot import Snapshot
    from engine.iam.temporary import TemporaryKey, TemporaryKeys
    from engine.iam.tokens import Tokens
    from engine.ports import Clock


class Claim(NamedTuple):
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

    def __init__(
        self, directory: LiveDirectory, tokens: Tokens, temporary: TemporaryKeys, clock: Clock
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._temporary = temporary
        self._clock = clock

    async def admit(self, headers: GetAll) -> tuple[Caller, Claim | None]:
        """Raises `Refused` APIGW.0301, and `StoreError`."""
        tokens = headers("x-auth-token")
        if tokens:
            caller = await self.by_token(tokens[0])
            if caller is None:
                raise Refused("APIGW.0301", "decrypt token fail")
            return caller, None
        given = headers("authorization")
        if not given:
            raise Refused("APIGW.0301", "x-auth-token not found")
        if len(given) > 1:
            raise Refused("APIGW.0301", f"{signature.FAILED}, more than one Authorization header")
        authorization = signature.parse_authorization(given[0])
        date = signature.check_date(headers, self._clock.now_ms())
        proofs = headers("x-security-token")
        caller, secret = await self._by_key(
            authorization.access_key, proofs[0] if len(proofs) == 1 else None
        )
        return caller, Claim(authorization, secret, date)

    async def by_token(self, text: str) -> Caller | None:
        """Who a token stands for now. Raises `StoreError`."""
        token = await self._tokens.find(text)
        return None if token is None else bearer(await self._directory.snapshot(), token)

    async def by_secret(
        self, access_key: str, secret_key: str, security_token: str | None
    ) -> Caller | None:
        """Who holds a key and its secret. Raises `StoreError`."""
        try:
            caller, secret = await self._by_key(access_key, security_token)
        except Refused:
            return None
        given = secret_key.encode("utf-8", "surrogatepass")
        return caller if hmac.compare_digest(given, secret) else None

    async def _by_key(self, access_key: str, security_token: str | None) -> tuple[Caller, bytes]:
        snapshot = await self._directory.snapshot()
        temporary = await self._temporary.find(access_key)
        if temporary is not None:
            return self._by_temporary(temporary, snapshot, security_token)
        key = snapshot.keys.get(access_key)
        if key is None:
            snapshot = await self._directory.newest()
            key = snapshot.keys.get(access_key)
        if key is None:
            raise Refused("APIGW.0301", "Get secretKey failed")
        caller = holder(snapshot, access_key)
        if caller is None:
            raise Refused("APIGW.0301", "Unauthorized")
        return caller, self._directory.secret(key)

    @staticmethod
    def _by_temporary(
        key: TemporaryKey, snapshot: Snapshot, security_token: str | None
    ) -> tuple[Caller, bytes]:
        caller = key.caller(snapshot)
        if caller is None:
            raise Refused("APIGW.0301", "Unauthorized")
        # The token travels beside the signature, and clients differ in whether they sign it.
        if security_token is None or not key.proven(security_token):
            raise Refused("APIGW.0301", "the security token is missing or wrong")
        return caller, key.secret.encode()
