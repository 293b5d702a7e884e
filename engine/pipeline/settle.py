"""Stage 4: write outcomes down: ledger, retries, log, counters, dead letters, acknowledgement.

One settler a shard. While a call is under way whatever comes in gathers, so that under load one
call carries the flushes of many batches. A flush whose answer was lost is sent again unchanged:
the script tells by its number, or by the acknowledgement, that it was there before.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import StoreError, StoreFull, StoreUnavailable
from engine.pipeline.batch import UNFLUSHED
from engine.store.counters import bucket_of
from engine.store.keys import GROUP
from engine.store.probes import Probes
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.faults import Faults
    from engine.pipeline.batch import Batch, Flush
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys

log = logging.getLogger(__name__)

_TICK_S = 0.02
_SLOWEST_S = 1.0
_CALL_BATCHES = 16
_BACK_OFF_S = 0.1

_SETTLE = script(__file__, "settle")


class Settler:
    """Writes the outcomes of one shard's batches."""

    def __init__(
        self,
        shard: int,
        store: Store,
        keys: Keys,
        settings: Settings,
        consumer: str,
        faults: Faults,
        on_settled: Callable[[Flush, bool], None],
    ) -> None:
        self._shard = shard
        self._store = store
        self._keys = keys
        self._settings = settings
        self._consumer = consumer
        self._faults = faults
        self._on_settled = on_settled
        self._probes = Probes(store, keys)
        self._dirty: dict[Batch, None] = {}
        self._ready: dict[Batch, str] = {}
        self._waiters: dict[Batch, asyncio.Future[bool]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def touch(self, batch: Batch) -> None:
        """Note that a batch has something to write; it is written when it pays."""
        if batch.closed:
            return
        if batch.finished:
            self._want(batch, "end")
        elif batch.unflushed >= UNFLUSHED:
            self._want(batch, "flush")
        elif batch.unflushed and not batch.noted:
            batch.noted = True
            self._dirty[batch] = None
            if len(self._dirty) == 1:
                self._wake.set()

    def renew(self, batch: Batch) -> None:
        """Prolong the lease, and write what there is on the way."""
        self._want(batch, "flush")

    def give_back(self, batch: Batch) -> None:
        """Put the batch back into its lane with what is known of it."""
        self._want(batch, "return")

    async def write_now(self, batch: Batch) -> bool:
        """Flush a batch and wait; whether it is still this worker's."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters[batch] = waiter
        self._want(batch, "flush")
        return await waiter

    async def flushed(self) -> None:
        """Wait until everything asked for has been written."""
        await self._idle.wait()

    def _want(self, batch: Batch, mode: str) -> None:
        if batch.closed or (mode == "flush" and batch in self._ready):
            return
        self._dirty.pop(batch, None)
        batch.noted = True
        self._ready[batch] = mode
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._gather(loop.time())
            while self._ready:
                await self._write_some(loop)
                self._gather(loop.time())
            self._idle.set()
            if self._dirty:
                loop.call_later(_TICK_S, self._wake.set)

    def _gather(self, now: float) -> None:
        """Move batches whose interval has passed to those that are written next."""
        for batch in list(self._dirty):
            interval = min(max((now - batch.born) / 4, _TICK_S), _SLOWEST_S)
            if batch.unflushed == 0 or batch.closed:
                batch.noted = False
                del self._dirty[batch]
            elif now - batch.flushed_at >= interval:
                self._want(batch, "flush")

    async def _write_some(self, loop: asyncio.AbstractEventLoop) -> None:
        flushes, waiters = [], []
        for batch in list(self._ready)[:_CALL_BATCHES]:
            mode = self._ready.pop(batch)
            batch.noted = False
            batch.closed = mode != "flush"
            flushes.append(batch.take_flush(mode))
            # Who asks from now on waits for the next write: this one is under way.
            waiters.append(self._waiters.pop(batch, None))
        self._faults.reach("settle:before")
        asked = loop.time()
        results = await self._write(flushes)
        self._faults.reach("settle:after")
        for flush, waiter, written in zip(flushes, waiters, results, strict=True):
            batch = flush.batch
            batch.flushed_at = loop.time()
            if not written:
                batch.closed = True
            elif flush.mode == "flush":
                batch.lease_until = asked + self._settings.lease_seconds
                if batch.unflushed and not batch.finished:
                    batch.noted = True
                    self._dirty[batch] = None
            if waiter is not None and not waiter.done():
                waiter.set_result(bool(written))
            self._on_settled(flush, bool(written))

    async def _write(self, flushes: list[Flush]) -> list[int]:
        """Run the script, again and again while Redis is away: whoever holds it decides."""
        keys, args = self._arguments(flushes)
        attempt = 0
        while True:
            try:
                # Before the batch ends: who dies in between leaves it to be probed again.
                for flush in flushes:
                    if flush.report:
                        reference = flush.batch.reference
                        await self._probes.report(
                            reference.topic_id, reference.subscription_id, flush.report
                        )
                results: list[int] = await self._store.run(_SETTLE, keys, args)
            except (StoreUnavailable, StoreFull) as error:
                attempt += 1
                log.warning(
                    "settle.failed",
                    extra={"shard": self._shard, "attempt": attempt, "error": str(error)},
                )
                await asyncio.sleep(min(_BACK_OFF_S * 2**attempt, 5.0))
            except StoreError:
                # A bug of ours: the leases come back and the batches are run again.
                log.exception("settle.refused", extra={"shard": self._shard})
                return [0] * len(flushes)
            else:
                return results

    def _arguments(self, flushes: list[Flush]) -> tuple[list[str], list[str | bytes | int]]:
        names, shard, settings = self._keys, self._shard, self._settings
        bucket = bucket_of(self._store.clock.now_ms())
        keys = [names.log(shard), names.log_size(shard), names.gauges(shard), names.deads(shard)]
        args: list[str | bytes | int] = [
            GROUP,
            self._consumer,
            settings.log_bytes // names.shards,
            settings.counter_seconds,
        ]
        for flush in flushes:
            batch = flush.batch
            reference = batch.reference
            topic_id, message_id = reference.topic_id, reference.message_id
            keys += (
                names.lane(shard, batch.protocol),
                names.retry(shard, batch.protocol),
                names.message(topic_id, message_id),
                names.ledger(topic_id, message_id),
                names.topic(topic_id),
                names.dead(topic_id),
                names.counts(topic_id, bucket),
            )
            args += (
                batch.entry_id,
                batch.claims,
                flush.mode,
                reference.encode(),
                batch.field,
                flush.number,
                flush.row,
                flush.due_ms,
                flush.lines,
                flush.header,
                flush.dead,
                flush.dead_count,
                flush.counters,
                flush.marks,
            )
        return keys, args
