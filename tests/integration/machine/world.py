"""The engine's parts on a real server under a key prefix of their own, and the model beside."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from engine.control.topics import Topics
from engine.errors import Refused, StoreError, StoreFull
from engine.faults import Faults
from engine.keyring import Keyring
from engine.keyring_file import KeyringFile
from engine.models import Delivered, Kind, Outcome, Status, Subscription, Topic
from engine.pipeline.accept import Draft, Publisher
from engine.pipeline.batch import Batch, Flush, Taken
from engine.pipeline.intake import _CLAIM
from engine.pipeline.plan import plan_call
from engine.pipeline.retry import retry_call
from engine.retention import Retention
from engine.settings import Settings
from engine.store.connection import Store
from engine.store.dead_letters import DeadLetters
from engine.store.delivery_log import DeliveryLog
from engine.store.keys import GROUP, Keys
from engine.store.ledger import Row
from engine.store.pending import Pending
from engine.store.roster import Roster
from engine.store.scripts import script
from engine.store.seats import Wish
from engine.store.topic_records import TopicRecords
from engine.vault import Vault
from engine.worker import __file__ as _worker_file
from tests.integration.machine.model import Model, Subscriber
from tests.integration.machine.snapshot import Snapshot
from tests.integration.machine.worker import PROTOCOLS, Flight, SlowWorker
from tests.servers import RedisServer, make_settings

Result = TypeVar("Result")

PROJECT = "0" * 32
SHARD = 0
_RELEASE = script(_worker_file, "release")
_PATIENCE_S = 30.0
_PAGES = 3
_LATE = 5
"""How many calls later one may still be sent again."""


class RepeatingStore(Store):
    """A store that, when told to, runs the next script twice, as after a lost reply."""

    twice = False
    first: Any = None

    async def run(self, *args: Any, **options: Any) -> Any:
        twice, self.twice = self.twice, False
        self.first = await super().run(*args, **options)
        return await super().run(*args, **options) if twice else self.first

    async def run_many(self, *args: Any, **options: Any) -> list[Any]:
        twice, self.twice = self.twice, False
        found = await super().run_many(*args, **options)
        return await super().run_many(*args, **options) if twice else found


class ShiftedClock:
    """The store's clock, and the time that a test let pass."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.shift_ms = 0

    def now_ms(self) -> int:
        return self._store.clock.now_ms() + self.shift_ms


class World:
    """One example's world; everything that happens to it is a method."""

    def __init__(self, server: RedisServer, store: RepeatingStore, prefix: str) -> None:
        self.server = server
        self.store = store
        self.client = server.client
        self.settings: Settings = make_settings(
            Path("unused"),
            shards=1,
            key_prefix=prefix,
            lease_seconds=3600.0,
            retry_delays=(10.0, 20.0),
            blacklist_failures=10**9,
            max_ttl=86_400,
            # A delivery that waited at its endpoint would start on its own, not at a step.
            endpoint_in_flight=10**6,
        )
        self.keys = keys = Keys(prefix, 1)
        self.prefix = prefix
        self.clock = ShiftedClock(store)
        self.model = Model()
        pending = Pending(store, keys)
        vault = Vault(os.urandom(32))
        self.keyring = Keyring(KeyringFile(self.settings.data, vault))
        self.roster = Roster(store, keys, vault, pending, frozenset())
        self.records = TopicRecords(store, keys, pending)
        self.topics = Topics(self.records, self.settings)
        self.publishers = [
            Publisher(
                store, keys, self.clock, self.settings, self.records, Faults(""), self.keyring
            )
            for _ in range(2)
        ]
        self.dead = DeadLetters(store, keys, self.keyring)
        self.retention = Retention(
            store, keys, self.settings, self.clock, self.dead, DeliveryLog(store, keys), pending
        )
        self.full = False
        self.objections: list[str] = []
        self.told: list[tuple[SlowWorker, Flush]] = []
        self._names = itertools.count(1)
        self.workers: list[SlowWorker] = []
        self.ghosts: list[SlowWorker] = []
        """Dead workers whose last calls may still arrive."""

    async def open(self) -> None:
        self.workers = [self._worker() for _ in range(3)]
        await self.workers[0].intake.ensure_groups()

    def _worker(self) -> SlowWorker:
        return SlowWorker(self, f"w{next(self._names)}")

    def snapshot(self) -> Snapshot:
        return Snapshot.take(self.client, self.prefix)

    # Topics and subscriptions

    async def create(self, name: str, *, wide: bool) -> Topic:
        """Create or find; a ``wide`` one is as after hundreds of subscriptions came and went."""
        topic, new = await self._when_possible(lambda: self.topics.create(PROJECT, name))
        self.model.topic_created(topic.id, topic.urn)
        if new and wide:
            with self._room():
                for protocol in PROTOCOLS:
                    pages: dict[Any, Any] = {f"pages:{protocol}": _PAGES, f"fresh:{protocol}": 256}
                    self.client.hset(self.keys.topic(topic.id), mapping=pages)
                    free = {f"{page}:{seat}": page for page in range(_PAGES) for seat in (0, 7)}
                    self.client.zadd(self.keys.free(topic.id, protocol), free)
        return topic

    async def delete(self, topic_id: str) -> None:
        group = self.model.topics[topic_id]
        await self.topics.delete(group.urn)
        self.model.topic_deleted(topic_id)

    async def subscribe(self, topic_id: str, protocol: str, endpoint: str, status: Status) -> None:
        topic = await self.records.read(topic_id)
        assert topic is not None

        async def seat() -> list[Any]:
            return await self.roster.seat(
                topic, protocol, [Wish(endpoint)], status=status, quota=10_000
            )

        (seated,) = await self._when_possible(seat)
        if seated.id not in self.model.subscribers:
            self.model.subscribers[seated.id] = Subscriber(
                seated.id,
                topic_id,
                protocol,
                seated.page,
                seated.seat,
                confirmed=status is Status.CONFIRMED,
            )

    async def find(self, subscriber: Subscriber) -> Subscription:
        group = self.model.topics[subscriber.topic_id]
        found = await self.roster.find(group.id, group.urn, subscriber.id)
        assert found is not None, f"subscription {subscriber.id} cannot be found"
        return found

    async def set_status(self, subscriber: Subscriber, status: Status) -> None:
        found = await self.find(subscriber)
        assert await self._when_possible(lambda: self.roster.set_status(found, status))
        confirmed = status is Status.CONFIRMED
        if confirmed != subscriber.confirmed:
            self.model.closed(subscriber)
        subscriber.confirmed = confirmed

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        await self.roster.remove(await self.find(subscriber))
        self.model.removed(subscriber)

    # Messages

    async def publish(self, publisher: int, topic_id: str, ttl_s: int, key: str | None) -> None:
        """With a ``key`` the request is always the same one, whatever is asked for."""
        group = self.model.topics[topic_id]
        pages = self._pages(topic_id)
        if key is not None:
            ttl_s = self.settings.default_ttl
        try:
            message_id = await self.publishers[publisher].publish(
                group.urn, Draft({"default": key or "text"}, ttl_s=ttl_s), idempotency_key=key
            )
        except (StoreFull, Refused) as error:
            self._refused(error)
            return
        if key is not None and self.model.idempotent.setdefault((topic_id, key), message_id) != (
            message_id
        ):
            raise AssertionError("an idempotency key was given another message")
        if message_id not in self.model.messages:
            self.model.accepted(message_id, topic_id, pages, None)

    async def address(self, subscriber: Subscriber) -> None:
        topic = await self.records.read(subscriber.topic_id)
        assert topic is not None
        found = await self.find(subscriber)
        try:
            message_id = await self.publishers[0].address(
                topic, found, Kind.CONFIRMATION, Draft({"default": "please confirm"}), link="l"
            )
        except (StoreFull, Refused) as error:
            self._refused(error)
            return
        self.model.accepted(message_id, subscriber.topic_id, {}, subscriber)

    def _refused(self, error: StoreFull | Refused) -> None:
        """Nothing is accepted while memory is full; anything else is a surprise."""
        if not self.full or (isinstance(error, Refused) and error.code != "APIGW.0308"):
            raise error

    def _pages(self, topic_id: str) -> dict[str, int]:
        """How many pages each protocol with subscriptions has."""
        record: dict[Any, Any] = self.client.hgetall(self.keys.topic(topic_id))
        active = record.get(b"active", b"").decode().split()
        return {protocol: int(record[f"pages:{protocol}".encode()]) for protocol in active}

    # Moving

    async def plan(self, protocol: str) -> None:
        await self.store.run(*plan_call(self.keys, SHARD, protocol))

    def pass_time(self, seconds: float) -> None:
        self.clock.shift_ms += int(seconds * 1000)

    async def retry(self, protocol: str, *, early: bool) -> None:
        """Move what is due, or everything; the server's clock knows nothing of ours."""
        key = self.keys.retry(SHARD, protocol)
        bound = "+inf" if early else self.clock.now_ms()
        with self._room():
            due: list[Any] = self.client.zrangebyscore(key, "-inf", bound)
            for member in due:
                self.client.zadd(key, {member: 1}, xx=True)
        await self.store.run(*retry_call(self.keys, SHARD, protocol))

    async def claim(self, worker: SlowWorker, protocol: str, count: int) -> list[Taken]:
        """The lease of the oldest batches has passed; their owners find that out later."""
        lane = self.keys.lane(SHARD, protocol)
        taken = await self.store.run(_CLAIM, (lane,), (GROUP, worker.name, 0, count))
        entries = {entry_id for _, entry_id, _ in taken}
        for other in (*self.workers, *self.ghosts):
            for batch in other.batches:
                if batch.protocol == protocol and batch.entry_id in entries:
                    batch.lease_until = 0.0
        return [Taken(protocol, entry_id, member) for _, entry_id, member in taken]

    def went_out(self, message_id: str, subscription_id: str, batch: Batch) -> None:
        """A request leaves; is it one that may?"""
        earlier = self.model.succeeded.get((message_id, subscription_id))
        alive = any(
            other is earlier and other.lease_until > 0
            for worker in self.workers
            for other in worker.batches
        )
        try:
            self.model.sent(message_id, subscription_id, batch, alive=alive)
        except AssertionError as error:
            # The engine takes whatever a send raises for a failed attempt.
            self.objections.append(str(error))

    async def answered(self, worker: SlowWorker, flight: Flight, outcome: Outcome) -> None:
        """An endpoint answers; its success counts from now on."""
        if isinstance(outcome, Delivered):
            self.model.succeeded[flight.message_id, flight.subscription_id] = flight.batch
        await worker.answer(flight, outcome)

    async def write(self, worker: SlowWorker, flush: Flush) -> bool:
        """Run the settle script; the worker's view of whether it was written."""
        batch = flush.batch
        ended = Row.unpack(flush.row).ended if flush.row else batch.row.ended
        over = flush.mode == "end" and not flush.due_ms
        async with asyncio.timeout(_PATIENCE_S):
            (seen,) = await worker.settler._write([flush])
        self.told.append((worker, flush))
        if seen or self.store.first[0]:
            page = (batch.reference.message_id, batch.protocol, batch.reference.page)
            self.model.written(page, ended, over=over)
        return bool(seen)

    async def write_again(self, number: int) -> None:
        """A call whose answer was lost is sent once more: nothing may change."""
        if not self.told:
            return
        worker, flush = self.told[-1 - number % min(len(self.told), _LATE)]
        before = self.snapshot().keys
        async with asyncio.timeout(_PATIENCE_S):
            await worker.settler._write([flush])
        after = self.snapshot().keys
        assert after == before, f"a second run of {flush.mode} {flush.number} changed something"

    async def crash(self, worker: SlowWorker) -> None:
        """SIGKILL: what it had handed to the kernel may still arrive."""
        await worker.crash()
        self.ghosts.append(worker)
        self.workers[self.workers.index(worker)] = self._worker()

    async def leave(self, worker: SlowWorker, *, twice: bool) -> None:
        """SIGTERM: flush, give back, be struck off."""
        mine = [b for b in worker.batches if b.lease_until > 0]
        for batch in list(worker.untold):
            await worker.land(batch)
        for batch in mine:
            worker.take(batch, "return")
            if batch in worker.untold:
                await worker.land(batch)
        lanes = list(worker.intake.lanes.values())
        self.store.twice = twice
        await self.store.run(_RELEASE, lanes, (GROUP, worker.name))
        await worker.crash()
        self.workers[self.workers.index(worker)] = self._worker()

    # Dead letters

    async def redrive(self, topic_id: str) -> None:
        before = await self._letters(topic_id)
        deadline_ms = self.clock.now_ms() + 3_600_000
        await self.dead.redrive(topic_id, deadline_ms=deadline_ms)
        left = await self._letters(topic_id)
        back: dict[tuple[str, str, int], dict[int, str]] = {}
        for pair, letter in before.items():
            if pair not in left:
                place = (letter.message_id, letter.protocol, letter.page)
                back.setdefault(place, {})[letter.seat] = letter.subscription_id
        for (message_id, protocol, page), seats in back.items():
            self.model.reopened(message_id, protocol, page, seats)

    async def drop(self, topic_id: str) -> None:
        before = await self._letters(topic_id)
        await self.dead.drop(topic_id)
        assert not await self._letters(topic_id), "a dead letter stayed"
        for pair in before:
            self.model.dropped[pair] = self.model.dropped.get(pair, 0) + 1

    async def _letters(self, topic_id: str) -> dict[tuple[str, str], Any]:
        return {(d.message_id, d.subscription_id): d async for d in self.dead.list(topic_id)}

    async def purge(self) -> None:
        await self.retention.purge(SHARD)
        for topic in self.model.topics.values():
            topic.purged = topic.purged or topic.gone

    # The server

    async def restart(self) -> None:
        """SIGKILL the database and start it on what it had written."""
        self.server.kill()
        self.server.start()
        self.set_full(full=False)
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    await self.store.sync_clock()
                except StoreError:
                    await asyncio.sleep(0.01)
                else:
                    return

    def set_full(self, *, full: bool) -> None:
        """Give the server less memory than it uses, or enough."""
        used = self.client.info("memory")["used_memory"]
        self.client.config_set("maxmemory", used * 4 // 5 if full else 0)
        self.full = full
        for publisher in self.publishers:
            publisher._memory_full = False  # it looks once a second, and a step takes less

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Memory for what the test itself writes."""
        full = self.full
        self.set_full(full=False)
        yield
        self.set_full(full=full)

    async def _when_possible(self, action: Callable[[], Awaitable[Result]]) -> Result:
        """A change that full memory may refuse, at any of its steps; then it is made again."""
        try:
            return await action()
        except StoreFull:
            assert self.full
            self.set_full(full=False)
            return await action()
