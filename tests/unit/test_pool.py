"""The pool: as many in flight as it pays, never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from engine.pipeline.batch import Delivery
from engine.pipeline.pool import Pool
from tests.engines import eventually

LOW = 10


class Fake:
    """A delivery that takes as long as the test wants."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.slow = False
        self.started = False
        self.over = asyncio.Event()


class World:
    """Pools over fake deliveries, and how many were in flight at most."""

    def __init__(self) -> None:
        self.in_flight = self.most = self.done = self.asked = self.lows = 0
        self.admits = True
        self.instant = False

    def pool(self, maximum: int) -> Pool:
        return Pool(self._deliver, self._admits, maximum, LOW, self._on_low)

    def _on_low(self) -> None:
        self.lows += 1

    def _admits(self, _: Delivery) -> bool:
        self.asked += 1
        return self.admits

    def _deliver(self, delivery: Delivery) -> Awaitable[None] | None:
        if self.instant:
            self.done += 1
            return None
        return self._run(cast("Any", delivery))

    async def _run(self, fake: Fake) -> None:
        fake.started = True
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await fake.over.wait()
        finally:
            self.in_flight -= 1
            self.done += 1


@pytest.fixture
def world() -> World:
    """Nothing in flight yet."""
    return World()


def _fakes(count: int) -> list[Any]:
    return [Fake() for _ in range(count)]


async def _idle(pool: Pool) -> None:
    await eventually(lambda: not pool.tasks, "nothing is under way")


def _finish(fakes: list[Any]) -> None:
    for fake in fakes:
        fake.over.set()


async def test_it_starts_what_there_is(world: World) -> None:
    """A few deliveries are in flight at once."""
    pool, fakes = world.pool(100), _fakes(10)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 10, "all are started")
    _finish(fakes)
    await _idle(pool)
    assert (world.done, pool.active, dict(pool.in_flight)) == (10, 0, {})


async def test_it_grows_while_deliveries_wait(world: World) -> None:
    """Slow endpoints do not hold up the rest: places are added up to the maximum."""
    pool, fakes = world.pool(200), _fakes(500)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 200, "it has grown")
    assert pool.active == pool.maximum
    _finish(fakes)
    await _idle(pool)
    assert (world.done, world.most) == (500, 200)


async def test_it_never_exceeds_its_maximum(world: World) -> None:
    """Also one below what it starts with."""
    pool, fakes = world.pool(3), _fakes(20)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 3, "it is full")
    _finish(fakes)
    await _idle(pool)
    assert (world.done, world.most) == (20, 3)


async def test_it_shrinks_when_there_is_nothing_to_do(world: World) -> None:
    """A rush does not leave its places behind."""
    pool, fakes = world.pool(500), _fakes(600)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 500, "it has grown")
    _finish(fakes)
    await _idle(pool)
    more = _fakes(65)
    pool.put(more)
    _finish(more)
    await eventually(lambda: pool.limit <= 64, "it has shrunk")
    await _idle(pool)


async def test_decisions_need_no_place(world: World) -> None:
    """What is decided without sending passes however full it is."""
    world.instant = True
    pool = world.pool(1)
    pool.put(_fakes(1_000))
    await _idle(pool)
    assert world.done == 1_000


async def test_what_is_not_admitted_waits(world: World) -> None:
    """However often it is looked at; and it goes on when there is room."""
    world.admits = False
    pool, fakes = world.pool(10), _fakes(5)
    pool.put(fakes)
    await eventually(lambda: world.asked >= 10, "it has been asked a few times")
    assert (world.in_flight, len(pool.queue)) == (0, 5)
    world.admits = True
    _finish(fakes)
    await eventually(lambda: world.done == 5, "all are done")


async def test_a_moved_delivery_makes_room(world: World) -> None:
    """One that hangs counts against the other pool, and the next takes its place."""
    pool, other = world.pool(1), world.pool(1)
    hung, healthy = _fakes(2)
    pool.put([hung, healthy])
    await eventually(lambda: hung.started, "the first is started")
    assert not healthy.started
    pool.mark_slow(hung)
    pool.move(hung, other)
    pool.pump()
    await eventually(lambda: healthy.started, "the second is started")
    assert (pool.active, pool.slow, other.active, other.slow) == (1, 0, 1, 1)
    _finish([hung, healthy])
    await _idle(pool)
    assert (pool.active, other.active, other.slow, dict(other.in_flight)) == (0, 0, 0, {})


async def test_a_slow_delivery_lets_another_run_beside_it(world: World) -> None:
    """What waits for an endpoint uses no processor: only the maximum counts it."""
    pool, fakes = world.pool(70), _fakes(80)
    pool.limit = 1
    pool.put(fakes)
    for number in range(70):
        await eventually(lambda: world.in_flight > number, "the next is started")  # noqa: B023
        pool.mark_slow(fakes[number])
        pool.limit = 1
        pool.pump()
    assert (pool.active, pool.slow, world.in_flight) == (70, 70, 70)
    _finish(fakes)
    await _idle(pool)
    assert (world.done, pool.slow, world.most) == (80, 0, 70)


async def test_it_says_when_its_queue_runs_low(world: World) -> None:
    """Once each time it comes down to the mark, so that more is read in time."""
    pool, fakes = world.pool(5), _fakes(LOW + 20)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 5, "some are started")
    assert world.lows == 0
    _finish(fakes)
    await _idle(pool)
    assert (world.lows, world.done) == (1, LOW + 20)


async def test_cutting_ends_everything(world: World) -> None:
    """Cancelled deliveries leave no place taken and nothing queued."""
    pool, fakes = world.pool(5), _fakes(20)
    pool.put(fakes)
    await eventually(lambda: world.in_flight == 5, "some are started")
    pool.cancel()
    await _idle(pool)
    assert (pool.active, world.in_flight, len(pool.queue)) == (0, 0, 0)
