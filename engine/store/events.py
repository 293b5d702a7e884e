"""Events: what happened to the service that an operator may want to know later.

A capped stream. ``endpoint.blacklisted`` has the members ``topic_id``, ``endpoint`` and
``recovery_time`` (ms), as the event ``HttpAddressIsBlacklisted`` of SMN's event monitoring.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.store.connection import Store
    from engine.store.keys import Keys

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: a dotted name, when, and its members."""

    name: str
    at_ms: int
    fields: Mapping[str, object]


class Events:
    """Records and reads events."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._key = keys.events()

    async def record(self, name: str, **fields: object) -> None:
        """Keep one event; a lost answer may keep it twice."""
        await self._store.call(
            "XADD", self._key, "MAXLEN", "~", _KEPT, "*", "name", name, "fields", json.dumps(fields)
        )

    async def read(self, *, since_ms: int = 0, limit: int = 1000) -> list[Event]:
        """Events since a time, oldest first."""
        entries = await self._store.call(
            "XRANGE", self._key, since_ms, "+", "COUNT", limit, repeatable=True
        )
        return [
            Event(values[1].decode(), int(entry_id.split(b"-")[0]), json.loads(values[3]))
            for entry_id, values in entries
        ]
