"""Logging in: passwords, passcodes and secret keys, and the bound on how often one may guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.iam.identities import State, User
from engine.iam.passcodes import step_of
from engine.models import Window

if TYPE_CHECKING:
    from engine.iam.authenticate import Authenticator
    from engine.iam.callers import Caller
    from engine.iam.live import LiveDirectory
    from engine.iam.passcodes import Passcodes
    from engine.iam.passwords import Passwords
    from engine.iam.snapshot import Snapshot
    from engine.ports import Clock
    from engine.store.limiter import Limiter

# IAM "Account Lockout": 5 failed log-ins within 15 minutes lock a user for 15 minutes. Behind
# one address there may be many users.
_USER: Final = (Window(count=4, period_s=900, penalty_s=900),)
_SOURCE: Final = (Window(count=29, period_s=900, penalty_s=900),)
_MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Named:
    """A user as a request names it: by id, or by name and account."""

    id: str | None
    name: str | None
    domain_id: str | None = None
    domain_name: str | None = None

    def find(self, snapshot: Snapshot) -> User | None:
        """The user, if there is one."""
        if self.id is not None:
            return snapshot.users.get(self.id)
        domain_id = self.domain_id
        if domain_id is None:
            domain = snapshot.domain_named(self.domain_name)
            domain_id = domain.id if domain else ""
        return snapshot.user_named(domain_id, self.name)


@dataclass(frozen=True, slots=True)
class Passcode:
    """A passcode, and whose it is said to be."""

    user: Named
    text: str


class Login:
    """Checks who somebody claims to be; only failures count against the bounds."""

    def __init__(
        self,
        directory: LiveDirectory,
        authenticator: Authenticator,
        passwords: Passwords,
        passcodes: Passcodes,
        limiter: Limiter,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._authenticator = authenticator
        self._passwords = passwords
        self._passcodes = passcodes
        self._limiter = limiter
        self._clock = clock

    async def by_password(
        self, named: Named, password: str, passcode: Passcode | None, source: str
    ) -> User | None:
        """The user, None if there is no such user, password, passcode or account.

        A passcode is right for a user who needs one, once; for others it is wrong.

        Raises `Refused` APIGW.0308 with 403 when there were too many failures, for a name that
        nobody has as well, and with 429 when too many log in at a time.
        """
        snapshot = await self._directory.snapshot()
        user = named.find(snapshot)
        if user is None:
            snapshot = await self._directory.newest()
            user = named.find(snapshot)
        account = named.domain_id or named.domain_name
        claimed = user.id if user else _claim(named.id or "", named.name, account)
        await self._check(claimed, source)
        known = user.password_hash if user is not None else None
        right = await self._passwords.check(password, known)
        step = self._step(snapshot, user, passcode) if user is not None else None
        # Without the passcode nobody learns that a password is right.
        if not right or user is None or step is None:
            await self._count(claimed, source)
            return None
        # Guesses that ran beside this one have been counted by now.
        await self._check(claimed, source)
        domain = snapshot.domains.get(user.domain_id)
        if not user.enabled or domain is None or domain.state == State.DISABLED:
            return None
        if step and not await self._passcodes.spend(user.id, step):
            await self._count(claimed, source)
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

    def _step(self, snapshot: Snapshot, user: User, passcode: Passcode | None) -> int | None:
        """The step of a right passcode; 0 if none is needed or given, None if it is not right."""
        secret = self._directory.passcode_secret(user)
        if passcode is None:
            return None if secret else 0
        if not secret or passcode.user.find(snapshot) != user:
            return None
        return step_of(secret, passcode.text, self._clock.now_ms())

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


def _claim(*parts: str | None) -> str:
    return "\n".join((part or "")[:_MAX_NAME] for part in parts)
