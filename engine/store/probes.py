"""Results of probes, kept for a day: what has been found, or nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.policy.detection import Finding

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

_KEPT_S: Final = 86_400
_PENDING: Final = b"-"


class Probes:
    """Begins, reports and reads probes by topic and task."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def begin(self, topic_id: str, task_id: str) -> None:
        """Note that one is under way."""
        key = self._keys.detection(topic_id, task_id)
        await self._store.call("SET", key, _PENDING, "EX", _KEPT_S, repeatable=True)

    async def forget(self, topic_id: str, task_id: str) -> None:
        """It was not accepted after all."""
        await self._store.call("DEL", self._keys.detection(topic_id, task_id), repeatable=True)

    async def report(self, topic_id: str, task_id: str, finding: str) -> None:
        """Keep what was found, encoded; not for one that nobody began."""
        key = self._keys.detection(topic_id, task_id)
        await self._store.call("SET", key, finding, "XX", "EX", _KEPT_S, repeatable=True)

    async def read(self, topic_id: str, task_id: str) -> tuple[bool, Finding | None]:
        """Whether the probe is known, and what it has found so far."""
        key = self._keys.detection(topic_id, task_id)
        found = await self._store.call("GET", key, repeatable=True)
        if found is None or found == _PENDING:
            return found is not None, None
        return True, Finding.decode(found)
