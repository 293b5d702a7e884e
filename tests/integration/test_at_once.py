"""What is short and goes to one known page is started without being loaded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.app import Engine
from engine.models import Subscription
from engine.pipeline.accept import _BRIEF_BYTES, LANE_LIMIT
from engine.pipeline.batch import Batch
from engine.store.keys import GROUP
from tests.engines import Hands, all_ended, eventually, working
from tests.receiver import Receiver

URL = "http://127.0.0.1:9/{}"


class Stage:
    """One topic with a subscriber, and the hands of a worker that has served it before."""

    def __init__(self, engine: Engine, topic: str, shard: int) -> None:
        self.engine = engine
        self.topic = topic
        self.shard = shard
        self.hands = Hands(engine, shard, "w1")
        self.loads = 0

    async def subscribe(self, number: int) -> Subscription:
        return await self.engine.subscribe(self.topic, "http", URL.format(number), confirmed=True)

    async def publish(self, message: str = "news") -> None:
        await self.engine.publish(self.topic, message)

    async def take(self) -> Batch:
        (batch,) = await self.hands.take()
        return batch


@pytest.fixture
async def stage(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A worker that knows the page, and counts its loads from here on."""
    topic = await engine.create_topic("brief")
    made = Stage(engine, topic.urn, engine.keys.shard_of_topic(topic.id))
    await made.subscribe(1)
    await made.publish()
    await made.take()
    run = engine.store.run

    async def counting(script: Any, *args: Any, **options: Any) -> Any:
        made.loads += script.name == "load"
        return await run(script, *args, **options)

    monkeypatch.setattr(engine.store, "run", counting)
    return made


async def test_a_short_message_needs_no_load(stage: Stage) -> None:
    """Its lane entry has brought it, and the page is the one that the worker knows."""
    await stage.publish("short")
    batch = await stage.take()
    assert stage.loads == 0
    assert batch.message is not None
    assert batch.message.text("http") == "short"
    assert [delivery.entry.shown for delivery in batch.due(0)] == [URL.format(1)]


async def test_its_end_is_written_as_any_other(stage: Stage) -> None:
    """Delivered is delivered: the entry, the message and the loan are gone."""
    await stage.publish()
    batch = await stage.take()
    stage.hands.deliver(batch)
    assert await stage.hands.write(batch.take_flush("end"))
    lane = stage.engine.keys.lane(batch.shard, "http")
    pending = await stage.engine.store.call("XPENDING", lane, GROUP)
    assert pending[0] == 1  # the one that the fixture took and keeps


async def test_a_page_that_has_changed_is_loaded(stage: Stage) -> None:
    """A subscriber from before the message is not overlooked."""
    await stage.subscribe(2)
    await stage.publish()
    batch = await stage.take()
    assert stage.loads == 1
    shown = sorted(delivery.entry.shown for delivery in batch.due(0))
    assert shown == [URL.format(1), URL.format(2)]


async def test_what_has_waited_is_loaded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was true when it was accepted may be long past."""
    await stage.publish()
    now_ms = stage.engine.store.clock.now_ms()
    monkeypatch.setattr(stage.engine.store.clock, "now_ms", lambda: now_ms + 1000)
    await stage.take()
    assert stage.loads == 1


async def test_a_long_message_is_loaded(stage: Stage) -> None:
    """It would be in memory twice."""
    await stage.publish("x" * _BRIEF_BYTES)
    batch = await stage.take()
    assert stage.loads == 1
    assert batch.message is not None


async def test_a_burst_is_not_left_in_the_backlog(
    engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full lane has no room for follows at once, though nothing before it was loaded."""
    monkeypatch.setattr("engine.worker._POLL_S", 3600)
    monkeypatch.setattr("engine.pipeline.intake._FRESH_S", 10)
    topic = await engine.create_topic("burst")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    async with working(engine):
        await engine.publish(topic.urn, "the page is known from now on")
        await eventually(lambda: receiver.arrivals, "it arrives")
        await asyncio.gather(
            *(engine.publish(topic.urn, f"number {number}") for number in range(3 * LANE_LIMIT))
        )
        await all_ended(engine)
    assert len(receiver.arrivals) == 3 * LANE_LIMIT + 1
