"""Rounds under way: who leaves them, what is changed, deleted or redriven, workers that stop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from engine.models import Delivered, End, Retry, Throttled
from tests.engines import all_ended, eventually, working
from tests.rounds import (
    CALL_S,
    PAUSE_S,
    PROTOCOL,
    Phones,
    Play,
    World,
    deliver,
    number_of,
    player,
    publish,
)


@pytest.fixture
def play(redis_url: str, tmp_path: Path) -> Play:
    """Runs a scene with some rounds of phones, in virtual time."""
    return player(redis_url, tmp_path)


@pytest.mark.parametrize("how", ["removed", "cancelled"])
def test_who_leaves_is_not_waited_for(play: Any, how: str) -> None:
    """A phone whose subscription ends while it waits for the gateway has ended its round."""
    phones = Phones()

    async def scene(world: World) -> None:
        until_ms = world.engine.clock.now_ms() + 3_600_000
        phones.answers |= {"a": Throttled(until_ms)}
        await publish(world)
        async with working(world.engine):
            await eventually(lambda: phones.ended, "it was called", pause=PAUSE_S)
            await asyncio.sleep(5)
            phones.answers.clear()
            await world.leave("a", how)
            left = asyncio.get_running_loop().time()
            await all_ended(world.engine, pause=PAUSE_S)
        assert phones.at("b") - left < 12

    play(phones, "a / b", scene)
    assert phones.called() == ["a", "b"]


def test_a_policy_that_changes_changes_nothing_under_way(play: Any) -> None:
    """The next message has the new rounds."""
    phones = Phones()

    async def scene(world: World) -> None:
        await publish(world)
        async with working(world.engine):
            await eventually(lambda: phones.calls, "the first call", pause=PAUSE_S)
            await world.set_rounds("c / a")
            await publish(world, "flood")
            await all_ended(world.engine, pause=PAUSE_S)

    play(phones, "a / b / c", scene)
    assert phones.called() == ["a", "b", "c"]
    assert sorted(phones.called("flood")[:2]) == ["b", "c"]
    assert phones.called("flood")[2:] == ["a"]


def test_who_waits_for_a_round_expires_like_others(play: Any) -> None:
    """At the message's deadline everything ends, called or not."""
    phones = Phones()

    async def scene(world: World) -> None:
        phones.answers |= {"a": Throttled(world.engine.clock.now_ms() + 3_600_000)}
        await publish(world, ttl=60)
        began = asyncio.get_running_loop().time()
        await deliver(world)
        assert asyncio.get_running_loop().time() - began < 63
        assert {letter.end for letter in await world.engine.dead_letters()} == {End.EXPIRED}
        assert await world.ends() == dict.fromkeys("abc", "FAIL_DELIVERED")

    play(phones, "a / b / c", scene)
    assert phones.called() == ["a"]


def test_a_topic_that_is_deleted_calls_nobody_more(play: Any) -> None:
    """That its subscriptions are gone is no reason for the next round."""
    phones = Phones()

    async def scene(world: World) -> None:
        await publish(world)
        async with working(world.engine):
            await eventually(lambda: phones.calls, "the first call", pause=PAUSE_S)
            await world.engine.topics.delete(world.urn)
            await world.engine.retention.purge(0)
            await asyncio.sleep(3 * CALL_S)

    play(phones, "a / b", scene)
    assert phones.called() == ["a"]


def test_what_is_redriven_is_called_at_once(play: Any) -> None:
    """In no order, and with all its tries."""
    phones = Phones()
    busy = Retry("busy", 200, unanswered=True)

    async def scene(world: World) -> None:
        await publish(world)
        await deliver(world)
        phones.calls.clear()
        phones.answers |= {"a": busy, "c": Delivered(200)}
        assert await world.engine.redrive() == 3
        await deliver(world)

    play(phones, "a / b / c", scene)
    assert sorted(phones.called()) == ["a", "a", "a", "b", "c"]
    assert abs(phones.at("a") - phones.at("c")) < 1


def test_a_redrive_that_is_answered_ends_the_rounds(play: Any) -> None:
    """Who is redriven while a later round still waits may spare the others the call."""
    phones = Phones()

    async def scene(world: World) -> None:
        engine = world.engine
        await engine.subscribe_many(world.urn, PROTOCOL, [number_of(f"x{n}") for n in range(255)])
        await world.subscribe("b c")
        await world.set_rounds("a / b / c")
        await publish(world)
        phones.answers |= {"b": Throttled(engine.clock.now_ms() + 600_000)}
        async with working(engine):
            await eventually(lambda: "b" in phones.called(), "the second round", pause=PAUSE_S)
            phones.answers |= {"a": Delivered(200)}
            # As long as calls of its page are under way none of them is redriven.
            assert await eventually(engine.redrive, "the page has ended", pause=5) == 256
            await all_ended(engine, pause=5)

    play(phones, "a", scene)
    assert "c" not in phones.called()


def test_a_worker_that_stops_leaves_the_rounds_as_they_are(play: Any) -> None:
    """The next one goes on: nobody is called twice, nobody left out."""
    phones = Phones()

    async def scene(world: World) -> None:
        await publish(world)
        for number in range(8):
            async with working(world.engine, f"w-{number}"):
                await asyncio.sleep(9)
        await deliver(world)

    play(phones, "a b / c / d", scene, drain_seconds=60)
    assert sorted(phones.called()[:2]) + phones.called()[2:] == ["a", "b", "c", "d"]


def test_a_batch_that_is_run_seat_by_seat_keeps_the_rounds(play: Any) -> None:
    """One call at a time, in order, until somebody answers."""
    phones = Phones(c=Delivered(200))

    async def scene(world: World) -> None:
        engine = world.engine
        # As if the batch had been claimed too often, every time.
        engine.settings = engine.settings.model_copy(update={"max_claims": 0})
        await publish(world)
        await deliver(world)

    play(phones, "a b / c / d", scene)
    assert phones.called() == ["a", "b", "c"]
    assert phones.at("b") >= phones.until("a")


def test_two_workers_share_many_messages(play: Any) -> None:
    """Each message has its own rounds."""
    phones = Phones(c=Delivered(200))
    texts = [f"alarm {number}" for number in range(40)]

    async def scene(world: World) -> None:
        for text in texts:
            await publish(world, text)
        async with working(world.engine, "w-1"), working(world.engine, "w-2"):
            await all_ended(world.engine, pause=PAUSE_S)

    play(phones, "a b / c / d", scene)
    by_text: dict[str, list[str]] = defaultdict(list)
    for text, name, _ in phones.calls:
        by_text[text].append(name)
    assert set(by_text) == set(texts)
    assert all(sorted(called[:2]) + called[2:] == ["a", "b", "c"] for called in by_text.values())
