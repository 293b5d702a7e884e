"""One limiter for all processes: windows with penalties, and rates."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from engine.app import Engine
from engine.models import Limits, Window
from engine.testing import RecordingAdapter
from tests.engines import all_ended, eventually, names_of_keys, open_engine, snapshot, working

WINDOW = Window(count=3, period_s=60, penalty_s=600)


async def test_a_window_lets_its_count_through(engine: Engine) -> None:
    """Then it says until when it is closed: its penalty."""
    allowed = [await engine.limiter.take("test", "me", [WINDOW]) for _ in range(3)]
    assert allowed == [0, 0, 0]
    until_ms = await engine.limiter.take("test", "me", [WINDOW])
    assert abs(until_ms - engine.clock.now_ms() - 600_000) < 5_000


async def test_subjects_and_purposes_are_counted_apart(engine: Engine) -> None:
    """One that is closed closes no other."""
    for _ in range(4):
        await engine.limiter.take("test", "me", [WINDOW])
    assert await engine.limiter.take("test", "you", [WINDOW]) == 0
    assert await engine.limiter.take("other", "me", [WINDOW]) == 0
    assert await engine.limiter.take("test", "me", [WINDOW]) > 0


async def test_racing_takers_share_a_window(engine: Engine) -> None:
    """However many ask at once, only its count is let through."""
    replies = await asyncio.gather(
        *(engine.limiter.take("test", "me", [WINDOW]) for _ in range(20))
    )
    assert replies.count(0) == 3


async def test_a_window_opens_again(engine: Engine) -> None:
    """After period and penalty events are let through again."""
    window = Window(count=1, period_s=1, penalty_s=1)
    assert await engine.limiter.take("test", "me", [window]) == 0
    assert await engine.limiter.take("test", "me", [window]) > 0

    async def open_again() -> bool:
        return await engine.limiter.take("test", "me", [window]) == 0

    began = engine.clock.now_ms()
    await eventually(open_again, "the window opens")
    assert engine.clock.now_ms() - began >= 900


async def test_all_windows_must_have_room(engine: Engine) -> None:
    """If one of several is full none is charged."""
    wide, narrow = Window(10, 60, 600), Window(1, 60, 600)
    assert await engine.limiter.take("test", "me", [wide, narrow]) == 0
    before = await snapshot(engine.store)
    assert await engine.limiter.take("test", "me", [wide, narrow]) > 0
    after = await snapshot(engine.store)
    counts = [
        [fields[b"count"] for name, fields in sorted(state.items()) if ":limit:" in name]
        for state in (before, after)
    ]
    assert counts[0] == counts[1] == [b"1", b"1"]


async def test_a_cleared_subject_starts_anew(engine: Engine) -> None:
    """Clearing forgets counts and penalties."""
    for _ in range(4):
        await engine.limiter.take("test", "me", [WINDOW])
    await engine.limiter.clear("test", "me", [WINDOW])
    assert await engine.limiter.take("test", "me", [WINDOW]) == 0


async def test_without_windows_nothing_is_asked(engine: Engine) -> None:
    """No limit costs no key."""
    before = await names_of_keys(engine.store)
    assert await engine.limiter.take("test", "me", []) == 0
    assert await names_of_keys(engine.store) == before


async def test_limits_do_not_tell_whom_they_are_about(engine: Engine) -> None:
    """A subject may be a secret: keys hold its keyed hash."""
    await engine.limiter.take("test", "https://hook.example/secret", [WINDOW])
    assert not any("secret" in name for name in await names_of_keys(engine.store))


async def test_reservations_are_spaced_by_the_rate(engine: Engine) -> None:
    """Beyond the burst each one is told a time of its own, as far apart as the rate says."""
    times = [(await engine.limiter.reserve("test", ["me"], rate=10, burst=3))[0] for _ in range(6)]
    now_ms = engine.clock.now_ms()
    assert all(abs(at_ms - now_ms) < 100 for at_ms in times[:3])
    assert all(90 <= later - earlier <= 110 for earlier, later in pairwise(times[3:]))


async def test_one_call_reserves_for_many(engine: Engine) -> None:
    """Subjects are independent and come back in order; a repeated one gets two times."""
    names = [f"endpoint {number}" for number in range(50)]
    times = await engine.limiter.reserve("test", [*names, names[0]], rate=1, burst=1)
    assert len(times) == 51
    assert times[50] - times[0] >= 900
    assert max(times[:50]) - min(times[:50]) < 500


async def test_an_adapters_rate_is_kept(redis_url: str, tmp_path: Path) -> None:
    """A protocol that declares a rate for each endpoint is not sent to any faster."""
    adapter = RecordingAdapter("test", limits=Limits(confirm=False, rate=10, burst=1))
    at: list[float] = []
    judge = adapter.send

    async with open_engine(redis_url, tmp_path) as engine:

        async def noted(*args: object) -> object:
            at.append(asyncio.get_running_loop().time())
            return await judge(*args)  # type: ignore[arg-type]

        adapter.send = noted  # type: ignore[assignment,method-assign]
        engine.adapters["test"] = adapter
        topic = await engine.create_topic("rated")
        await engine.subscribe(topic.urn, "test", "slow", confirmed=True)
        async with working(engine):
            for number in range(6):
                await engine.publish(topic.urn, f"number {number}")
            await all_ended(engine)
    assert len(at) == 6
    assert at[-1] - at[0] >= 0.45
