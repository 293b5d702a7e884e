"""The steps: everything that can happen, in any order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.models import Delivered, Outcome, Rejected, Retry, Status, Throttled
from engine.pipeline.batch import Batch
from tests.integration.machine import promises
from tests.integration.machine.model import Group, Subscriber
from tests.integration.machine.worker import PROTOCOLS, SlowWorker
from tests.integration.machine.world import RepeatingStore, World
from tests.servers import RedisServer

Result = TypeVar("Result")
Item = TypeVar("Item")

PICK = st.integers(0, 63)
FEW = st.sampled_from((1, 2, 100))
PROTOCOL = st.sampled_from(PROTOCOLS)
OUTCOMES = st.lists(
    st.sampled_from(("delivered", "rejected", "retry", "throttled", "delivered")),
    min_size=1,
    max_size=4,
)
RARELY = st.sampled_from((False, False, True))
MODES = st.sampled_from(("flush", "flush", "end"))


def pick(items: list[Item], number: int) -> Item | None:
    """An item by number, None if there is none."""
    return items[number % len(items)] if items else None


class Machine(RuleBasedStateMachine):
    """Rules pick by number among what is there; where nothing is there, nothing happens."""

    server: ClassVar[RedisServer]
    runner: ClassVar[asyncio.Runner]
    store: ClassVar[RepeatingStore]
    numbers: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.server, self.store, f"m{next(self.numbers)}:")
        self.restarts = 0
        self.acted = False

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        self.acted = True
        return self.runner.run(work)

    def outcome(self, kind: str) -> Outcome:
        match kind:
            case "delivered":
                return Delivered(200)
            case "retry":
                return Retry("no answer", 500)
            case "throttled":
                return Throttled(self.world.clock.now_ms() + 5000)
            case _:
                return Rejected("never", 410)

    def topic(self, number: int) -> Group | None:
        return pick([t for t in self.world.model.topics.values() if not t.gone], number)

    def subscriber(self, number: int) -> Subscriber | None:
        return pick([s for s in self.world.model.subscribers.values() if not s.gone], number)

    def worker(self, number: int) -> SlowWorker:
        return self.world.workers[number % len(self.world.workers)]

    def batch(self, number: int) -> tuple[SlowWorker, Batch] | None:
        return pick([(w, b) for w in self.world.workers for b in w.batches], number)

    # Topics and subscriptions

    @initialize(wide=st.booleans(), endpoints=st.integers(1, 4))
    def begin(self, wide: bool, endpoints: int) -> None:
        self.run(self.world.open())
        topic = self.run(self.world.create("t0", wide=wide))
        for number in range(endpoints):
            self.run(self.world.subscribe(topic.id, PROTOCOLS[0], f"e{number}", Status.CONFIRMED))

    @rule(name=st.integers(0, 2), wide=st.booleans(), twice=st.booleans())
    def create_topic(self, name: int, wide: bool, twice: bool) -> None:
        self.store.twice = twice
        self.run(self.world.create(f"t{name}", wide=wide))

    @rule(number=PICK, chance=RARELY, twice=st.booleans())
    def delete_topic(self, number: int, chance: bool, twice: bool) -> None:
        if chance and (topic := self.topic(number)):
            self.store.twice = twice
            self.run(self.world.delete(topic.id))

    @rule(chance=RARELY)
    def purge(self, chance: bool) -> None:
        if chance:
            self.run(self.world.purge())

    @rule(
        number=PICK,
        protocol=PROTOCOL,
        endpoint=st.integers(0, 9),
        confirmed=st.booleans(),
        twice=st.booleans(),
    )
    def subscribe(
        self, number: int, protocol: str, endpoint: int, confirmed: bool, twice: bool
    ) -> None:
        if topic := self.topic(number):
            self.store.twice = twice
            status = Status.CONFIRMED if confirmed else Status.UNCONFIRMED
            self.run(self.world.subscribe(topic.id, protocol, f"e{endpoint}", status))

    @rule(number=PICK, status=st.sampled_from(Status), twice=st.booleans())
    def set_status(self, number: int, status: Status, twice: bool) -> None:
        if subscriber := self.subscriber(number):
            self.store.twice = twice
            self.run(self.world.set_status(subscriber, status))

    @rule(number=PICK, chance=RARELY, twice=st.booleans())
    def unsubscribe(self, number: int, chance: bool, twice: bool) -> None:
        if chance and (subscriber := self.subscriber(number)):
            self.store.twice = twice
            self.run(self.world.unsubscribe(subscriber))

    @rule(number=PICK, protocol=PROTOCOL, endpoint=st.integers(0, 9), left=st.booleans())
    def come_late(self, number: int, protocol: str, endpoint: int, left: bool) -> None:
        """Somebody subscribes just after a message, maybe in a seat that has just come free."""
        if (subscriber := self.subscriber(number)) is None:
            return
        topic_id = subscriber.topic_id
        self.run(self.world.publish(0, topic_id, 86_400, None))
        if left:
            self.run(self.world.unsubscribe(subscriber))
        self.run(self.world.subscribe(topic_id, protocol, f"e{endpoint}", Status.CONFIRMED))

    @rule(number=PICK)
    def confirm_late(self, number: int) -> None:
        """Somebody confirms just after a message."""
        waiting = [s for s in self.world.model.subscribers.values() if not (s.gone or s.confirmed)]
        if subscriber := pick(waiting, number):
            self.run(self.world.publish(0, subscriber.topic_id, 86_400, None))
            self.run(self.world.set_status(subscriber, Status.CONFIRMED))

    # Messages

    @rule(
        number=PICK,
        publisher=st.integers(0, 1),
        ttl=st.sampled_from((86_400, 86_400, 86_400, 15)),
        key=st.sampled_from((None, None, "a", "b")),
        twice=st.booleans(),
        count=st.sampled_from((1, 3, 6)),
    )
    def publish(
        self, number: int, publisher: int, ttl: int, key: str | None, twice: bool, count: int
    ) -> None:
        if topic := self.topic(number):
            for _ in range(count):
                self.store.twice = twice
                self.run(self.world.publish(publisher, topic.id, ttl, key))

    @rule(number=PICK, chance=RARELY, twice=st.booleans())
    def address(self, number: int, chance: bool, twice: bool) -> None:
        if chance and (subscriber := self.subscriber(number)):
            self.store.twice = twice
            self.run(self.world.address(subscriber))

    # Workers

    @rule(number=PICK, count=FEW, lost=st.integers(0, 7), twice=st.booleans())
    def read(self, number: int, count: int, lost: int, twice: bool) -> None:
        """Read batches; now and then what was read never comes back."""
        worker = self.worker(number)
        taken = self.run(worker.read(count))
        if lost != 0:
            self.store.twice = twice
            self.run(worker.begin(taken))

    @rule(number=PICK, count=FEW)
    def send(self, number: int, count: int) -> None:
        if found := self.batch(number):
            worker, batch = found
            self.run(worker.start(batch, count))

    @rule(number=PICK, outcomes=OUTCOMES, count=FEW)
    def answer(self, number: int, outcomes: list[str], count: int) -> None:
        for kind in itertools.islice(itertools.cycle(outcomes), count):
            found = pick([(w, f) for w in self.world.workers for f in w.flights], number)
            if found is None:
                return
            self.run(self.world.answered(*found, self.outcome(kind)))

    @rule(number=PICK, mode=MODES)
    def take(self, number: int, mode: str) -> None:
        """Decide what is written; the write itself is another step."""
        if (found := self.batch(number)) and (mode == "flush" or found[1].finished):
            found[0].take(found[1], mode)

    @rule(number=PICK, twice=st.booleans())
    def land(self, number: int, twice: bool) -> None:
        """A write reaches the server, maybe that of a worker that is dead by now."""
        everybody = (*self.world.workers, *self.world.ghosts)
        if found := pick([(w, b) for w in everybody for b in w.untold], number):
            self.store.twice = twice
            self.run(found[0].land(found[1]))

    def send_and_answer(self, worker: SlowWorker, batch: Batch, outcomes: list[str]) -> None:
        """Every delivery of a batch that is due goes out and is answered."""
        self.run(worker.start(batch, 1000))
        kinds = itertools.cycle(outcomes)
        while flights := [f for f in worker.flights if f.batch is batch]:
            self.run(self.world.answered(worker, flights[0], self.outcome(next(kinds))))

    def settle(self, worker: SlowWorker, batch: Batch, mode: str) -> None:
        if batch in worker.untold:
            self.run(worker.land(batch))
        worker.take(batch, mode)
        if batch in worker.untold:
            self.run(worker.land(batch))

    def held(self, number: int) -> tuple[SlowWorker, Batch] | None:
        """A batch in some worker's hands; if there is none one is made to be."""
        worker = self.worker(number)
        if not any(w.batches for w in self.world.workers):
            if topic := self.topic(number):
                self.run(self.world.publish(0, topic.id, 86_400, None))
            self.run(worker.begin(self.run(worker.read(1))))
        return self.batch(number)

    @rule(number=PICK, outcomes=OUTCOMES, twice=st.booleans())
    def work(self, number: int, outcomes: list[str], twice: bool) -> None:
        """A worker brings a batch as far as it goes."""
        if found := self.held(number):
            self.send_and_answer(*found, outcomes)
            if found[1].finished:
                self.store.twice = twice
                self.settle(*found, "end")

    @rule(number=PICK, outcomes=OUTCOMES, count=FEW, flushed=st.booleans(), left=st.booleans())
    def work_and_die(
        self, number: int, outcomes: list[str], count: int, flushed: bool, left: bool
    ) -> None:
        """A worker delivers some of a batch, maybe writes it down, delivers more and dies."""
        if found := self.held(number):
            worker, batch = found
            self.run(worker.start(batch, count))
            for flight in [f for f in worker.flights if f.batch is batch]:
                self.run(self.world.answered(worker, flight, self.outcome(outcomes[0])))
            if flushed:
                self.settle(worker, batch, "flush")
            self.send_and_answer(worker, batch, outcomes)
            if left:
                worker.take(batch, "end" if batch.finished else "flush")
            self.run(self.world.crash(worker))

    @rule(number=PICK, outcomes=OUTCOMES, mode=MODES, back=st.booleans(), flushed=st.booleans())
    def stall(self, number: int, outcomes: list[str], mode: str, back: bool, flushed: bool) -> None:
        """A worker stalls with requests out, another takes over; then the first goes on."""
        if (found := self.held(number)) is None:
            return
        worker, batch = found
        self.run(worker.start(batch, 1000))
        if flushed:
            self.settle(worker, batch, "flush")
        flights = [f for f in worker.flights if f.batch is batch]
        other = worker if back else self.worker(self.world.workers.index(worker) + 1)
        self.run(other.begin(self.run(self.world.claim(other, batch.protocol, 100))))
        for taken in [b for b in other.batches if b.entry_id == batch.entry_id and b is not batch]:
            self.send_and_answer(other, taken, outcomes)
            if taken.finished or mode == "flush":
                self.settle(other, taken, mode)
        for flight in flights:
            if flight in worker.flights:
                self.run(self.world.answered(worker, flight, self.outcome(outcomes[-1])))
        self.settle(worker, batch, "end" if batch.finished else "flush")

    @rule(number=PICK)
    def write_again(self, number: int) -> None:
        self.run(self.world.write_again(number))

    @rule(number=PICK)
    def refresh(self, number: int) -> None:
        worker = self.worker(number)
        self.run(worker.intake.refresh(list(worker.batches)))

    @rule(number=PICK)
    def due_while_running(self, number: int) -> None:
        if found := self.batch(number):
            self.world.pass_time(12.0)
            found[0].dispatcher._due(found[1])

    @rule(number=PICK, chance=RARELY)
    def crash(self, number: int, chance: bool) -> None:
        if chance:
            self.held(number)
            self.run(self.world.crash(self.worker(number)))

    @rule(number=PICK, chance=RARELY, twice=st.booleans())
    def leave(self, number: int, chance: bool, twice: bool) -> None:
        if chance:
            self.held(number)
            self.run(self.world.leave(self.worker(number), twice=twice))

    @rule(number=PICK, protocol=PROTOCOL, count=FEW, lost=st.booleans())
    def claim(self, number: int, protocol: str, count: int, lost: bool) -> None:
        """Leases have passed, one's own too; the owners do not know yet."""
        worker = self.worker(number)
        taken = self.run(self.world.claim(worker, protocol, count))
        if not lost:
            self.run(worker.begin(taken))

    # Time, retries, the server

    @rule(seconds=st.sampled_from((1.0, 12.0, 30.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(protocol=PROTOCOL, early=st.booleans(), twice=st.booleans())
    def retry(self, protocol: str, early: bool, twice: bool) -> None:
        self.store.twice = twice
        self.run(self.world.retry(protocol, early=early))

    @rule(protocol=PROTOCOL, twice=st.booleans())
    def plan(self, protocol: str, twice: bool) -> None:
        self.store.twice = twice
        self.run(self.world.plan(protocol))

    @rule(chance=st.integers(0, 31))
    def restart_database(self, chance: int) -> None:
        if chance == 31 and self.restarts < 2:
            self.restarts += 1
            self.run(self.world.restart())

    @rule(full=RARELY)
    def memory(self, full: bool) -> None:
        self.world.set_full(full=full)

    # Dead letters

    @rule(number=PICK, twice=st.booleans())
    def redrive(self, number: int, twice: bool) -> None:
        if topic := self.topic(number):
            self.store.twice = twice
            self.run(self.world.redrive(topic.id))

    @rule(number=PICK, chance=RARELY, twice=st.booleans())
    def drop(self, number: int, chance: bool, twice: bool) -> None:
        if chance and (topic := self.topic(number)):
            self.store.twice = twice
            self.run(self.world.drop(topic.id))

    # Promises

    @invariant()
    def promises_hold(self) -> None:
        self.store.twice = False
        if self.acted:
            self.acted = False
            promises.check_step(self.world)

    def teardown(self) -> None:
        world = self.world
        try:
            if world.workers:
                self.run(promises.finish(world, lambda *_: Delivered(200)))
                promises.check_step(world)
                promises.check_end(world)
                self.run(promises.check_clean(world))
        finally:
            self.store.twice = False
            world.set_full(full=False)
            for worker in (*world.workers, *world.ghosts):
                self.run(worker.crash())
            for key in world.client.scan_iter(match=world.prefix + "*", count=1000):
                world.client.unlink(key)
            world.client.close()
