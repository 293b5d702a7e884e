"""Places: what is known of an endpoint decides how many deliveries may be under way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from engine.pipeline import places
from engine.pipeline.batch import Batch, Delivery
from engine.pipeline.pages import Entry
from engine.pipeline.places import Places
from engine.settings import Settings
from engine.testing import ManualClock
from tests.batches import MESSAGE, claimed, entry
from tests.engines import eventually

QUICK_MS, SILENT_MS = 5, 5_000


class World:
    """Places over deliveries that take as long as the test wants, and what became of them."""

    def __init__(self, settings: Settings) -> None:
        self.places = Places(ManualClock(), settings, self._start, self._postpone, lambda: None)
        self.batch = Batch(**claimed("http"))
        self.batch.message = MESSAGE
        self.going: dict[int, asyncio.Future[int]] = {}
        self.postponed: list[int] = []

    def put(self, seats: range, at: Entry, reserved_ms: int = 0) -> None:
        """Deliveries to one endpoint."""
        self.places.put([Delivery(self.batch, seat, at, 0, reserved_ms) for seat in seats])

    async def has(self, going: set[int], postponed: set[int]) -> None:
        """Wait until exactly these are under way, and those postponed."""
        await eventually(
            lambda: (set(self.going), set(self.postponed)) == (going, postponed),
            f"{going} are under way and {postponed} postponed",
        )

    def succeed(self, seat: int) -> None:
        """Let a delivery end well."""
        self.going.pop(seat).set_result(0)

    def fail(self, seat: int, took_ms: int) -> None:
        """Let a delivery fail, after so long as its endpoint is told to have taken."""
        self.going.pop(seat).set_result(took_ms)

    def _start(self, delivery: Delivery) -> Any:
        if self.places.take(delivery):
            delivery.started = asyncio.get_running_loop().time()
            return self._send(delivery)
        self.places.pass_on(delivery.entry.state)
        return None

    async def _send(self, delivery: Delivery) -> None:
        state = delivery.entry.state
        self.going[delivery.seat] = asyncio.get_running_loop().create_future()
        took_ms = await self.going[delivery.seat]
        self.places.leave(delivery)
        if took_ms:
            self.places.failed(state, took_ms)
        else:
            self.places.succeeded(state)
        self.places.pass_on(state)

    def _postpone(self, deliveries: Sequence[Delivery], _: int) -> None:
        self.postponed += [delivery.seat for delivery in deliveries]


@pytest.fixture
async def world(settings: Settings) -> World:
    """Nothing under way, and nothing known of any endpoint."""
    return World(settings)


async def test_an_unknown_endpoint_shows_what_it_is_before_it_gets_more(world: World) -> None:
    """The first delivery goes alone, and with its success all others."""
    world.put(range(4), entry("a" * 32))
    await world.has({0}, set())
    world.succeed(0)
    await world.has({1, 2, 3}, set())


async def test_endpoints_do_not_wait_for_one_another(world: World) -> None:
    """Each is unknown by itself."""
    world.put(range(2), entry("a" * 32))
    world.put(range(2, 4), entry("b" * 32))
    await world.has({0, 2}, set())


async def test_after_a_quick_failure_the_next_may_try(world: World) -> None:
    """A refusal costs little: they go one after another."""
    world.put(range(3), entry("a" * 32))
    for seat in range(3):
        await world.has({seat}, set())
        world.fail(seat, QUICK_MS)


async def test_nobody_waits_behind_a_silent_endpoint(world: World) -> None:
    """As soon as it shows; who comes later is sent away as well, and all after the time-out."""
    at = entry("a" * 32)
    world.put(range(3), at)
    await world.has({0}, {1, 2})
    world.put(range(3, 5), at)
    await world.has({0}, {1, 2, 3, 4})
    world.fail(0, SILENT_MS)
    await eventually(lambda: at.state.suspect, "it is a suspect")


async def test_who_has_a_reserved_time_stays_behind_a_slow_endpoint(world: World) -> None:
    """The time would be lost elsewhere."""
    world.put(range(2), entry("a" * 32), reserved_ms=1)
    world.put(range(2, 4), entry("b" * 32))
    await world.has({0, 2}, {3})  # by then both have been silent for as long
    world.succeed(0)
    await world.has({1, 2}, {3})


async def test_behind_a_suspect_nobody_stays(world: World) -> None:
    """Not even who has a reserved time."""
    world.put(range(2), entry("a" * 32), reserved_ms=1)
    await world.has({0}, set())
    world.fail(0, SILENT_MS)
    await world.has(set(), {1})


async def test_a_proven_endpoint_that_falls_silent_is_unknown_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way stays; what waits behind it is sent away."""
    at = entry("a" * 32)
    at.state.proven = True
    monkeypatch.setattr(places, "_SLOW_S", 0.05)
    bound = Settings().endpoint_in_flight
    world.put(range(bound + 1), at)
    await world.has(set(range(bound)), {bound})
    assert not at.state.proven
    world.put(range(bound + 1, bound + 2), at)
    await world.has(set(range(bound)), {bound, bound + 1})


async def test_who_is_tried_alone_waits_behind_nobody(world: World) -> None:
    """It would start when another seat is named as the one that is tried."""
    at = entry("a" * 32)
    world.put(range(1), at)
    await world.has({0}, set())
    world.batch.row.solo = 1
    world.put(range(1, 2), at)
    await world.has({0}, {1})
