"""The delivery log: one packed entry a flush, in the topic's shard, bounded in bytes and age.

An entry's header is ``[topic id, message id, protocol, created_ms]``; its lines are
``[subscription id, endpoint, end, code, at_ms, took_ms, reason, tries]``, where ``end`` is empty
for an attempt that was followed by another. Reading puts the attempts of a delivery beside its
final line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.models import Attempt, End, LogLine, Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.store.connection import Store
    from engine.store.keys import Keys

_CHUNK = 200
_OPEN_ATTEMPTS = 100_000


class DeliveryLog:
    """Reads the log of a topic."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(
        self, topic: Topic, *, since_ms: int = 0, message_id: str | None = None
    ) -> AsyncIterator[LogLine]:
        """Ended deliveries of a topic, oldest first."""
        attempts: dict[tuple[str, str, str], list[Attempt]] = {}
        async for header, lines in self._entries(topic.id, since_ms):
            _, message, protocol, created_ms = header
            if message_id is not None and message != message_id:
                continue
            for line in lines:
                subscription, endpoint, end, code, at_ms, took_ms, reason, _ = line
                delivery = message, protocol, subscription
                attempt = Attempt(at_ms, took_ms, code, reason)
                if not end:
                    if len(attempts) < _OPEN_ATTEMPTS:
                        attempts.setdefault(delivery, []).append(attempt)
                    continue
                yield LogLine(
                    message_id=message,
                    project_id=topic.project_id,
                    topic_urn=topic.urn,
                    subscriber_urn=f"{topic.urn}:{subscription}",
                    protocol_name=protocol,
                    endpoint=endpoint,
                    status=str(End(end).log_status),
                    http_code=code,
                    create_ms=created_ms,
                    send_ms=at_ms,
                    attempts=(*attempts.pop(delivery, ()), attempt),
                    reason=reason,
                )

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
        self, topic_id: str, since_ms: int
    ) -> AsyncIterator[tuple[list[Any], list[list[Any]]]]:
        key = self._keys.log(self._keys.shard_of_topic(topic_id))
        cursor = f"{since_ms}-0"
        wanted = f'["{topic_id}"'.encode()
        while True:
            entries = await self._store.call(
                "XRANGE", key, cursor, "+", "COUNT", _CHUNK, repeatable=True
            )
            for _, fields in entries:
                if fields[1].startswith(wanted):
                    yield json.loads(fields[1]), json.loads(fields[3])
            if len(entries) < _CHUNK:
                return
            cursor = f"({entries[-1][0].decode()}"
