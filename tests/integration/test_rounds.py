"""A polling policy is honoured: round by round, until somebody answers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from engine.app import Engine
from engine.models import (
    Delivered,
    End,
    FilterPolicy,
    Limits,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
)
from engine.testing import RecordingAdapter
from tests.engines import all_ended, eventually, keys_about, open_engine, working
from tests.virtual_time import virtually

PROTOCOL: Final = "callnotify"
CALL_S: Final = 20.0
PROMPT_S: Final = 2.5
"""What may pass between two rounds: what is written, and looked at, every second."""
PAUSE_S: Final = 0.5
UNANSWERED: Final = Rejected("no answer", 200)


class Phones(RecordingAdapter):
    """Phones that ring for a while; ``answers`` says what comes of each call of a number."""

    def __init__(self, **answers: Sequence[Outcome] | Outcome) -> None:
        super().__init__(PROTOCOL, limits=Limits(confirm=False, rounds=True))
        self.answers = answers
        self.calls: list[tuple[str, str, float]] = []
        """Text, name and time of each call."""
        self.ended: list[tuple[str, float]] = []

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        name = name_of(prepared)
        now = asyncio.get_running_loop().time
        self.calls.append((content.text(PROTOCOL), name, now()))
        made = sum(called == name for _, called, _ in self.calls)
        await asyncio.sleep(CALL_S)
        self.ended.append((name, now()))
        found = self.answers.get(name, UNANSWERED)
        return found if not isinstance(found, Sequence) else found[min(made, len(found)) - 1]

    def called(self, text: str = "fire") -> list[str]:
        """Who was called about something, in order."""
        return [name for about, name, _ in self.calls if about == text]

    def at(self, name: str) -> float:
        """When somebody was called first."""
        return next(when for _, called, when in self.calls if called == name)

    def until(self, name: str) -> float:
        """When their last call ended."""
        return max(when for called, when in self.ended if called == name)


def number_of(name: str) -> str:
    """``a`` → +861…: the name is in it."""
    return "+861" + "".join(f"{ord(letter):03}" for letter in name)


def name_of(subscription: Subscription) -> str:
    """Reads it again."""
    digits = subscription.endpoint[4:]
    return "".join(chr(int(digits[at : at + 3])) for at in range(0, len(digits), 3))


class World:
    """A topic with phones in rounds: ``a b / c`` are two in the first and one in the second."""

    def __init__(self, engine: Engine, phones: Phones) -> None:
        self.engine, self.phones = engine, phones
        self.topic_id = self.urn = ""
        self.urns: dict[str, str] = {}

    async def subscribe(self, names: str, **how: Any) -> None:
        for name in names.split():
            found = await self.engine.subscribe(
                self.urn, PROTOCOL, number_of(name), **({"confirmed": True} | how)
            )
            self.urns[name] = found.urn

    async def set_rounds(self, rounds: str) -> str:
        """Make or replace the policy; its id."""
        polling = [
            (order, [self.urns[name] for name in names.split()])
            for order, names in enumerate(rounds.split("/"), 1)
        ]
        policies = self.engine.notify_policies
        found = await policies.read(self.urn)
        if found is None:
            return await policies.create(self.urn, PROTOCOL, polling)
        await policies.replace(self.urn, found[0], PROTOCOL, polling)
        return found[0]

    async def ends(self) -> dict[str, str]:
        """The status of each delivery that has a line in the log, by name."""
        lines = await self.engine.delivery_log(self.urn)
        names = {urn: name for name, urn in self.urns.items()}
        return {names[line.subscriber_urn]: line.status for line in lines}

    async def place(self, name: str) -> tuple[int, int]:
        """Page and seat."""
        _, found = await self.engine.subscriptions.find(self.urns[name])
        return found.page, found.seat

    async def leave(self, name: str, how: str) -> None:
        """Removed by the owner, or cancelled by its link."""
        if how == "removed":
            await self.engine.subscriptions.delete(self.urns[name])
        else:
            await self.engine.subscriptions.unsubscribe(self.urns[name])


@asynccontextmanager
async def opened(
    url: str, data: Path, phones: Phones, rounds: str, **options: Any
) -> AsyncIterator[World]:
    """An engine with one topic."""
    options = {"shards": 1, "default_ttl": 86_400, "unsubscribe_bare_urn": True} | options
    async with open_engine(url, data, adapters=[phones], **options) as engine:
        world = World(engine, phones)
        topic = await engine.create_topic("alarms")
        world.topic_id, world.urn = topic.id, topic.urn
        await world.subscribe(rounds.replace("/", " "))
        if rounds:
            await world.set_rounds(rounds)
        yield world


Scene = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play(redis_url: str, tmp_path: Path) -> Callable[..., None]:
    """Runs a scene with some rounds of phones, in virtual time."""

    def run(phones: Phones, rounds: str, scene: Scene, **options: Any) -> None:
        async def whole() -> None:
            async with opened(redis_url, tmp_path, phones, rounds, **options) as world:
                await scene(world)

        virtually(whole)

    return run


async def deliver(world: World) -> None:
    """Let a worker bring everything to its end."""
    async with working(world.engine):
        await all_ended(world.engine, pause=PAUSE_S)


async def publish(world: World, text: str = "fire", **how: Any) -> str:
    """The message's id."""
    return await world.engine.publish(world.urn, text, **how)


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


async def test_a_message_without_rounds_has_none_stored(redis_url: str, tmp_path: Path) -> None:
    """Nothing is kept for those whose topic has no policy, nor for addressed ones."""
    phones = Phones()
    async with opened(redis_url, tmp_path, phones, "") as world:
        await world.subscribe("a b")
        message_id = await publish(world)
        key = world.engine.keys.message(world.topic_id, message_id)
        fields = await world.engine.store.call("HKEYS", key)
        assert set(fields) == {b"b", b"s", b"l"}
