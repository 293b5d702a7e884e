"""Verification codes: what confirms a subscription that was sent a code in place of a link.

Kept as a keyed hash, one a subscription: a new code replaces the one before.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.models import Subscription
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault


class Codes:
    """Remembers and compares codes."""

    def __init__(self, store: Store, keys: Keys, vault: Vault) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault

    async def put(self, subscription: Subscription, code: str, *, life_ms: int) -> None:
        """Remember the code for that long."""
        name = self._keys.code(subscription.topic_id, subscription.id)
        digest = self._digest(subscription, code)
        await self._store.call("SET", name, digest, "PX", life_ms, repeatable=True)

    async def matches(self, subscription: Subscription, code: str) -> bool:
        """Whether it is the one; the time it takes tells nothing about it."""
        name = self._keys.code(subscription.topic_id, subscription.id)
        known = await self._store.call("GET", name, repeatable=True)
        return hmac.compare_digest(known or b"", self._digest(subscription, code).encode())

    async def drop(self, subscription: Subscription) -> None:
        """Forget the code: it is good for one confirmation."""
        name = self._keys.code(subscription.topic_id, subscription.id)
        await self._store.call("DEL", name, repeatable=True)

    def _digest(self, subscription: Subscription, code: str) -> str:
        return self._vault.keyed_hash(f"{subscription.id}\n{code}", "code")
