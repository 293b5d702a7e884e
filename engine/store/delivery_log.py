"""The delivery log: one packed entry a flush, in the topic's shard, bounded in bytes and age.

An entry's header is ``[topic id, message id, protocol, kind, created_ms]``; its lines are
``[subscription id, endpoint, end, code, at_ms, took_ms, reason, tries]``, where ``end`` is empty
for an attempt that was followed by another, and ``took_ms`` is `NOTHING_SENT` for an end without
an attempt. Reading puts the attempts of a delivery beside its final line.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from engine.models import NOTHING_SENT, Attempt, End, LogLine, Topic
from engine.store.streams import entries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_CHUNK: Final = 200
_BLOCK_MS: Final = 5_000
_OPEN_ATTEMPTS: Final = 100_000
_SPOT: Final = re.compile(r"(\d{13})(\d{3})(\d{5})(\d{4})", re.ASCII)


class Spot(NamedTuple):
    """Where a line stands in the log: it orders the lines of all topics by time.

    As text it has always the same number of digits, so that texts are in the same order.
    """

    at_ms: int
    shard: int
    number: int
    place: int

    def __str__(self) -> str:
        return f"{self.at_ms:013d}{self.shard:03d}{self.number:05d}{self.place:04d}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The inverse of ``str()``; None for anything else."""
        found = _SPOT.fullmatch(text)
        return cls(*map(int, found.groups())) if found else None


class Stretch(NamedTuple):
    """A part of the log: both times belong to it, ``beyond`` does not, nor what is before it.

    What is before depends on ``newest_first``.
    """

    first_ms: int
    last_ms: int
    newest_first: bool = False
    beyond: Spot | None = None

    def bounds(self) -> tuple[str, str]:
        """The first and last entry id that can hold lines of it, in ascending order."""
        first, last = self.first_ms, self.last_ms
        if self.beyond is not None and self.newest_first:
            last = min(last, self.beyond.at_ms)
        elif self.beyond is not None:
            first = max(first, self.beyond.at_ms)
        return str(first), str(last)

    def has(self, spot: Spot) -> bool:
        """Whether a line within its times belongs to it."""
        if self.beyond is None:
            return True
        return spot < self.beyond if self.newest_first else spot > self.beyond


@dataclass(slots=True)
class Reading:
    """How much a query may still read, in lines and in entries of others that it passes over.

    ``cut`` says that it ended before the log did.
    """

    left: int
    cut: bool = False


class DeliveryLog:
    """Reads the log of a topic."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(
        self, topic: Topic, *, since_ms: int = 0, message_id: str | None = None
    ) -> AsyncIterator[LogLine]:
        """Ended deliveries of a topic, oldest first."""
        shard, lines = self._keys.shard_of_topic(topic.id), _Lines({topic.id: topic})
        async for _, fields in self._entries(shard, f"{since_ms}-0", "+"):
            for _, line in lines.of(fields):
                if message_id in {None, line.message_id}:
                    yield line

    async def follow(self, topic: Topic, since_ms: int) -> AsyncGenerator[LogLine, None]:
        """Ended deliveries of a topic since a time, and on as they come.

        Ends only with its caller; raises `StoreUnavailable` when the connection breaks.
        """
        key = self._keys.log(self._keys.shard_of_topic(topic.id))
        after, lines = f"{max(since_ms - 1, 0)}-{(1 << 64) - 1}", _Lines({topic.id: topic})
        reader = self._store.reader(key)
        try:
            while True:
                reply = await reader.call(
                    "XREAD", "COUNT", _CHUNK, "BLOCK", _BLOCK_MS, "STREAMS", key, after
                )
                for entry_id, fields in entries(reply):
                    after = entry_id.decode()
                    for _, line in lines.of(fields):
                        yield line
        finally:
            await reader.close()

    async def lines(
        self, topics: Sequence[Topic], stretch: Stretch, reading: Reading
    ) -> AsyncIterator[tuple[Spot, LogLine]]:
        """Ended deliveries of topics in the order of their recording, without their attempts.

        As many as may be read: what follows is left out, and nothing before it.
        """
        by_shard: dict[int, dict[str, Topic]] = {}
        for topic in topics:
            by_shard.setdefault(self._keys.shard_of_topic(topic.id), {})[topic.id] = topic
        sources = [
            self._of_shard(shard, known, stretch, reading) for shard, known in by_shard.items()
        ]
        sign = -1 if stretch.newest_first else 1
        heads: list[tuple[tuple[int, ...], int, Spot, LogLine]] = []

        async def take(number: int) -> None:
            found = await anext(sources[number], None)
            if found is not None:
                order = tuple(sign * part for part in found[0])
                heapq.heappush(heads, (order, number, *found))

        for number in range(len(sources)):
            await take(number)
        while heads and not reading.cut:
            _, number, spot, line = heapq.heappop(heads)
            yield spot, line
            await take(number)

    async def _of_shard(
        self, shard: int, topics: Mapping[str, Topic], stretch: Stretch, reading: Reading
    ) -> AsyncIterator[tuple[Spot, LogLine]]:
        lines = _Lines(topics, attempts=False)
        newest_first = stretch.newest_first
        part = self._entries(shard, *stretch.bounds(), newest_first=newest_first)
        async for entry_id, fields in part:
            if reading.left <= 0:
                reading.cut = True
                return
            at_ms, _, number = entry_id.decode().partition("-")
            found = [
                (Spot(int(at_ms), shard, int(number), place), line)
                for place, line in lines.of(fields)
            ]
            reading.left -= 1 + len(found)
            # An entry may hold hundreds of lines: the other requests go in between.
            await asyncio.sleep(0)
            for spot, line in reversed(found) if newest_first else found:
                if stretch.has(spot):
                    yield spot, line

    async def trim(self, shard: int, before_ms: int) -> int:
        """Remove entries older than that; returns how many."""
        key = self._keys.log(shard)
        old = await self._store.call(
            "XRANGE", key, "-", f"({before_ms}-0", "COUNT", _CHUNK, repeatable=True
        )
        removed = 0
        while old:
            size = sum(len(part) for _, fields in old for part in fields[1::2])
            gone = await self._store.call("XDEL", key, *(entry_id for entry_id, _ in old))
            if gone == len(old):
                await self._store.call("HINCRBY", self._keys.log_size(shard), "bytes", -size)
            removed += gone
            old = await self._store.call(
                "XRANGE", key, "-", f"({before_ms}-0", "COUNT", _CHUNK, repeatable=True
            )
        return removed

    async def _entries(
        self, shard: int, first: str, last: str, *, newest_first: bool = False
    ) -> AsyncIterator[tuple[bytes, list[bytes]]]:
        """Id and fields of a shard's entries between two ids."""
        key = self._keys.log(shard)
        command = ("XREVRANGE", key, last, first) if newest_first else ("XRANGE", key, first, last)
        while True:
            chunk = await self._store.call(*command, "COUNT", _CHUNK, repeatable=True)
            for entry_id, fields in chunk:
                yield entry_id, fields
            if len(chunk) < _CHUNK:
                return
            command = (*command[:2], f"({chunk[-1][0].decode()}", command[3])


class _Lines:
    """Reads the lines of some topics out of entries, and joins attempts to their ends."""

    def __init__(self, topics: Mapping[str, Topic], *, attempts: bool = True) -> None:
        self._topics = topics
        # Everything else is passed over unparsed.
        self._begins = tuple(f'["{topic_id}"'.encode() for topic_id in topics)
        self._open: dict[tuple[str, str, str], list[Attempt]] = {}
        self._most = _OPEN_ATTEMPTS if attempts else 0

    def of(self, fields: Sequence[bytes]) -> Iterator[tuple[int, LogLine]]:
        """The ended deliveries of an entry with their places in it."""
        if not fields[1].startswith(self._begins):
            return
        topic_id, message_id, protocol, kind, created_ms = json.loads(fields[1])
        topic = self._topics[topic_id]
        packed: list[list[Any]] = json.loads(fields[3])
        for place, one in enumerate(packed):
            subscription, endpoint, end, code, at_ms, took_ms, reason, _ = one
            delivery = message_id, protocol, subscription
            sent = () if took_ms == NOTHING_SENT else (Attempt(at_ms, took_ms, code, reason),)
            if not end:
                if len(self._open) < self._most:
                    self._open.setdefault(delivery, []).extend(sent)
                continue
            yield (
                place,
                LogLine(
                    message_id=message_id,
                    project_id=topic.project_id,
                    topic_urn=topic.urn,
                    subscriber_urn=f"{topic.urn}:{subscription}",
                    protocol_name=protocol,
                    endpoint=endpoint,
                    status=str(End(end).log_status),
                    http_code=code,
                    create_ms=created_ms,
                    send_ms=at_ms,
                    attempts=(*self._open.pop(delivery, ()), *sent),
                    reason=reason,
                    kind=kind,
                ),
            )
