"""Keeps a topic supplied: publishes through the API so that the backlog never runs dry."""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.stats import rates
from benchmarks.wait import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Reading(NamedTuple):
    """Deliveries counted at a moment (monotonic seconds)."""

    at: float
    arrived: int


@dataclass
class Feed:
    """Publishes one text to one topic; ``count`` says how many deliveries have arrived.

    ``send`` publishes (topic URN, text) and returns the message id.

    ``fanout`` is how many of a message's deliveries ``count`` can see, ``backlog`` how many
    of those are kept waiting.
    """

    send: Callable[[str, str], Awaitable[str]]
    topic_urn: str
    text: str
    count: Callable[[], Awaitable[int]]
    fanout: int
    backlog: int
    published: dict[str, float] = field(default_factory=dict)
    """Message id → seconds since the epoch when its publish call began."""
    _base: int | None = None
    """What ``count`` said before the first message; other traffic must keep out."""

    async def run(self, seconds: float) -> list[Reading]:
        """Feed for a while; returns how far the deliveries were meanwhile.

        Raises `RuntimeError` if the backlog ran dry: the publisher was the bottleneck.
        """
        readings: list[Reading] = []
        end = time.monotonic() + seconds
        while True:
            arrived = await self.arrived()
            readings.append(Reading(now := time.monotonic(), arrived))
            owed = len(self.published) * self.fanout - arrived
            if owed <= 0 and len(readings) > 1:
                raise RuntimeError("the backlog ran dry: the publisher is the bottleneck")
            if now >= end:
                return readings
            for _ in range(math.ceil(max(0, self.backlog - owed) / self.fanout)):
                await self.publish()
            await asyncio.sleep(0.1)

    async def arrived(self) -> int:
        """Deliveries of this feed that have arrived."""
        count = await self.count()
        if self._base is None:
            self._base = count
        return count - self._base

    async def publish(self) -> str:
        """Publish one message."""
        at = time.time()
        message_id = await self.send(self.topic_urn, self.text)
        self.published[message_id] = at
        return message_id

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything published has arrived; nothing may be published meanwhile."""
        expected = len(self.published) * self.fanout

        async def arrived() -> bool:
            return await self.arrived() >= expected

        await until(arrived, timeout_s, f"{expected} deliveries to arrive")

    async def rebase(self) -> None:
        """Others used the sink after the drain: forget what they added to its count."""
        self._base = await self.count() - len(self.published) * self.fanout


def rate(readings: list[Reading]) -> float:
    """Deliveries a second over the whole of the readings."""
    first, last = readings[0], readings[-1]
    return (last.arrived - first.arrived) / (last.at - first.at)


def each_second(readings: list[Reading]) -> list[float]:
    """Deliveries a second in each second of the readings."""
    kept = [readings[0]]
    for reading in readings[1:]:
        if reading.at >= kept[-1].at + 1:
            kept.append(reading)
    return [round(value, 1) for value in rates(kept)]


def text_of(seed: int, size: int = 512) -> str:
    """A message text of ``size`` printable characters, the same for the same seed."""
    source = random.Random(seed)
    words = ["disk", "alarm", "order", "paid", "node", "memory", "shipped", "warning", "ok"]
    text = ""
    while len(text) < size:
        text += source.choice(words) + " "
    return text[:size]
