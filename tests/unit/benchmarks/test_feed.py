"""Feeding a topic: the backlog stays, and a dry one is an error."""

from __future__ import annotations

import pytest

from benchmarks.feed import Feed, Reading, each_second, rate, text_of


class Topic:
    """Delivers ``speed`` deliveries whenever it is asked how far it is."""

    def __init__(self, fanout: int, speed: int) -> None:
        self.fanout, self.speed, self.owed, self.arrived = fanout, speed, 0, 1000
        self.published = 0

    async def publish(self, topic_urn: str, text: str) -> str:
        self.owed += self.fanout
        self.published += 1
        return f"{self.published}"

    async def count(self) -> int:
        step = min(self.speed, self.owed)
        self.owed -= step
        self.arrived += step
        return self.arrived


async def test_backlog_is_kept() -> None:
    """Whenever less than the backlog waits, enough is published."""
    topic = Topic(fanout=100, speed=50)
    feed = Feed(topic.publish, "urn", "text", topic.count, fanout=100, backlog=250)
    await feed.run(0.3)
    readings = await feed.run(0.3)
    assert topic.owed >= 250 - topic.speed
    assert readings[-1].arrived > readings[0].arrived
    await feed.drain(5)
    assert await feed.arrived() == len(feed.published) * 100


async def test_dry_backlog_is_an_error() -> None:
    """A rate that the publisher limited is no result."""
    topic = Topic(fanout=10, speed=10_000)
    feed = Feed(topic.publish, "urn", "text", topic.count, fanout=10, backlog=10)
    with pytest.raises(RuntimeError, match="ran dry"):
        await feed.run(1)


async def test_others_traffic_is_forgotten() -> None:
    """What the sink counted for others between two turns is not the feed's."""
    topic = Topic(fanout=10, speed=10)
    feed = Feed(topic.publish, "urn", "text", topic.count, fanout=10, backlog=10)
    await feed.arrived()
    await feed.publish()
    await feed.drain(5)
    topic.arrived += 777
    await feed.rebase()
    assert await feed.arrived() == 10


def test_rates_of_readings() -> None:
    """The rate is over all readings, and each second has its own."""
    readings = [Reading(0.0, 0), Reading(0.5, 10), Reading(1.0, 30), Reading(2.0, 40)]
    assert rate(readings) == 20
    assert each_second(readings) == [30, 10]


def test_text_follows_the_seed() -> None:
    """The same seed makes the same text of the size asked for."""
    assert text_of(7) == text_of(7) != text_of(8)
    assert len(text_of(7, 100)) == 100
