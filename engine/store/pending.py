"""Index changes on their way from a shard to a project's index: a transactional outbox.

A note is ``+:project:created_ms`` or ``-:project`` for a topic (field ``t:ID``) and the same
with ``:topic_id`` after it for a subscription (field ``s:ID``). Applying one twice does nothing
new; a note is struck off only if it still says what was applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_STRIKE = script(__file__, "pending_strike")
_SWEEP = 512


class Pending:
    """Applies notes to the project indexes."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def apply(self, shard: int, field: str, note: str) -> None:
        """Apply one note and strike it off."""
        await self.apply_many(shard, [(field, note)])

    async def apply_many(self, shard: int, notes: Sequence[tuple[str, str]]) -> None:
        """Apply notes of one shard in order and strike them off."""
        by_index: dict[str, list[tuple[str, ...]]] = {}
        for field, note in notes:
            index, command = self._command(field, note)
            by_index.setdefault(index, []).append(command)
        for index, commands in by_index.items():
            await self._store.call_many(commands, key=index, repeatable=True)
        flat = [part for note in notes for part in note]
        await self._store.run(_STRIKE, (self._keys.pending(shard),), flat)

    async def sweep(self, shard: int) -> int:
        """Apply what others left behind; returns how many notes that were."""
        _, flat = await self._store.call(
            "HSCAN", self._keys.pending(shard), 0, "COUNT", _SWEEP, repeatable=True
        )
        notes = [(flat[i].decode(), flat[i + 1].decode()) for i in range(0, len(flat), 2)]
        if notes:
            await self.apply_many(shard, notes)
        return len(notes)

    def _command(self, field: str, note: str) -> tuple[str, tuple[str, ...]]:
        kind, identifier = field.split(":", 1)
        parts = note.split(":")
        if kind == "t":
            index, member = self._keys.project_topics(parts[1]), identifier
        else:
            index, member = self._keys.project_subscriptions(parts[1]), parts[3] + identifier
        if parts[0] == "+":
            return index, ("ZADD", index, parts[2], member)
        return index, ("ZREM", index, member)
