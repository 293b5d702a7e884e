"""Logging in: passwords and secret keys, and the bound on how often one may guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.iam.identities import State, User
from engine.models import Window

if TYPE_CHECKING:
    from engine.iam.authenticate import Authenticator
    from engine.iam.callers import Caller
    from engine.iam.live import LiveDirectory
    from engine.iam.passwords import Passwords
    from engine.iam.snapshot import Snapshot
    from engine.ports import Clock
    from engine.store.limiter import Limiter

# IAM "Account Lockout": 5 failed log-ins within 15 minutes lock a user for 15 minutes. Behind
# one address there may be many users.
_USER: Final = (Window(count=4, period_s=900, penalty_s=900),)
_SOURCE: Final = (Window(count=29, period_s=900, penalty_s=900),)
_MAX_NAME: Final = 256


class Login:
    """Checks who somebody claims to be; only failures count against the bounds."""

    def __init__(
        self,
        directory: LiveDirectory,
        authenticator: Authenticator,
        passwords: Passwords,
        limiter: Limiter,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._authenticator = authenticator
        self._passwords = passwords
        self._limiter = limiter
        self._clock = clock

    async def by_password(
        self,
        password: str,
        source: str,
        *,
        user_id: str | None = None,
        name: str | None = None,
        domain_id: str | None = None,
        domain_name: str | None = None,
    ) -> User | None:
        """The user, None if there is no such user, password or account.

        Raises `Refused` APIGW.0308 with 403 when there were too many failures, for a name that
        nobody has as well, and with 429 when too many log in at a time.
        """
        snapshot = await self._directory.snapshot()
        user = _find(snapshot, user_id, name, domain_id, domain_name)
        if user is None:
            snapshot = await self._directory.newest()
            user = _find(snapshot, user_id, name, domain_id, domain_name)
        claimed = user.id if user else _claim(user_id or "", name, domain_id or domain_name)
        await self._check(claimed, source)
        known = user.password_hash if user is not None else None
        right = await self._passwords.check(password, known)
        if not right or user is None:
            await self._count(claimed, source)
            return None
        # Guesses that ran beside this one have been counted by now.
        await self._check(claimed, source)
        domain = snapshot.domains.get(user.domain_id)
        if not user.enabled or domain is None or domain.state == State.DISABLED:
            return None
        await self._limiter.clear("login:user", claimed, _USER)
        return user

    async def by_secret(
        self, access_key: str, secret_key: str, security_token: str | None, source: str
    ) -> Caller | None:
        """Who holds the key; None if nobody does. Raises as `by_password`."""
        claimed = _claim("", access_key, "key")
        await self._check(claimed, source)
        caller = await self._authenticator.by_secret(access_key, secret_key, security_token)
        if caller is None:
            await self._count(claimed, source)
        return caller

    async def _check(self, claimed: str, source: str) -> None:
        until_ms = max(
            await self._limiter.blocked("login:user", claimed, _USER),
            await self._limiter.blocked("login:source", source, _SOURCE),
        )
        if until_ms:
            _refuse(until_ms - self._clock.now_ms())

    async def _count(self, claimed: str, source: str) -> None:
        await self._limiter.take("login:user", claimed, _USER)
        await self._limiter.take("login:source", source, _SOURCE)


def _refuse(wait_ms: int) -> None:
    seconds = max(1, -(-wait_ms // 1000))
    detail = f"too many failed log-ins; try again in {seconds} seconds"
    raise Refused("APIGW.0308", detail, status=403, retry_after=seconds)


def _find(
    snapshot: Snapshot,
    user_id: str | None,
    name: str | None,
    domain_id: str | None,
    domain_name: str | None,
) -> User | None:
    if user_id is not None:
        return snapshot.users.get(user_id)
    if domain_id is None:
        domain = snapshot.domain_named(domain_name)
        domain_id = domain.id if domain else ""
    return snapshot.user_named(domain_id, name)


def _claim(*parts: str | None) -> str:
    return "\n".join((part or "")[:_MAX_NAME] for part in parts)
