"""What goes with time: dead letters, the log, and everything of a deleted topic.

Every step may run in several workers at once, stop anywhere and be started again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.dead_letters import DeadLetters
    from engine.store.delivery_log import DeliveryLog
    from engine.store.keys import Keys
    from engine.store.pending import Pending

log = logging.getLogger(__name__)

_CHUNK = 512
_FORGET_PARKED_MS = 3_600_000


class Retention:
    """Removes what has had its time."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        settings: Settings,
        clock: Clock,
        dead: DeadLetters,
        delivery_log: DeliveryLog,
        pending: Pending,
    ) -> None:
        self._store = store
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._dead = dead
        self._log = delivery_log
        self._pending = pending

    async def tidy(self, shard: int, *, has_dead: bool) -> None:
        """Apply the retention settings to one shard."""
        now_ms = self._clock.now_ms()
        await self._log.trim(shard, now_ms - self._settings.log_seconds * 1000)
        # Parked endpoints that nobody wanted to reach for an hour start afresh.
        await self._store.call(
            "ZREMRANGEBYSCORE",
            self._keys.parked(shard),
            "-inf",
            now_ms - _FORGET_PARKED_MS,
            repeatable=True,
        )
        if not has_dead:
            return
        oldest_ms = now_ms - self._settings.dead_seconds * 1000
        members = await self._store.call("SMEMBERS", self._keys.deads(shard), repeatable=True)
        for topic_id in sorted(member.decode() for member in members):
            evicted = await self._dead.drop(topic_id, before_ms=oldest_ms)
            excess = await self._dead.count(topic_id) - self._settings.dead_per_topic
            if excess > 0:
                evicted += await self._dead.drop(topic_id, at_most=excess)
            if evicted:
                log.warning("dead_letters.evicted", extra={"topic_id": topic_id, "count": evicted})
                await self._store.call("HINCRBY", self._keys.gauges(shard), "dead_evicted", evicted)

    async def purge(self, shard: int) -> None:
        """Remove the deleted topics of a shard with all that is theirs, the record last."""
        members = await self._store.call("SMEMBERS", self._keys.purge(shard), repeatable=True)
        for topic_id in sorted(member.decode() for member in members):
            await self._purge_topic(shard, topic_id)
            log.info("topic.purged", extra={"topic_id": topic_id})

    async def _purge_topic(self, shard: int, topic_id: str) -> None:
        keys, call = self._keys, self._store.call
        record = keys.topic(topic_id)
        flat = await call("HGETALL", record, repeatable=True)
        fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
        project = fields.get("project", "")
        while ids := await call("ZRANGE", keys.order(topic_id), 0, _CHUNK - 1, repeatable=True):
            index = keys.project_subscriptions(project)
            await call("ZREM", index, *(topic_id.encode() + i for i in ids), repeatable=True)
            await call("HDEL", keys.pending(shard), *(b"s:" + i for i in ids), repeatable=True)
            await call("ZREM", keys.order(topic_id), *ids, repeatable=True)
        for name, value in fields.items():
            kind, _, protocol = name.partition(":")
            if kind == "pages":
                for number in range(int(value)):
                    await call("UNLINK", keys.page(topic_id, protocol, number), repeatable=True)
                await call("UNLINK", keys.free(topic_id, protocol), repeatable=True)
        # Again if somebody has changed a page meanwhile: nobody would find what is left of it.
        while await call("ZCARD", keys.dead(topic_id), repeatable=True):
            await self._dead.drop(topic_id)
        await call("SREM", keys.project_logtanks(project), topic_id, repeatable=True)
        await self._pending.apply(shard, f"t:{topic_id}", f"-:{project}")
        await call(
            "UNLINK",
            keys.subscriptions(topic_id),
            keys.endpoints(topic_id),
            keys.order(topic_id),
            keys.dead(topic_id),
            record,
            key=record,
            repeatable=True,
        )
        await call("SREM", keys.purge(shard), topic_id, repeatable=True)
