"""A protocol whose server is dead delays no other.

Measured in virtual time, where nothing shows but waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.app import Engine
from engine.models import Delivered, Limits, Message, Outcome, Rate, Retry, Subscription
from engine.testing import RecordingAdapter
from tests.engines import eventually, open_engine, working
from tests.virtual_time import virtually

ENDPOINTS = 300
SILENCE_S = 10.0
UNNOTICED_S = 0.5
"""What a delivery may take beside a dead protocol; alone it takes no virtual time at all."""


class Fine(RecordingAdapter):
    """Notes how long after its publishing each message arrives."""

    def __init__(self, *rates: Rate) -> None:
        super().__init__("fine", limits=Limits(confirm=False, rates=rates))
        self.published: dict[str, float] = {}
        self.took_s: list[float] = []

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Note when it came."""
        self.took_s.append(_now() - self.published[content.text("fine")])
        return Delivered()


class Dead(RecordingAdapter):
    """One server behind all endpoints of a protocol: it hangs, or refuses at once."""

    def __init__(self, silence_s: float) -> None:
        super().__init__("dead", limits=Limits(confirm=False))
        self.silence_s = silence_s
        self.attempts = 0

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Fail."""
        self.attempts += 1
        if self.silence_s:
            await asyncio.sleep(self.silence_s)
        return Retry("timed out" if self.silence_s else "connection refused")


@pytest.mark.parametrize("silence_s", [SILENCE_S, 0.0], ids=["hangs", "refuses"])
@pytest.mark.parametrize("rates", [(), (Rate(20, 60, 5),)], ids=["unrated", "rated"])
def test_a_dead_protocol_delays_no_other(
    redis_url: str, tmp_path: Path, silence_s: float, rates: Sequence[Rate]
) -> None:
    """One topic feeds both, whose endpoints have the same names, as phones do that are called.

    The healthy one's are new, and still nobody waits.
    """
    fine, dead = Fine(*rates), Dead(silence_s)

    async def scene() -> None:
        async with open_engine(
            redis_url, tmp_path, adapters=[fine, dead], drain_seconds=0.1, retry_delays=(1.0,) * 3
        ) as engine:
            topic = await engine.create_topic("both")
            await engine.subscribe_many(topic.urn, "dead", _names())
            await engine.subscribe_many(topic.urn, "fine", _names())
            async with working(engine):
                for number in range(10):
                    await _publish(engine, topic.urn, fine, f"number {number}")
                    await asyncio.sleep(1.0)
                await eventually(
                    lambda: len(fine.took_s) == 10 * ENDPOINTS, "all are delivered", pause=1.0
                )

    virtually(scene)
    assert dead.attempts >= ENDPOINTS
    assert max(fine.took_s) <= UNNOTICED_S, sorted(fine.took_s)[-5:]


async def _publish(engine: Engine, urn: str, fine: Fine, text: str) -> None:
    fine.published[text] = _now()
    await engine.publish(urn, text)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _names() -> list[str]:
    return [f"endpoint-{number}" for number in range(ENDPOINTS)]
