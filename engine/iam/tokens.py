"""Tokens: opaque, kept only as hashes, valid in every process, gone after 24 hours."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from engine.iam.recent import Recent

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

LIFE_MS: Final = 24 * 3600 * 1000
_BYTES: Final = 32
_MAX_CHARACTERS: Final = 512


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for; times in milliseconds since the epoch.

    ``user_id`` is who proved to be it, in its ``epoch``. It is good for a project, or for an
    account, or for neither; with ``agency_id`` it acts as that agency. ``only`` names the roles
    that it was restricted to.
    """

    user_id: str
    epoch: str
    methods: tuple[str, ...]
    issued_ms: int
    expires_ms: int
    project_id: str = ""
    domain_id: str = ""
    agency_id: str = ""
    only: tuple[str, ...] | None = None

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """A token as it was stored."""
        only = fields.get("only")
        return cls(
            fields["user_id"],
            fields.get("epoch", ""),
            tuple(fields["methods"]),
            fields["issued_ms"],
            fields["expires_ms"],
            fields.get("project_id", ""),
            fields.get("domain_id", ""),
            fields.get("agency_id", ""),
            None if only is None else tuple(only),
        )


class Tokens:
    """Issues, finds and revokes tokens."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._recent = Recent(self._read)

    async def issue(self, token: Token) -> str:
        """The text of a fresh token. Raises `StoreError`."""
        text = secrets.token_urlsafe(_BYTES)
        life_ms = max(1, token.expires_ms - self._store.clock.now_ms())
        await self._store.call(
            "SET", self._keys.token(_digest(text)), json.dumps(asdict(token)), "PX", life_ms
        )
        return text

    async def find(self, text: str) -> Token | None:
        """None for an unknown, expired or revoked one. Raises `StoreError`."""
        if not 0 < len(text) <= _MAX_CHARACTERS:
            return None
        token = await self._recent.get(_digest(text))
        if token is None or token.expires_ms <= self._store.clock.now_ms():
            return None
        return token

    async def revoke(self, text: str) -> None:
        """End a token at once here, within a second everywhere."""
        digest = _digest(text)
        await self._store.call("DEL", self._keys.token(digest), repeatable=True)
        # Afterwards: a request in between would remember it for another second.
        self._recent.forget(digest)

    async def _read(self, digest: str) -> Token | None:
        stored = await self._store.call("GET", self._keys.token(digest), repeatable=True)
        if stored is None:
            return None
        return Token.read(json.loads(stored))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
