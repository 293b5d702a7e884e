"""Phones that are called in rounds, and a topic with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from engine.app import Engine
from engine.models import Limits, Message, Outcome, Rejected, Subscription
from engine.testing import RecordingAdapter
from tests.engines import all_ended, open_engine, working
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
Play = Callable[..., None]


async def deliver(world: World) -> None:
    """Let a worker bring everything to its end."""
    async with working(world.engine):
        await all_ended(world.engine, pause=PAUSE_S)


async def publish(world: World, text: str = "fire", **how: Any) -> str:
    """The message's id."""
    return await world.engine.publish(world.urn, text, **how)


def player(url: str, data: Path) -> Play:
    """What runs a scene with some rounds of phones, in virtual time."""

    def run(phones: Phones, rounds: str, scene: Scene, **options: Any) -> None:
        async def whole() -> None:
            async with opened(url, data, phones, rounds, **options) as world:
                await scene(world)

        virtually(whole)

    return run
