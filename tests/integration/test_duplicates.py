"""Without faults nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from engine.ports import Answer
from tests.engines import all_ended, open_engine, working

SUBSCRIPTIONS = 2_000
MESSAGES = 100


class CountingTransport:
    """Counts (message, subscription) pairs and answers at once."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()

    def parse(self, url: str) -> str:
        return url

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        self.pairs[headers["X-SMN-MESSAGE-ID"], headers["X-SMN-SUBSCRIPTION-URN"]] += 1
        return Answer(200)


async def test_each_pair_is_delivered_exactly_once(redis_url: str, tmp_path: Path) -> None:
    """200,000 deliveries by two workers that share the lanes: every pair once, none twice."""
    transport = CountingTransport()
    async with open_engine(redis_url, tmp_path, transport) as engine:
        topic = await engine.create_topic("many")
        endpoints = [f"http://127.0.0.1:9/{number}" for number in range(SUBSCRIPTIONS)]
        await engine.subscribe_many(topic.urn, "http", endpoints)
        async with working(engine, "one"), working(engine, "two"):
            published = {
                await engine.publish(topic.urn, f"number {number}") for number in range(MESSAGES)
            }
            await all_ended(engine, 50)
        listed = await engine.subscriptions.list_by_topic(topic.urn, limit=SUBSCRIPTIONS)
    expected = {
        (message_id, subscription.urn) for message_id in published for subscription in listed.items
    }
    assert len(expected) == MESSAGES * SUBSCRIPTIONS
    assert transport.pairs.keys() == expected
    assert set(transport.pairs.values()) == {1}
