"""Batches outlive the workers that hold them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from engine.app import Engine
from engine.models import End
from engine.worker import Worker
from tests.engines import all_ended, eventually, open_engine, working
from tests.receiver import Hang, Receiver

LEASE_S = 0.5


@pytest.fixture
async def engine(
    redis_url: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> AsyncIterator[Engine]:
    """An engine with short leases; a batch that is claimed once is run seat by seat."""
    async with open_engine(
        redis_url, tmp_path, receiver, lease_seconds=LEASE_S, max_claims=1, drain_seconds=0.1
    ) as engine:
        yield engine


@asynccontextmanager
async def dying(engine: Engine, name: str) -> AsyncIterator[None]:
    """A worker that is gone at the end without a word: no drain, nothing given back."""
    worker = Worker(engine, name)

    async def nothing() -> None:
        """In place of draining."""

    worker._drain = nothing  # type: ignore[method-assign]
    task = asyncio.create_task(worker.run(asyncio.Event(), None))
    try:
        yield
    finally:
        worker._dispatcher.places.cancel()
        for own in worker._dispatcher._tasks:
            own.cancel()
        worker._retries.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for batch in worker._open.values():
            batch.closed = True
            if batch.timer is not None:
                batch.timer.cancel()


async def _settled(engine: Engine, urn: str, count: int) -> None:
    async def written() -> bool:
        return len(await engine.delivery_log(urn)) == count

    await eventually(written, f"{count} deliveries are settled")


async def test_the_batch_of_a_dead_worker_is_finished_by_another(
    engine: Engine, receiver: Receiver
) -> None:
    """After the lease another worker does what is left, and only that."""
    topic = await engine.create_topic("heirs")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("fine", 20))
    await engine.subscribe(
        topic.urn, "http", receiver.behave("slow", Hang(60), 200), confirmed=True
    )
    async with dying(engine, "first"):
        await engine.publish(topic.urn, "hello")
        await _settled(engine, topic.urn, 20)
    async with working(engine, "second"):
        await all_ended(engine)
    assert len(receiver.of("slow")) == 2
    assert len(receiver.arrivals) == 22
    assert len(await engine.delivery_log(topic.urn)) == 21


async def test_a_long_batch_is_kept_by_renewing_its_lease(
    engine: Engine, receiver: Receiver
) -> None:
    """A batch may take many leases' time; nobody else gets it meanwhile."""
    topic = await engine.create_topic("long")
    await engine.subscribe(
        topic.urn, "http", receiver.behave("slow", Hang(4 * LEASE_S), 200), confirmed=True
    )
    async with working(engine, "first"), working(engine, "second"):
        await engine.publish(topic.urn, "hello")
        await all_ended(engine)
    assert len(receiver.of("slow")) == 2  # the attempt that hung, and its retry
    (line,) = await engine.delivery_log(topic.urn)
    assert [attempt.code for attempt in line.attempts] == [0, 200]


async def test_the_seat_that_kills_workers_is_buried_and_its_neighbours_live(
    engine: Engine, receiver: Receiver
) -> None:
    """A batch claimed too often runs seat by seat: the culprit ends as `worker_crash`, alone."""
    topic = await engine.create_topic("deadly")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("before", 3))
    deadly = receiver.behave("deadly", Hang(60))
    culprit = await engine.subscribe(topic.urn, "http", deadly, confirmed=True)
    await engine.subscribe_many(topic.urn, "http", receiver.urls("after", 3))
    for count in (1, 2):
        async with dying(engine, f"victim-{count}"):
            if count == 1:
                await engine.publish(topic.urn, "hello")
                await _settled(engine, topic.urn, 6)
            await eventually(lambda: len(receiver.of("deadly")) == count, "it strikes")  # noqa: B023
    async with working(engine, "survivor"):
        await all_ended(engine)
    (letter,) = await engine.dead_letters(topic.urn)
    assert (letter.end, letter.subscription_id) == (End.WORKER_CRASH, culprit.id)
    assert len(receiver.of("deadly")) == 2
    statuses = [line.status for line in await engine.delivery_log(topic.urn)]
    assert sorted(statuses) == ["DELIVERED"] * 6 + ["FAIL_DELIVERED"]


async def test_seat_by_seat_nobody_is_served_twice(
    redis_url: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> None:
    """Seats whose retry has come due when such a batch starts are each tried once more."""
    async with open_engine(
        redis_url,
        tmp_path,
        receiver,
        lease_seconds=LEASE_S,
        max_claims=1,
        drain_seconds=0.1,
        retry_delays=(0.2, 30.0),
    ) as engine:
        topic = await engine.create_topic("deadly")
        for number in range(5):
            shaky = receiver.behave(f"shaky{number}", 500, 200)
            await engine.subscribe(topic.urn, "http", shaky, confirmed=True)
        deadly = receiver.behave("deadly", Hang(60), 200)
        await engine.subscribe(topic.urn, "http", deadly, confirmed=True)
        async with dying(engine, "victim"):
            await engine.publish(topic.urn, "hello")
            await eventually(lambda: len(receiver.arrivals) == 6, "all were tried")
            batch = engine.keys.ledger(topic.id, receiver.arrivals[0].message_id)

            async def flushed() -> bool:
                return bool(await engine.store.call("EXISTS", batch))

            await eventually(flushed, "what failed is written")
        late_ms = engine.clock.now_ms() + 600
        await eventually(lambda: engine.clock.now_ms() > late_ms, "all retries are due")
        async with working(engine, "survivor"):
            await all_ended(engine)
        assert [len(receiver.of(f"shaky{number}")) for number in range(5)] == [2] * 5
        assert len(receiver.of("deadly")) == 2


async def test_a_worker_that_stops_gives_back_what_it_holds(
    engine: Engine, receiver: Receiver
) -> None:
    """Stopping cuts what hangs after the drain time; the next worker starts at once."""
    topic = await engine.create_topic("handed")
    await engine.subscribe(topic.urn, "http", receiver.url("fine"), confirmed=True)
    await engine.subscribe(
        topic.urn, "http", receiver.behave("slow", Hang(60), 200), confirmed=True
    )
    async with working(engine, "first"):
        await engine.publish(topic.urn, "hello")
        await eventually(lambda: len(receiver.arrivals) == 2, "both were tried")
    async with working(engine, "second"):
        await all_ended(engine)
    assert (len(receiver.of("fine")), len(receiver.of("slow"))) == (1, 2)
    lanes = [engine.keys.lane(shard, "http") for shard in range(engine.keys.shards)]
    for lane in lanes:
        assert await engine.store.call("XINFO", "CONSUMERS", lane, "workers", key=lane) == []
