"""A polling policy is honoured: round by round, until somebody answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.models import Delivered, End, FilterPolicy, Limits, Retry, Throttled
from tests.engines import all_ended, eventually, keys_about, working
from tests.rounds import (
    PAUSE_S,
    PROMPT_S,
    PROTOCOL,
    UNANSWERED,
    Phones,
    Play,
    World,
    deliver,
    number_of,
    opened,
    player,
    publish,
)


@pytest.fixture
def play(redis_url: str, tmp_path: Path) -> Play:
    """Runs a scene with some rounds of phones, in virtual time."""
    return player(redis_url, tmp_path)


def test_rounds_come_one_after_another(play: Any) -> None:
    """All of a round are called at once, the next ones when all those have ended, and promptly."""
    phones = Phones()

    async def scene(world: World) -> None:
        await publish(world)
        await deliver(world)
        assert await world.ends() == dict.fromkeys("abcdef", "FAIL_DELIVERED")
        assert [letter.end for letter in await world.engine.dead_letters()] == [End.REJECTED] * 6

    play(phones, "a b / c / d e f", scene)
    assert sorted(phones.called()) == list("abcdef")
    assert abs(phones.at("a") - phones.at("b")) < 1
    for earlier, later in (("ab", "c"), ("c", "def")):
        ended = max(phones.until(name) for name in earlier)
        for name in later:
            assert 0 <= phones.at(name) - ended < PROMPT_S


def test_who_answers_ends_it(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The others of the round are called, later ones are not: no line, no letter, a reason."""
    caplog.set_level("INFO", "engine.pipeline.rounds")
    phones = Phones(b=Delivered(200))

    async def scene(world: World) -> None:
        message_id = await publish(world)
        await deliver(world)
        assert await world.ends() == {"a": "FAIL_DELIVERED", "b": "DELIVERED"}
        assert [letter.subscription_id for letter in await world.engine.dead_letters()] == [
            world.urns["a"][-32:]
        ]
        (record,) = (one for one in caplog.records if one.message == "rounds.answered")
        said = vars(record)
        assert said["message_id"] == message_id
        assert said["not_called"] == [world.urns[name][-32:] for name in "cd"]

    play(phones, "a b / c / d", scene)
    assert sorted(phones.called()) == ["a", "b"]


def test_the_second_round_answers(play: Any) -> None:
    """The third is not called."""
    phones = Phones(b=Delivered(200))

    async def scene(world: World) -> None:
        await publish(world)
        await deliver(world)

    play(phones, "a / b / c", scene)
    assert phones.called() == ["a", "b"]


def test_nothing_is_left_of_what_all_answered(play: Any) -> None:
    """A message that has ended takes its rounds and marks along."""
    phones = Phones(a=Delivered(200))

    async def scene(world: World) -> None:
        message_id = await publish(world)
        await deliver(world)
        assert await keys_about(world.engine, message_id) == set()

    play(phones, "a / b", scene)


def test_who_is_in_no_round_is_called_at_once(play: Any) -> None:
    """And stops nobody by answering."""
    phones = Phones(x=Delivered(200))

    async def scene(world: World) -> None:
        await world.subscribe("x")
        await publish(world)
        await deliver(world)

    play(phones, "a / b", scene)
    assert sorted(phones.called()) == ["a", "b", "x"]
    assert abs(phones.at("a") - phones.at("x")) < 1
    assert phones.at("b") >= phones.until("a")


def test_without_a_policy_everybody_is_called(play: Any) -> None:
    """At once, and neither is there one after it was removed."""
    phones = Phones()

    async def scene(world: World) -> None:
        policy = await world.set_rounds("a / b")
        await world.engine.notify_policies.delete(world.urn, policy)
        await publish(world)
        await deliver(world)

    play(phones, "a / b", scene)
    assert abs(phones.at("a") - phones.at("b")) < 1


def test_a_gateway_that_is_down_is_no_call(play: Any) -> None:
    """It is asked again by the usual schedule; when all tries are spent the round has ended."""
    phones = Phones(a=Retry("HTTP 500", 500))

    async def scene(world: World) -> None:
        await publish(world)
        await deliver(world)
        letters = await world.engine.dead_letters()
        assert [letter.end for letter in letters] == [End.EXHAUSTED, End.REJECTED]

    play(phones, "a / b", scene)
    assert phones.called() == ["a", "a", "a", "b"]


def test_a_call_that_nobody_took_is_one_call(play: Any) -> None:
    """Another try that the gateway would allow is somebody else's; without rounds it is made."""
    busy = Retry("busy", 200, unanswered=True)
    phones = Phones(a=busy, b=busy, x=busy)

    async def scene(world: World) -> None:
        await world.subscribe("x")
        await publish(world)
        await deliver(world)

    play(phones, "a / b", scene)
    assert sorted(phones.called()) == ["a", "b", "x", "x", "x"]


def test_who_is_asked_to_wait_holds_the_rounds_up(play: Any) -> None:
    """A throttled call is none: the next round is after it."""
    phones = Phones()

    async def scene(world: World) -> None:
        until_ms = world.engine.clock.now_ms() + 300_000
        phones.answers |= {"a": [Throttled(until_ms), UNANSWERED]}
        await publish(world)
        await deliver(world)

    play(phones, "a / b", scene)
    assert phones.called() == ["a", "a", "b"]
    assert phones.at("b") - phones.at("a") > 300


@pytest.mark.parametrize("why", ["removed", "unconfirmed", "filtered", "cancelled"])
def test_who_is_not_owed_the_message_is_not_waited_for(play: Any, why: str) -> None:
    """A first round of such is over at once."""
    phones = Phones()

    async def scene(world: World) -> None:
        engine = world.engine
        match why:
            case "removed" | "cancelled":
                await world.leave("a", why)
            case "filtered":
                for name, site in (("a", "north"), ("b", "south")):
                    policy = FilterPolicy("site", (site,))
                    await engine.filter_policies.create(world.urns[name], [policy])
            case _:
                await world.leave("a", "removed")
                phones.limits = Limits(confirm=True, rounds=True)
                await world.subscribe("a", confirmed=False)
                await world.set_rounds("a / b")
        attributes = [{"name": "site", "type": "STRING", "value": "south"}]
        await publish(world, attributes=attributes if why == "filtered" else None)
        began = asyncio.get_running_loop().time()
        async with working(engine):
            await eventually(lambda: "b" in phones.called(), "the second round", pause=PAUSE_S)
            assert phones.at("b") - began < PROMPT_S
            await all_ended(engine, pause=PAUSE_S)

    play(phones, "a / b", scene)
    assert phones.called() == ["b"]


def test_rounds_over_several_pages(play: Any) -> None:
    """Who sits where makes no difference, and the hundreds in no round hold nobody up."""
    phones = Phones(e=Delivered(200))

    async def scene(world: World) -> None:
        await world.engine.subscribe_many(
            world.urn, PROTOCOL, [number_of(f"x{n}") for n in range(300)]
        )
        await world.subscribe("d e f")
        pages = {name: (await world.place(name))[0] for name in world.urns}
        assert pages == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 1}
        await world.set_rounds("d a / b / e / c f")
        await publish(world)
        await deliver(world)
        assert len(await world.engine.delivery_log(world.urn)) == 304

    play(phones, "a b c", scene)
    named = [name for name in phones.called() if name[0] != "x"]
    assert [sorted(named[:2]), *named[2:]] == [["a", "d"], "b", "e"]
    assert len(phones.calls) == 304
    assert phones.at("b") >= max(phones.until("a"), phones.until("d"))
    assert phones.at("e") >= phones.until("b")


async def test_a_message_without_rounds_has_none_stored(redis_url: str, tmp_path: Path) -> None:
    """Nothing is kept for those whose topic has no policy, nor for addressed ones."""
    phones = Phones()
    async with opened(redis_url, tmp_path, phones, "") as world:
        await world.subscribe("a b")
        message_id = await publish(world)
        key = world.engine.keys.message(world.topic_id, message_id)
        fields = await world.engine.store.call("HKEYS", key)
        assert set(fields) == {b"b", b"s", b"l"}
