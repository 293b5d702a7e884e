"""The outbox: a capped stream of what stubs and unconfigured relays would have sent.

    stream   at most ``limit`` entries, the oldest go first; one field ``e``, JSON

One stream for all workers and protocols; it is a window for people and tests to look through,
not a queue: nothing consumes it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.store.streams import entries

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

_START: Final = "0"
# How much is read from the stream at once, whatever the caller asked for.
_CHUNK: Final = 500
# How long one blocking read waits; long, because an idle reader should cost nothing.
_BLOCK_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One would-be message. ``id`` orders entries and says where to read on."""

    id: str
    at_ms: int
    protocol: str
    endpoint: str
    fields: Mapping[str, Any]


class StoreOutbox:
    """Keeps the newest ``limit`` entries in Redis; an implementation of the ``Outbox`` port."""

    def __init__(self, store: Store, keys: Keys, limit: int) -> None:
        self._store = store
        self._key = keys.outbox()
        self._limit = limit

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        """Append; raises `StoreError`, after which the entry may or may not be there."""
        entry = json.dumps([protocol, endpoint, fields], ensure_ascii=False)
        await self._store.call("XADD", self._key, "MAXLEN", self._limit, "*", "e", entry)

    async def read(
        self, after: str = _START, protocol: str | None = None, count: int = 100
    ) -> list[OutboxEntry]:
        """The oldest ``count`` entries behind the id ``after``, of one protocol if given."""
        found: list[OutboxEntry] = []
        while len(found) < count:
            chunk = await self._store.call(
                "XRANGE", self._key, f"({after}", "+", "COUNT", _CHUNK, repeatable=True
            )
            entries = [_unpack(raw) for raw in chunk]
            found += (entry for entry in entries if protocol in {None, entry.protocol})
            if len(entries) < _CHUNK:
                break
            after = entries[-1].id
        return found[:count]

    async def last(self, protocol: str | None = None, count: int = 1) -> list[OutboxEntry]:
        """The newest ``count`` entries, oldest of them first, of one protocol if given."""
        found: list[OutboxEntry] = []
        before = "+"
        while len(found) < count:
            chunk = await self._store.call(
                "XREVRANGE", self._key, before, "-", "COUNT", _CHUNK, repeatable=True
            )
            entries = [_unpack(raw) for raw in chunk]
            found += (entry for entry in entries if protocol in {None, entry.protocol})
            if len(entries) < _CHUNK:
                break
            before = f"({entries[-1].id}"
        return found[:count][::-1]

    async def follow(
        self, after: str | None = None, protocol: str | None = None
    ) -> AsyncGenerator[OutboxEntry, None]:
        """Entries as they come, behind the id ``after`` (default: the newest one now).

        Ends only with its caller; raises `StoreUnavailable` when the connection breaks: go on
        with another call from the last id.
        """
        if after is None:
            newest = await self.last()
            after = newest[0].id if newest else _START
        reader = self._store.reader(self._key)
        try:
            while True:
                reply = await reader.call(
                    "XREAD", "COUNT", _CHUNK, "BLOCK", _BLOCK_MS, "STREAMS", self._key, after
                )
                for raw in entries(reply):
                    entry = _unpack(raw)
                    after = entry.id
                    if protocol in {None, entry.protocol}:
                        yield entry
        finally:
            await reader.close()


def _unpack(raw: Any) -> OutboxEntry:
    identifier = raw[0].decode()
    protocol, endpoint, fields = json.loads(raw[1][1])
    return OutboxEntry(identifier, int(identifier.partition("-")[0]), protocol, endpoint, fields)
