"""A worker: reads lanes, runs batches, and every few seconds looks after its shards.

Workers are symmetric and leaderless. Each shard has one connection that blocks for new batches;
everything else is timers: one poll a shard tells of due times that other workers wrote, of
leases that have passed, of index notes, purges and parked endpoints left by others.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError
from engine.pipeline.batch import Taken
from engine.pipeline.dispatch import Dispatcher
from engine.pipeline.health import Health
from engine.pipeline.intake import Intake
from engine.pipeline.pages import Pages
from engine.pipeline.plan import plan_call
from engine.pipeline.retry import Retries
from engine.pipeline.settle import Settler
from engine.store.keys import GROUP
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from engine.app import Engine
    from engine.pipeline.batch import Batch, Flush

log = logging.getLogger(__name__)

_BEAT = script(__file__, "beat")
_POLL = script(__file__, "poll")
_RELEASE = script(__file__, "release")
_STRIKE = script(__file__, "strike")
_BLOCK_MS = 5000
_READ_BATCHES = 4
_OPEN_BATCHES = 256
_POLL_S = 4.0
_HEARTBEAT_S = 5.0
_FORGOTTEN_MS = 3_600_000
_BEATS_A_SYNC = 12
_BACK_OFF_S = 0.2
_RECENT_MS = 10_000
_TIDY_S = 60.0
_SILENT_MS = 600_000


class _Shard:
    """What a worker keeps for one shard."""

    def __init__(self, number: int, intake: Intake, settler: Settler) -> None:
        self.number = number
        self.intake = intake
        self.settler = settler
        self.no_claims_before = 0.0
        self.run_id = ""
        self.noted = False
        # The shards' turns are spread, and none comes right after the start.
        self.tidied = asyncio.get_running_loop().time() + random.random() * _TIDY_S  # noqa: S311


class Worker:
    """Delivers until told to stop."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name
        self._store, self._keys, self._settings = engine.store, engine.keys, engine.settings
        self._health = Health(
            engine.store, engine.keys, engine.vault, engine.settings, engine.events
        )
        self._retries = Retries(engine.store, engine.keys)
        self._dispatcher = Dispatcher(
            engine.clock,
            engine.settings,
            self._health,
            engine.limiter,
            self._touch,
            lambda batch: self._shards[batch.shard].settler.write_now(batch),
            self._on_room,
            engine.flow,
        )
        # By lane entry: an entry that is read twice is run once.
        self._open: dict[tuple[int, str, bytes], Batch] = {}
        self._open_by_protocol = dict.fromkeys(engine.adapters, 0)
        self._room = asyncio.Event()
        self._room.set()
        pages = Pages(engine.roster)
        self._shards = [
            _Shard(
                number,
                Intake(
                    number,
                    engine.store,
                    engine.keys,
                    engine.settings,
                    name,
                    engine.adapters,
                    pages,
                    engine.keyring,
                ),
                Settler(
                    number,
                    engine.store,
                    engine.keys,
                    engine.settings,
                    name,
                    engine.faults,
                    self._settled,
                ),
            )
            for number in range(engine.keys.shards)
        ]

    async def run(self, stop: asyncio.Event, on_ready: Callable[[str], None] | None) -> None:
        """Work until ``stop`` is set, then drain and give back what is left."""
        for shard in self._shards:
            await shard.intake.ensure_groups()
            await self._learn_parked(shard.number)
        await self._beat()
        writing = [asyncio.create_task(s.settler.run()) for s in self._shards]
        looking = [asyncio.create_task(work) for work in self._loops()]
        if on_ready is not None:
            on_ready(self.name)
        log.info("worker.started", extra={"worker": self.name})
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *writing, *looking], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {stopping}:
                task.result()
        finally:
            stopping.cancel()
            await _cancel(looking)
            await self._drain()
            await _cancel(writing)
            log.info("worker.stopped", extra={"worker": self.name})

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        return [
            *(self._read_lanes(shard) for shard in self._shards),
            *(self._look_after(shard) for shard in self._shards),
            self._renew_leases(),
            self._heartbeat(),
        ]

    # Batches

    async def _read_lanes(self, shard: _Shard) -> None:
        """Take batches as long as there is room for them."""
        lanes = shard.intake.lanes
        reader = self._store.reader(self._keys.shard(shard.number))
        try:
            while True:
                await self._room.wait()
                open_to = [p for p in lanes if self._open_by_protocol[p] < _OPEN_BATCHES]
                try:
                    reply = await reader.call(
                        "XREADGROUP", "GROUP", GROUP, self.name, "COUNT", _READ_BATCHES,
                        "BLOCK", _BLOCK_MS, "STREAMS", *(lanes[p] for p in open_to),
                        *(">" for _ in open_to),
                    )  # fmt: skip
                    if reply:
                        names = {lanes[p].encode(): p for p in open_to}
                        await self._take(
                            shard,
                            [
                                Taken.of(names[lane], entry_id, fields)
                                for lane, entries in reply
                                for entry_id, fields in entries
                            ],
                        )
                except StoreError as error:
                    await self._trouble(shard, error)
                    if reader.broken:
                        await reader.close()
                        reader = self._store.reader(self._keys.shard(shard.number))
        finally:
            await reader.close()

    async def _take(self, shard: _Shard, taken: Sequence[Taken]) -> None:
        """Load batches and start them."""
        batches, backlogged = await shard.intake.load(taken)
        for batch in batches:
            held = self._open.get(batch.key)
            if held is not None and held.claims == batch.claims:
                continue  # claimed from oneself while the first load was still under way
            if held is not None:
                held.closed = True  # whatever it would write is fenced off from now on
                self._forget(held)
            self._open[batch.key] = batch
            self._open_by_protocol[batch.protocol] += 1
            self._dispatcher.begin(batch)
        self._check_room()
        if batches:
            # What a turn of the loop has written leaves at its end: the first delivery, which
            # begins in the next one, shall not wait until more has been asked for.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await shard.intake.plan(backlogged)
        self._retries.taken(shard.number, {entry.protocol for entry in taken})

    def _touch(self, batch: Batch) -> None:
        self._shards[batch.shard].settler.touch(batch)

    def _settled(self, flush: Flush, written: bool) -> None:  # noqa: FBT001 - a callback's result
        batch = flush.batch
        if not batch.closed:
            return
        self._forget(batch)
        if not written:
            log.warning(
                "batch.lost_lease",
                extra={"message_id": batch.reference.message_id, "page": batch.reference.page},
            )
        elif flush.mode == "end" and flush.due_ms:
            self._retries.arm(batch.shard, batch.protocol, flush.due_ms)
        self._check_room()

    def _forget(self, batch: Batch) -> None:
        if self._open.get(batch.key) is batch:
            del self._open[batch.key]
            self._open_by_protocol[batch.protocol] -= 1
        if batch.timer is not None:
            batch.timer.cancel()

    def _on_room(self) -> None:
        if not self._room.is_set():
            self._check_room()

    def _check_room(self) -> None:
        room = self._dispatcher.has_room and any(
            count < _OPEN_BATCHES for count in self._open_by_protocol.values()
        )
        if room != self._room.is_set():
            (self._room.set if room else self._room.clear)()

    async def _renew_leases(self) -> None:
        """Renew what is a third through its lease, and see what has changed on its page."""
        lease = self._settings.lease_seconds
        while True:
            await asyncio.sleep(lease / 6)
            now = asyncio.get_running_loop().time()
            by_shard: dict[int, list[Batch]] = {}
            for batch in self._open.values():
                if not batch.closed and batch.lease_until - now < lease * 2 / 3:
                    by_shard.setdefault(batch.shard, []).append(batch)
            for number, batches in by_shard.items():
                shard = self._shards[number]
                for batch in batches:
                    shard.settler.renew(batch)
                try:
                    await shard.intake.refresh(batches)
                except StoreError as error:
                    await self._trouble(shard, error)

    # Looking after shards

    async def _look_after(self, shard: _Shard) -> None:
        await asyncio.sleep(_POLL_S * (shard.number + 1) / len(self._shards))
        while True:
            try:
                await self._poll(shard)
            except StoreError as error:
                await self._trouble(shard, error)
            await asyncio.sleep(_POLL_S)

    async def _poll(self, shard: _Shard) -> None:
        """One look, and whatever it shows to be needed."""
        keys, number = self._keys, shard.number
        protocols = list(self._engine.adapters)
        names = [
            keys.pending(number), keys.purge(number), keys.parked(number), keys.deads(number),
            keys.recent(number),
        ]  # fmt: skip
        for protocol in protocols:
            names += (
                keys.retry(number, protocol),
                keys.inbox(number, protocol),
                keys.lane(number, protocol),
            )
        lease_ms = int(self._settings.lease_seconds * 1000)
        _, noted, purges, parked, deads, *rest = await self._store.run(
            _POLL, names, (GROUP, lease_ms, _RECENT_MS)
        )
        looks = [rest[i * 4 : i * 4 + 4] for i in range(len(protocols))]
        if not all(there for *_, there in looks):
            await shard.intake.ensure_groups()
        for protocol, (due, inbox, _, _) in zip(protocols, looks, strict=True):
            if int(due):
                self._retries.arm(number, protocol, int(due))
            if inbox:
                await self._store.run(*plan_call(keys, number, protocol))
        if parked or self._health.parked:
            await self._learn_parked(number)
        await self._claim(shard, [p for p, look in zip(protocols, looks, strict=True) if look[2]])
        # A note that is there at two looks was left by somebody who died.
        if noted and shard.noted:
            await self._engine.pending.sweep(number)
        shard.noted = bool(noted)
        await self._keep_house(shard, purges=bool(purges), has_dead=bool(deads))

    async def _claim(self, shard: _Shard, protocols: Sequence[str]) -> None:
        """Take over what has been on loan for longer than a lease, if there is room for it."""
        now = asyncio.get_running_loop().time()
        if shard.run_id != (run_id := self._store.run_id):
            # Another server, or the same one restarted: owners renew before anyone claims.
            if shard.run_id:
                shard.no_claims_before = now + self._settings.lease_seconds
            shard.run_id = run_id
        if not protocols or now < shard.no_claims_before:
            return
        # As many as there is room for at once: a dead worker's batches must not wait for polls.
        while self._room.is_set() and (taken := await shard.intake.claim(protocols)):
            log.warning("batches.claimed", extra={"shard": shard.number, "count": len(taken)})
            await self._take(shard, taken)

    async def _keep_house(self, shard: _Shard, *, purges: bool, has_dead: bool) -> None:
        if purges:
            await self._engine.retention.purge(shard.number)
        now = asyncio.get_running_loop().time()
        if now - shard.tidied >= _TIDY_S:
            shard.tidied = now
            await self._engine.retention.tidy(shard.number, has_dead=has_dead)
            # Also without traffic: a key's material goes when its date has passed.
            await self._engine.keyring.fresh()
            lanes = list(shard.intake.lanes.values())
            await self._store.run(_STRIKE, lanes, (GROUP, _SILENT_MS))

    async def _learn_parked(self, number: int) -> None:
        flat = await self._store.call(
            "ZRANGE", self._keys.parked(number), 0, -1, "WITHSCORES", repeatable=True
        )
        self._health.learn(
            number, {flat[i].decode(): int(float(flat[i + 1])) for i in range(0, len(flat), 2)}
        )

    async def _trouble(self, shard: _Shard, error: StoreError) -> None:
        """Redis failed us: create vanished groups, and let owners renew before anyone claims."""
        if "NOGROUP" in str(error):
            await shard.intake.ensure_groups()
            return
        loop = asyncio.get_running_loop()
        shard.no_claims_before = loop.time() + self._settings.lease_seconds
        log.warning("store.trouble", extra={"shard": shard.number, "error": str(error)})
        await asyncio.sleep(_BACK_OFF_S + random.random() * _BACK_OFF_S)  # noqa: S311 - jitter

    async def _heartbeat(self) -> None:
        for beat in itertools.count(1):
            await asyncio.sleep(_HEARTBEAT_S)
            try:
                await self._beat()
                if beat % _BEATS_A_SYNC == 0:
                    await self._store.sync_clock()
            except StoreError as error:
                log.warning("worker.heartbeat_failed", extra={"error": str(error)})

    async def _beat(self) -> None:
        now_ms = self._engine.clock.now_ms()
        await self._store.run(
            _BEAT, (self._keys.workers(),), (self.name, now_ms, now_ms - _FORGOTTEN_MS)
        )

    # Stopping

    async def _drain(self) -> None:
        """Finish, then give back: nothing stays on loan to a worker that is gone."""
        self._retries.close()
        await self._dispatcher.drain(self._settings.drain_seconds)
        for batch in list(self._open.values()):
            if not batch.closed:
                self._shards[batch.shard].settler.give_back(batch)
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                for shard in self._shards:
                    await shard.settler.flushed()
                await self._health.close()
                for shard in self._shards:
                    await self._store.run(
                        _RELEASE, list(shard.intake.lanes.values()), (GROUP, self.name)
                    )
                await self._store.call("ZREM", self._keys.workers(), self.name, repeatable=True)
        except (TimeoutError, StoreError) as error:
            log.warning("worker.left_leases", extra={"worker": self.name, "error": str(error)})


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
