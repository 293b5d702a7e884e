"""Tokens: opaque, kept only as hashes, valid in every process, gone after 24 hours."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.iam.recent import Recent

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

LIFE_MS: Final = 24 * 3600 * 1000
_BYTES: Final = 32
_MAX_CHARACTERS: Final = 512


class Scope(StrEnum):
    """What a token is good for."""

    PROJECT = "project"
    DOMAIN = "domain"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for; times in milliseconds since the epoch."""

    user_id: str
    scope: Scope
    methods: tuple[str, ...]
    issued_ms: int
    expires_ms: int


class Tokens:
    """Issues, finds and revokes tokens."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._recent = Recent(self._read)

    async def issue(
        self, user_id: str, scope: Scope, methods: tuple[str, ...]
    ) -> tuple[str, Token]:
        """A fresh token and what it stands for. Raises `StoreError`."""
        now_ms = self._store.clock.now_ms()
        token = Token(user_id, scope, methods, now_ms, now_ms + LIFE_MS)
        text = secrets.token_urlsafe(_BYTES)
        await self._store.call(
            "SET", self._keys.token(_digest(text)), json.dumps(asdict(token)), "PX", LIFE_MS
        )
        return text, token

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
        self._recent.forget(digest)
        await self._store.call("DEL", self._keys.token(digest), repeatable=True)

    async def _read(self, digest: str) -> Token | None:
        stored = await self._store.call("GET", self._keys.token(digest), repeatable=True)
        if stored is None:
            return None
        fields = json.loads(stored)
        return Token(
            fields["user_id"],
            Scope(fields["scope"]),
            tuple(fields["methods"]),
            fields["issued_ms"],
            fields["expires_ms"],
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
