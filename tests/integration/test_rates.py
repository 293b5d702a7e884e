"""An endpoint is not asked more often than its protocol's rates allow, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.app import Engine
from engine.models import Delivered, Limits, Outcome, Rate, Subscription
from engine.models import Message as Content
from engine.testing import RecordingAdapter
from tests.engines import all_ended, names_of_keys, open_engine, snapshot, working

FAST = Rate(5, 0.4, 0.1)
"""Five in any 0.4 s; the engine keeps half a second."""
NEVER_MS = 2**53


class Platform(RecordingAdapter):
    """Notes when each send arrives, and what it objects to."""

    def __init__(self, *rates: Rate, confirm: bool = False) -> None:
        super().__init__("bot", limits=Limits(confirm=confirm, rates=rates))
        self.arrived: dict[str, list[float]] = {}
        self.answers: list[Outcome] = []

    async def send(self, content: Content, prepared: Subscription) -> Outcome:
        """Note the time of the arrival."""
        await super().send(content, prepared)
        self.arrived.setdefault(prepared.endpoint, []).append(asyncio.get_running_loop().time())
        return self.answers.pop(0) if self.answers else Delivered()

    @property
    def worst(self) -> list[float]:
        """The time by which each rate was overstepped, most of all endpoints; never above 0."""
        return [
            max(
                (
                    rate.period_s - (last - first)
                    for times in self.arrived.values()
                    for first, last in zip(times, times[rate.count :], strict=False)
                ),
                default=0.0,
            )
            for rate in self.limits.rates
        ]

    def keeps_its_rates(self) -> bool:
        """Whether no period has seen more than its rate's count."""
        return max(self.worst) <= 0


@asynccontextmanager
async def rated(
    url: str, data: Path, platform: Platform, *endpoints: str
) -> AsyncIterator[tuple[Engine, str]]:
    """An engine with the platform's endpoints subscribed to a topic; its URN."""
    async with open_engine(url, data, adapters=[platform]) as engine:
        topic = await engine.create_topic("rated")
        for endpoint in endpoints or ("group",):
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
        replies.append(await run(*args, **how))  # type: ignore[arg-type]
        replies.append(await run(*args, **how))  # type: ignore[arg-type]
        return replies[-1]

    monkeypatch.setattr(engine.store, "run", twice)
    times = await _reserve(engine, ["me", "me", "you"], Rate(2, 60, 0))
    assert replies[::2] == replies[1::2]
    monkeypatch.undo()
    assert await _reserve(engine, ["me"], Rate(2, 60, 0)) == [times[0] + 60_000]


# Deliveries


async def test_a_burst_is_spread_out(redis_url: str, tmp_path: Path) -> None:
    """No rate is overstepped where it arrives, nothing is lost, no try spent, no time wasted."""
    platform = Platform(FAST)
    async with rated(redis_url, tmp_path, platform) as (engine, urn), working(engine):
        for number in range(30):
            await engine.publish(urn, f"number {number}")
        await all_ended(engine)
        lines = await engine.delivery_log(urn, limit=100)
    times = platform.arrived["group"]
    assert (len(times), platform.keeps_its_rates()) == (30, True), platform.worst
    assert all(len(line.attempts) <= 1 for line in lines)
    assert times[-1] - times[0] <= 1.25 * 5 * 0.5
