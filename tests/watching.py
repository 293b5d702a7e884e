"""What tests of logs, metrics and traces do to a world beside asking it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.engines import all_ended, working
from tests.worlds import World


async def get(world: World, target: str, **query: Any) -> dict[str, Any]:
    """The JSON of a GET that must succeed."""
    answer = await world.call("GET", f"{target}?{urlencode(query)}" if query else target)
    assert answer.status == 200, answer.raw
    return answer.json


async def deliver(
    world: World, topic_urn: str, *endpoints: tuple[str, str], message: str = "hi"
) -> None:
    """Publish to new confirmed subscriptions (protocol, endpoint) and wait for the end."""
    for protocol, endpoint in endpoints:
        await world.engine.subscribe(topic_urn, protocol, endpoint, confirmed=True)
    async with working(world.engine):
        await world.engine.publish(topic_urn, message)
        await all_ended(world.engine)
