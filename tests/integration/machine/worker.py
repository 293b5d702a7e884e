"""A worker in slow motion: the engine's own parts, each step taken only when it is asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engine.faults import Faults
from engine.models import Limits, Message, Outcome, Subscription
from engine.pipeline.batch import Batch, Delivery, Flush, Taken
from engine.pipeline.dispatch import Dispatcher
from engine.pipeline.intake import Intake
from engine.pipeline.pages import Pages
from engine.pipeline.settle import Settler
from engine.store.keys import GROUP

if TYPE_CHECKING:
    from tests.integration.machine.world import World

PROTOCOLS = ("one", "two")
_PATIENCE_S = 30.0
_SHARD = 0


@dataclass(eq=False)
class Flight:
    """A request that is out: answering it resolves the future."""

    message_id: str
    subscription_id: str
    answer: asyncio.Future[Outcome]
    batch: Batch
    solo: bool


class GateAdapter:
    """Sends nothing; every send waits until somebody answers it."""

    protocols = PROTOCOLS
    limits = Limits(confirm=False)
    notice = ""

    def __init__(self, worker: SlowWorker) -> None:
        self._worker = worker

    async def check(self, protocol: str, endpoint: str, extension: Any) -> None:
        """Accept."""

    def peer(self, subscription: Subscription) -> str:
        return subscription.endpoint

    def prepare(self, subscription: Subscription) -> Subscription:
        return subscription

    def render(self, message: Message, protocol: str) -> Message:
        return message

    def size(self, content: Message) -> int:
        return 1

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        return await self._worker.send(content.id, prepared.id)

    async def close(self) -> None:
        """Nothing to release."""


class SteppedDispatcher(Dispatcher):
    """Decides as the real one does, but starts a delivery only when told to.

    Or when another's end makes a place for it at their endpoint.
    """

    sending: Delivery
    """What the adapter is being asked to send."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.ready: dict[Batch, list[Delivery]] = {}

    async def _send(self, delivery: Delivery) -> None:
        self.sending = delivery
        await super()._send(delivery)

    def _queue(self, batch: Batch, deliveries: list[Delivery]) -> None:
        batch.running.update(delivery.seat for delivery in deliveries)
        self.ready.setdefault(batch, []).extend(deliveries)

    @property
    def solos(self) -> int:
        """Batches that are being run seat by seat."""
        return sum(not task.done() for task in self._tasks)

    def cut(self) -> list[asyncio.Task[None]]:
        """Cancel them, and whatever was let in."""
        tasks = [*self._tasks, *self.places.tasks]
        self.places.cancel()
        for task in self._tasks:
            task.cancel()
        return tasks


class SlowWorker:
    """One process: its memory is this object, and a crash forgets it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.batches: dict[Batch, None] = {}
        self.flights: list[Flight] = []
        self.untold: dict[Batch, Flush] = {}
        """Flushes taken but not yet written: the call is under way."""
        self._tasks: set[asyncio.Task[None]] = set()
        adapter: Any = GateAdapter(self)
        self.intake = Intake(
            _SHARD,
            world.store,
            world.keys,
            world.settings,
            name,
            dict.fromkeys(PROTOCOLS, adapter),
            Pages(world.roster),
            world.keyring,
        )
        self.settler = Settler(
            _SHARD, world.store, world.keys, world.settings, name, Faults(""), lambda *_: None
        )
        health: Any = SimpleNamespace(
            parked={}, failed=lambda *_: None, succeeded=lambda *_: None, until_ms=lambda *_: 0
        )
        no_limiter: Any = None  # the protocols have no rate
        self.dispatcher = SteppedDispatcher(
            clock=world.clock,
            settings=world.settings,
            health=health,
            limiter=no_limiter,
            touched=lambda _: None,
            write_now=self._write_now,
            on_room=lambda: None,
        )

    # Taking

    async def read(self, count: int) -> list[Taken]:
        """Take entries off the lanes; nothing more."""
        lanes = self.intake.lanes
        reply = await self.world.store.call(
            "XREADGROUP", "GROUP", GROUP, self.name, "COUNT", count,
            "STREAMS", *lanes.values(), *(">" for _ in lanes),
            key=self.world.keys.shard(_SHARD),
        )  # fmt: skip
        names = {lane.encode(): protocol for protocol, lane in lanes.items()}
        return [
            Taken.of(names[lane], entry_id, fields)
            for lane, entries in reply or ()
            for entry_id, fields in entries
        ]

    async def begin(self, taken: list[Taken]) -> None:
        """Load batches and decide what is due."""
        if not taken:
            return
        batches, _ = await self.intake.load(taken)
        for batch in batches:
            self.batches[batch] = None
            self.dispatcher.begin(batch)
        await self.calm()

    # Delivering

    async def start(self, batch: Batch, count: int) -> None:
        """Send the next deliveries of a batch."""
        ready = self.dispatcher.ready.get(batch, [])
        now, ready[:] = ready[:count], ready[count:]
        for delivery in now:
            waiting = self.dispatcher._start(delivery)
            if waiting is not None:
                task = asyncio.get_running_loop().create_task(waiting)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                await asyncio.sleep(0)

    async def send(self, message_id: str, subscription_id: str) -> Outcome:
        """What the adapter calls: the request is out."""
        delivery = self.dispatcher.sending
        batch, solo = delivery.batch, delivery.batch.row.solo == delivery.seat
        self.world.went_out(message_id, subscription_id, batch)  # it notes what it objects to
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.flights.append(Flight(message_id, subscription_id, answer, batch, solo))
        return await answer

    async def answer(self, flight: Flight, outcome: Outcome) -> None:
        """The endpoint answers."""
        self.flights.remove(flight)
        flight.answer.set_result(outcome)
        await self.calm()

    async def calm(self) -> None:
        """Let everything run that does not wait for an answer."""
        for _ in range(3):
            await asyncio.sleep(0)
        async with asyncio.timeout(_PATIENCE_S):
            while self.dispatcher.solos > sum(flight.solo for flight in self.flights):
                await asyncio.sleep(0.0005)

    # Settling

    def take(self, batch: Batch, mode: str) -> None:
        """Decide what is written next; the call has not reached the server yet."""
        if batch.closed or batch in self.untold:
            return
        batch.closed = mode != "flush"
        self.untold[batch] = batch.take_flush(mode)

    async def land(self, batch: Batch) -> bool:
        """The call reaches the server, and its answer comes back."""
        flush = self.untold.pop(batch)
        written = await self.world.write(self, flush)
        if not written:
            batch.closed = True
        elif flush.mode == "flush":
            lease_s = self.world.settings.lease_seconds
            batch.lease_until = asyncio.get_running_loop().time() + lease_s
        if batch.closed:
            self.forget(batch)
        return written

    def forget(self, batch: Batch) -> None:
        """The batch is not this worker's any more."""
        self.batches.pop(batch, None)
        self.dispatcher.ready.pop(batch, None)
        if batch.timer is not None:
            batch.timer.cancel()

    async def _write_now(self, batch: Batch) -> bool:
        if batch in self.untold:
            await self.land(batch)
        self.take(batch, "flush")
        return batch in self.untold and await self.land(batch)

    # Leaving

    async def crash(self) -> None:
        """Forget everything."""
        tasks = [*self.dispatcher.cut(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for batch in list(self.batches):
            self.forget(batch)
        self.flights.clear()
