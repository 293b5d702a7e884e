"""An endpoint is not asked more often than its protocol's rates allow, whoever asks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from engine.app import Engine
from engine.models import (
    Delivered,
    End,
    Limits,
    Message,
    Outcome,
    Rate,
    Retry,
    Subscription,
    Throttled,
)
from engine.policy.rates import spacing
from engine.store.connection import Store
from engine.store.keys import Keys
from engine.store.limiter import Limiter
from engine.testing import RecordingAdapter
from engine.vault import Vault
from tests.engines import all_ended, eventually, names_of_keys, open_engine, snapshot, working
from tests.servers import RedisServer, make_settings
from tests.virtual_time import virtual_runner, virtually

ONE_SHARD: dict[str, Any] = {"shards": 1}
"""Each shard is looked after every few seconds, also of virtual time."""
PAUSE_S = 5.0
NEVER_MS = 2**53


class Platform(RecordingAdapter):
    """Notes when each attempt arrives."""

    def __init__(self, *rates: Rate) -> None:
        super().__init__("bot", limits=Limits(confirm=False, rates=rates))
        self.answers: list[Outcome] = []
        """Given first; then everything is delivered."""
        self.delay_s = 0.0
        self._times: dict[str, list[float]] = {}

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Note the time of the arrival."""
        self._times.setdefault(prepared.endpoint, []).append(asyncio.get_running_loop().time())
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.answers.pop(0) if self.answers else Delivered()

    def times(self, endpoint: str = "group") -> list[float]:
        """When an endpoint was asked."""
        return self._times.get(endpoint, [])

    @property
    def took_s(self) -> float:
        """Seconds from the first arrival to the last."""
        times = self.times()
        return times[-1] - times[0]

    @property
    def worst_overrun_s(self) -> float:
        """By how much a period that saw more than its rate's count was too short, at worst.

        Nothing above 0 is right: a platform would have objected.
        """
        return max(
            (
                rate.period_s - (last - first)
                for rate in self.limits.rates
                for times in self._times.values()
                for first, last in zip(times, times[rate.count :], strict=False)
            ),
            default=0.0,
        )


@asynccontextmanager
async def rated(
    url: str,
    data: Path,
    platform: Platform,
    *,
    groups: Sequence[str] = ("group",),
    **options: Any,
) -> AsyncIterator[tuple[Engine, str]]:
    """An engine, and the URN of a topic that the platform's groups are subscribed to."""
    async with open_engine(url, data, adapters=[platform], **(ONE_SHARD | options)) as engine:
        topic = await engine.create_topic("rated")
        for endpoint in groups:
            await engine.subscribe(topic.urn, "bot", endpoint, confirmed=True)
        yield engine, topic.urn


# Reservations


async def _reserve(engine: Engine, names: Sequence[str], *rates: Rate) -> list[int]:
    return await engine.limiter.reserve("test", names, rates, before_ms=NEVER_MS)


async def test_a_count_may_come_at_once_and_the_next_a_period_later(engine: Engine) -> None:
    """The margin is part of what is kept."""
    times = await _reserve(engine, ["me"] * 7, Rate(3, 50, 10))
    now_ms = engine.clock.now_ms()
    assert all(abs(at_ms - now_ms) < 1_000 for at_ms in times[:3])
    assert [at - times[0] for at in times] == [0, 0, 0, 60_000, 60_000, 60_000, 120_000]


async def test_several_rates_hold_at_once(engine: Engine) -> None:
    """Five a second and ten a minute: the narrower one first, the wider one in the end."""
    times = await _reserve(engine, ["me"] * 21, Rate(5, 1, 0), Rate(10, 60, 0))
    assert [at - times[0] for at in times] == [
        *([0] * 5), *([1_000] * 5), *([60_000] * 5), *([61_000] * 5), 120_000
    ]  # fmt: skip


async def test_one_call_reserves_for_many(engine: Engine) -> None:
    """Subjects are independent and come back in order; a repeated one gets two times."""
    names = [f"endpoint {number}" for number in range(50)]
    times = await _reserve(engine, [*names, names[0]], Rate(1, 60, 0))
    assert len(times) == 51
    assert times[50] - times[0] == 60_000
    assert max(times[:50]) - min(times[:50]) < 1_000


async def test_what_is_held_back_comes_after_the_hold(engine: Engine) -> None:
    """Said twice it is the same; what was reserved for later than that is not made earlier."""
    rate, until_ms = Rate(2, 60, 0), engine.clock.now_ms() + 300_000
    for _ in range(2):
        await engine.limiter.hold("test", "me", (rate,), until_ms=until_ms)
    times = await _reserve(engine, ["me"] * 3, rate)
    assert times == [until_ms, until_ms + 60_000, until_ms + 60_000]
    await engine.limiter.hold("test", "me", (rate,), until_ms=until_ms - 1)
    assert await _reserve(engine, ["me"], rate) == [until_ms + 120_000]


async def test_what_expires_before_its_turn_reserves_nothing(engine: Engine) -> None:
    """Those who come later and may wait for longer get what it would have had."""
    rate = Rate(1, 60, 0)
    (first,) = await _reserve(engine, ["me"], rate)
    hopeless = await engine.limiter.reserve("test", ["me"] * 3, [rate], before_ms=first + 60_000)
    assert hopeless == [first + 60_000] * 3
    assert await _reserve(engine, ["me"], rate) == [first + 60_000]


async def test_reservations_do_not_tell_whom_they_are_about(engine: Engine) -> None:
    """An endpoint may be a secret: keys hold its keyed hash, and nothing holds itself."""
    await _reserve(engine, ["https://hook.example/secret"], Rate(1, 60, 0))
    assert not any("secret" in name for name in await names_of_keys(engine.store))
    assert "secret" not in str(await snapshot(engine.store))


async def test_a_reservation_that_runs_twice_is_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever repeats a call whose answer was lost gets the times that it had."""
    run, replies = engine.store.run, []

    async def twice(*args: object, **how: object) -> object:
        first = await run(*args, **how)  # type: ignore[arg-type]
        replies.append((first, await run(*args, **how)))  # type: ignore[arg-type]
        return first

    monkeypatch.setattr(engine.store, "run", twice)
    times = await _reserve(engine, ["me", "me", "you"], Rate(2, 60, 0))
    assert replies
    assert all(first == second for first, second in replies)
    monkeypatch.undo()
    assert await _reserve(engine, ["me"], Rate(2, 60, 0)) == [times[0] + 60_000]


@dataclass
class Stage:
    """A limiter on a loop in virtual time that Hypothesis can use again and again."""

    runner: asyncio.Runner
    limiter: Limiter


@pytest.fixture
def stage(valkey: RedisServer, tmp_path: Path) -> Iterator[Stage]:
    """The limiter alone."""
    valkey.flush()
    with virtual_runner() as runner:
        store = runner.run(Store.connect(valkey.url, settings=make_settings(tmp_path)))
        yield Stage(runner, Limiter(store, Keys("test:", 3), Vault(bytes(32))))
        runner.run(store.close())


_RATES = st.lists(
    st.builds(Rate, st.integers(1, 6), st.integers(1, 90), st.sampled_from([0, 0.2, 5])),
    min_size=1,
    max_size=3,
)
_CALLS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 8), st.integers(0, 120)), max_size=12)


def test_every_turn_is_the_first_that_the_rates_allow(stage: Stage) -> None:
    """Whenever and however many ask: as early as all windows and those before them permit."""
    world = itertools.count()

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(rates=_RATES, calls=_CALLS)
    def check(rates: list[Rate], calls: list[tuple[float, int, int]]) -> None:
        stage.runner.run(_reserve_beside_a_model(stage.limiter, f"{next(world)}", rates, calls))

    check()


async def _reserve_beside_a_model(
    limiter: Limiter, me: str, rates: list[Rate], calls: list[tuple[float, int, int]]
) -> None:
    clock = limiter._store.clock
    taken: list[int] = []
    for passed_s, count, patience_s in calls:
        await asyncio.sleep(passed_s)
        now_ms = clock.now_ms()
        before_ms = now_ms + patience_s * 1000
        told = await limiter.reserve("test", [me] * count, rates, before_ms=before_ms)
        for at_ms in told:
            earliest_ms = max([now_ms, *taken[-1:]])
            for allowed, length_ms in spacing(rates):
                if len(taken) >= allowed:
                    earliest_ms = max(earliest_ms, taken[-allowed] + length_ms)
            assert at_ms == earliest_ms
            if at_ms < before_ms:
                taken.append(at_ms)


# Deliveries, in virtual time


ROBOTS = {
    "20 a minute": ((Rate(20, 60, 5),), 240),
    "5 a second and 100 a minute": ((Rate(5, 1, 0.2), Rate(100, 60, 5)), 19),
}
"""Rates as group robots document them, and the seconds that they allow 100 messages to take."""
TWENTY = Rate(20, 60, 5)


@pytest.mark.parametrize(("rates", "best_s"), ROBOTS.values(), ids=ROBOTS.keys())
def test_a_burst_is_spread_out(
    redis_url: str, tmp_path: Path, rates: tuple[Rate, ...], best_s: float
) -> None:
    """All arrive, no rate is overstepped, no try spent, and hardly any time wasted."""
    platform = Platform(*rates)
    platform.delay_s = 0.08

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, 100)
                await all_ended(engine, pause=PAUSE_S)
            lines = await engine.delivery_log(urn, limit=200)
        assert {(line.status, len(line.attempts)) for line in lines} == {("DELIVERED", 1)}

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 100
    assert platform.took_s <= 1.25 * best_s


def test_workers_share_a_rate(redis_url: str, tmp_path: Path) -> None:
    """Three of them are no faster than one."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with (
            rated(redis_url, tmp_path, platform) as (engine, urn),
            working(engine, "w-1"),
            working(engine, "w-2"),
            working(engine, "w-3"),
        ):
            await _publish(engine, urn, 60)
            await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 60
    assert platform.took_s <= 1.25 * 120


def test_turns_that_nobody_used_do_not_come_at_once(redis_url: str, tmp_path: Path) -> None:
    """All workers are gone while turns pass; who comes reserves anew."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            async with working(engine, "w-1"):
                await _publish(engine, urn, 100)
                await eventually(lambda: len(platform.times()) == 20, "the first", pause=PAUSE_S)
            await asyncio.sleep(600)
            async with working(engine, "w-2"):
                await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 100
    assert platform.times()[-1] - platform.times()[20] <= 1.25 * 180


def test_another_try_takes_another_turn(redis_url: str, tmp_path: Path) -> None:
    """What failed waits out its delay, and then as everybody for the rate."""
    platform = Platform(TWENTY)
    platform.answers = [Retry("busy")] * 20

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform, retry_delays=(1.0,)) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, 40)
                await all_ended(engine, pause=PAUSE_S)
            assert not await engine.dead_letters(urn)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 60


def test_an_endpoint_that_objects_all_the_same_is_left_alone(
    redis_url: str, tmp_path: Path
) -> None:
    """Somebody else sends there, too: nothing goes until the time it names, and no try is spent."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, 1)
                await eventually(platform.times, "the first", pause=PAUSE_S)
                platform.answers = [Throttled(engine.clock.now_ms() + 600_000)]
                await _publish(engine, urn, 39)
                await all_ended(engine, pause=PAUSE_S)
            lines = await engine.delivery_log(urn, limit=200)
        assert {(line.status, len(line.attempts)) for line in lines} == {("DELIVERED", 1)}

    virtually(scene)
    times = platform.times()
    # What was under way with the one that met the objection could not know of it.
    early = [at for at in times if at < times[0] + 590]
    assert len(early) <= 1 + 20
    assert len(times) == 40 + 1
    assert platform.worst_overrun_s <= 0


def test_what_one_worker_was_told_all_know(redis_url: str, tmp_path: Path) -> None:
    """Another worker, or the same after a new start, does not ask the endpoint to be told again."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            async with working(engine, "w-1"):
                platform.answers = [Throttled(engine.clock.now_ms() + 600_000)]
                await _publish(engine, urn, 1)
                await eventually(platform.times, "the first", pause=PAUSE_S)
            async with working(engine, "w-2"):
                await _publish(engine, urn, 10)
                await asyncio.sleep(500)
                assert len(platform.times()) == 1
                await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert len(platform.times()) == 1 + 11


def test_a_burst_that_outlasts_its_time_to_live_expires(redis_url: str, tmp_path: Path) -> None:
    """What had no turn in time is a dead letter with no attempt; later messages go on."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, 100, ttl=100)
                await _publish(engine, urn, 10)
                await all_ended(engine, pause=PAUSE_S)
            dead = await engine.dead_letters(urn)
        assert [(letter.end, letter.tries) for letter in dead] == [(End.EXPIRED, 0)] * 60

    virtually(scene)
    # The hopeless took nobody's turn: the ten went in the third window, not in the sixth.
    assert len(platform.times()) == 40 + 10
    assert 120 <= platform.took_s <= 1.25 * 120
    assert platform.worst_overrun_s <= 0


def test_what_finds_no_place_in_its_turn_takes_another(redis_url: str, tmp_path: Path) -> None:
    """An endpoint that hangs has its places taken: whoever is too late for its turn is not sent."""
    platform = Platform(Rate(5, 1, 0.2))
    platform.delay_s = 3.0

    async def scene() -> None:
        async with (
            rated(redis_url, tmp_path, platform, endpoint_in_flight=2) as (engine, urn),
            working(engine),
        ):
            await _publish(engine, urn, 20)
            await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 20


def test_endpoints_of_a_page_do_not_share_a_rate(redis_url: str, tmp_path: Path) -> None:
    """One message to forty of them goes to all at once, the next ones to each in its turn."""
    platform = Platform(Rate(1, 60, 5))
    groups = [f"group-{number}" for number in range(40)]

    async def scene() -> None:
        async with (
            rated(redis_url, tmp_path, platform, groups=groups) as (engine, urn),
            working(engine),
        ):
            await _publish(engine, urn, 3)
            await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    for group in groups:
        first, second, third = platform.times(group)
        assert 60 <= second - first <= 66
        assert 60 <= third - second <= 66


def test_a_batch_that_workers_died_of_waits_for_its_turns(redis_url: str, tmp_path: Path) -> None:
    """Seat by seat, and each at its rate: the suspicion outlives the wait."""
    platform = Platform(TWENTY)

    async def scene() -> None:
        async with rated(redis_url, tmp_path, platform) as (engine, urn):
            # As if every batch had been claimed too often.
            engine.settings = engine.settings.model_copy(update={"max_claims": 0})
            async with working(engine):
                await _publish(engine, urn, 50)
                await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 50


async def _publish(engine: Engine, urn: str, count: int, **options: Any) -> None:
    for number in range(count):
        await engine.publish(urn, f"number {number}", **options)


@pytest.mark.slow
async def test_a_burst_is_spread_out_in_real_time(redis_url: str, tmp_path: Path) -> None:
    """As in virtual time, with all that takes time in truth."""
    platform = Platform(Rate(5, 1, 0.25))
    async with rated(redis_url, tmp_path, platform) as (engine, urn), working(engine):
        await _publish(engine, urn, 30)
        await all_ended(engine)
    assert platform.worst_overrun_s <= 0
    assert len(platform.times()) == 30
    assert platform.took_s <= 1.25 * 5 * 1.25
