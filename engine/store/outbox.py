"""The outbox: a capped stream of what stubs and unconfigured relays would have sent.

    stream   at most ``limit`` entries, the oldest go first; one field ``e``, JSON:
             [protocol, endpoint, fields], or [protocol, endpoint, sealed fields, context]

What belongs to a topic with a key is sealed with it, as the rest of its content is. One stream
for all workers and protocols; it is a window for people and tests to look through, not a queue:
nothing consumes it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.store.streams import entries

if TYPE_CHECKING:
    from engine.keyring import Keyring
    from engine.store.connection import Store
    from engine.store.keys import Keys

_START: Final = "0"
# How much is read from the stream at once, whatever the caller asked for.
_CHUNK: Final = 500
# How long one blocking read waits; long, because an idle reader should cost nothing.
_BLOCK_MS: Final = 5_000


_Conceal = Callable[[str], str]
_concealed: ContextVar[tuple[_Conceal, str] | None] = ContextVar("concealed", default=None)


@contextmanager
def concealing(conceal: _Conceal, context: str) -> Iterator[None]:
    """Seal what the code within puts into the outbox; adapters need not know of keys."""
    token = _concealed.set((conceal, context))
    try:
        yield
    finally:
        _concealed.reset(token)


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

    def __init__(self, store: Store, keys: Keys, limit: int, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._key = keys.outbox()
        self._limit = limit

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        """Append; raises `StoreError`, after which the entry may or may not be there."""
        given: list[object] = [protocol, endpoint, fields]
        if (found := _concealed.get()) is not None:
            conceal, context = found
            given[2:] = conceal(json.dumps(fields, ensure_ascii=False)), context
        entry = json.dumps(given, ensure_ascii=False)
        await self._store.call("XADD", self._key, "MAXLEN", self._limit, "*", "e", entry)

    async def read(
        self, after: str = _START, protocol: str | None = None, count: int = 100
    ) -> list[OutboxEntry]:
        """The oldest ``count`` entries behind the id ``after``, of one protocol if given."""
        await self._keyring.fresh()
        found: list[OutboxEntry] = []
        while len(found) < count:
            chunk = await self._store.call(
                "XRANGE", self._key, f"({after}", "+", "COUNT", _CHUNK, repeatable=True
            )
            entries = [self._unpack(raw) for raw in chunk]
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
            entries = [self._unpack(raw) for raw in chunk]
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
                await self._keyring.fresh()
                for raw in entries(reply):
                    entry = self._unpack(raw)
                    after = entry.id
                    if protocol in {None, entry.protocol}:
                        yield entry
        finally:
            await reader.close()

    def _unpack(self, raw: Any) -> OutboxEntry:
        identifier = raw[0].decode()
        protocol, endpoint, fields, *context = json.loads(raw[1][1])
        if context:
            fields = self._revealed(fields, context[0])
        at_ms = int(identifier.partition("-")[0])
        return OutboxEntry(identifier, at_ms, protocol, endpoint, fields)

    def _revealed(self, sealed: str, context: str) -> dict[str, Any]:
        """The fields, or just what is to say about them if they do not open."""
        text = self._keyring.reveal(sealed, context)
        try:
            fields = json.loads(text)
        except ValueError:
            return {"sealed": text}
        return fields if isinstance(fields, dict) else {"sealed": text}
