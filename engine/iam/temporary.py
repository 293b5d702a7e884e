"""Temporary access keys: a key, its secret and a security token, valid together for a while.

Source: IAM "Obtaining a Temporary Access Key and Security Token".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

from engine.iam.callers import Caller, bearer
from engine.iam.recent import Recent
from engine.iam.tokens import Token

if TYPE_CHECKING:
    from engine.iam.snapshot import Snapshot
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault

MIN_SECONDS: Final = 15 * 60
MAX_SECONDS: Final = 24 * 3600
_PREFIX: Final = "HST"
"""Temporary keys begin with it, so that any other unknown key costs no look-up."""
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MAX_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """A key that stands for what a token stood for; ``proof`` is its security token's hash."""

    access: str
    secret: str = field(repr=False)
    proof: str
    token: Token

    def proven(self, security_token: str) -> bool:
        """Whether this is the security token that belongs to the key."""
        return hmac.compare_digest(_digest(security_token), self.proof)

    def caller(self, snapshot: Snapshot) -> Caller | None:
        """Who holds it; None once what it rests on has ended."""
        found = bearer(snapshot, self.token)
        if found is None:
            return None
        project = found.project or snapshot.default_project(found.domain.id)
        return replace(
            found,
            project=project,
            token=None,
            access_key=self.access,
            until_ms=self.token.expires_ms,
        )


class TemporaryKeys:
    """Makes and finds temporary keys; Redis lets go of them when they expire."""

    def __init__(self, store: Store, keys: Keys, vault: Vault) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._recent = Recent(self._read)

    async def issue(self, token: Token) -> tuple[TemporaryKey, str]:
        """A key that lives as long as ``token`` says, and its security token."""
        access, secret = _PREFIX + _letters(17), _letters(40)
        security_token = secrets.token_urlsafe(96)
        made = TemporaryKey(access, secret, _digest(security_token), token)
        stored = asdict(made) | {"secret": self._vault.encrypt(secret, f"tempkey:{access}")}
        life_ms = max(1, token.expires_ms - self._store.clock.now_ms())
        await self._store.call(
            "SET", self._keys.temporary_key(access), json.dumps(stored), "PX", life_ms
        )
        return made, security_token

    async def find(self, access_key: str) -> TemporaryKey | None:
        """None for an unknown or expired one. Raises `StoreError`."""
        if not access_key.startswith(_PREFIX) or len(access_key) > _MAX_KEY:
            return None
        found = await self._recent.get(access_key)
        if found is None or found.token.expires_ms <= self._store.clock.now_ms():
            return None
        return found

    async def _read(self, access_key: str) -> TemporaryKey | None:
        key = self._keys.temporary_key(access_key)
        stored = await self._store.call("GET", key, repeatable=True)
        if stored is None:
            return None
        fields = json.loads(stored)
        secret = self._vault.decrypt(fields["secret"], f"tempkey:{access_key}")
        return TemporaryKey(access_key, secret, fields["proof"], Token.read(fields["token"]))


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
