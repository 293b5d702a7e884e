"""One limiter for all processes: windows with penalties. Rates: see `test_rates`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from engine.app import Engine
from engine.models import Window
from engine.store.connection import Store
from engine.store.keys import Keys
from engine.store.limiter import Ask, Grant, Limiter
from engine.vault import Vault
from tests.engines import eventually, names_of_keys, snapshot
from tests.servers import RedisServer, make_settings

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


async def test_a_closed_window_without_penalty_opens_with_the_next(engine: Engine) -> None:
    """Who is refused is told when the window ends."""
    window = Window(count=1, period_s=60, penalty_s=0)
    assert await engine.limiter.take("test", "me", [window]) == 0
    began = engine.clock.now_ms()
    until_ms = await engine.limiter.take("test", "me", [window])
    assert abs(until_ms - began - 60_000) < 1000


async def test_a_granted_window_opens_again(engine: Engine) -> None:
    """When it has passed it counts from nothing, and nothing goes back into it any more."""
    ask = Ask("test", "me", Window(2, 1, 0), 3)
    (first,) = await engine.limiter.grant([ask])
    assert first.events == 2

    async def anew() -> bool:
        return (await engine.limiter.grant([ask]))[0].events == 2

    await eventually(anew, "the window opens")
    await engine.limiter.give_back([ask], [first], [2])
    assert (await engine.limiter.grant([ask]))[0].events == 0


async def test_one_call_grants_for_many(engine: Engine) -> None:
    """In order, each subject for itself."""
    asks = [Ask("test", str(number), Window(number, 60, 0), 5) for number in range(10)]
    grants = await engine.limiter.grant(asks)
    assert [grant.events for grant in grants] == [0, 1, 2, 3, 4, 5, 5, 5, 5, 5]


@pytest.fixture
def windows(valkey: RedisServer, tmp_path: Path) -> Iterator[tuple[asyncio.Runner, Limiter]]:
    """A limiter on a loop that Hypothesis can use again and again."""
    valkey.flush()
    with asyncio.Runner() as runner:
        settings = make_settings(tmp_path)
        store = runner.run(Store.connect(valkey.url, settings=settings))
        yield runner, Limiter(store, Keys("test:", 3), Vault(bytes(32)))
        runner.run(store.close())


Step = tuple[str, str, int]
_STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "grant", "give"]), st.sampled_from("ab"), st.integers(0, 6)),
    max_size=25,
)


def test_a_window_never_lets_more_through_than_its_count(
    windows: tuple[asyncio.Runner, Limiter],
) -> None:
    """Whatever is taken, granted and given back, a window holds what is used and no more."""
    runner, limiter = windows
    world = itertools.count()

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(steps=_STEPS, count=st.integers(1, 8))
    def check(steps: list[Step], count: int) -> None:
        runner.run(_walk(limiter, f"world-{next(world)}", Window(count, 600, 0), steps))

    check()


async def _walk(limiter: Limiter, purpose: str, window: Window, steps: list[Step]) -> None:
    """Take the steps beside a model: per subject what is granted and in use."""
    used = {"a": 0, "b": 0}
    taken = {"a": 0, "b": 0}
    grants: dict[str, list[tuple[Ask, Grant]]] = {"a": [], "b": []}
    for step, subject, events in steps:
        if step == "take":
            allowed = await limiter.take(f"take {purpose}", subject, [window]) == 0
            assert allowed == (taken[subject] < window.count)
            taken[subject] += allowed
        elif step == "grant":
            ask = Ask(purpose, subject, window, events)
            (grant,) = await limiter.grant([ask])
            assert grant.events == min(events, window.count - used[subject])
            used[subject] += grant.events
            grants[subject].append((ask, grant))
        elif grants[subject]:
            ask, grant = grants[subject].pop()
            unused = min(events, grant.events)
            await limiter.give_back([ask], [grant], [unused])
            used[subject] -= unused
