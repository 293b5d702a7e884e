"""Counters in 5-minute buckets: topic × protocol × attempted, delivered, 4xx, 5xx.

Written by `settle.lua` with the outcomes they count; a bucket lives for a setting's time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

BUCKET_S: Final = 300
_CHUNK = 500


def bucket_of(at_ms: int) -> int:
    """The bucket of a time: its start in seconds since the epoch."""
    return at_ms // 1000 // BUCKET_S * BUCKET_S


class Counters:
    """Reads the counters of a topic."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(
        self, topic_id: str, *, since_ms: int, until_ms: int
    ) -> dict[int, Counter[tuple[str, str]]]:
        """Counts by (protocol, name) of each bucket that has any, by the bucket's start."""
        buckets = range(bucket_of(since_ms), bucket_of(until_ms) + 1, BUCKET_S)
        found: dict[int, Counter[tuple[str, str]]] = {}
        for first in range(0, len(buckets), _CHUNK):
            part = buckets[first : first + _CHUNK]
            replies = await self._store.call_many(
                [("HGETALL", self._keys.counts(topic_id, bucket)) for bucket in part],
                key=self._keys.topic(topic_id),
                repeatable=True,
            )
            for bucket, flat in zip(part, replies, strict=True):
                if flat:
                    found[bucket] = Counter(
                        {_field(flat[i]): int(flat[i + 1]) for i in range(0, len(flat), 2)}
                    )
        return found


def _field(name: bytes) -> tuple[str, str]:
    protocol, _, counter = name.decode().rpartition(":")
    return protocol, counter
