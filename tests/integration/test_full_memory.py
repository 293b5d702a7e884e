"""At full memory publishing stops, and all that frees goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import Refused, StoreFull
from engine.pipeline.plan import plan_call
from engine.pipeline.retry import retry_call
from engine.store.ledger import Waiting
from tests.engines import Hands, all_ended, eventually, open_engine, unfinished, working
from tests.receiver import Receiver
from tests.servers import RedisServer, redis62_binary, valkey_binary

SUBSCRIPTIONS = 12 * 256


@pytest.fixture(params=["valkey", "redis 6.2"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server whose memory is the tests' own."""
    binary = valkey_binary() if request.param == "valkey" else redis62_binary()
    server = RedisServer(binary).start()
    yield server
    server.close()


@pytest.fixture
async def engine(
    server: RedisServer, tmp_path: Path, receiver: Receiver, impatient: None
) -> AsyncIterator[Engine]:
    """An engine on it; there is room again when the test ends."""
    server.flush()
    async with open_engine(server.url, tmp_path, receiver) as engine:
        yield engine
        _limit(server, 0)


def _limit(server: RedisServer, size: int) -> None:
    with server.client as client:
        client.config_set("maxmemory", size)


async def _refused(engine: Engine, urn: str) -> bool:
    """Whether publishing is refused for want of memory."""
    try:
        await engine.publish(urn, "one more")
    except StoreFull:
        return False  # the server itself refused; the next look will say so kindly
    except Refused as refused:
        return (refused.code, refused.status, refused.retry_after) == ("APIGW.0308", 429, 5)
    return False


async def test_publishing_stops_and_resumes(
    engine: Engine, server: RedisServer, receiver: Receiver
) -> None:
    """It is refused with APIGW.0308 while memory is short, and works again afterwards."""
    topic = await engine.create_topic("full")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    _limit(server, 1)
    await eventually(lambda: _refused(engine, topic.urn), "publishing is refused")
    assert await unfinished(engine) == 0
    _limit(server, 0)

    async def accepted() -> bool:
        try:
            return bool(await engine.publish(topic.urn, "again"))
        except Refused:
            return False

    await eventually(accepted, "publishing works again")


async def test_workers_drain_a_full_server(
    engine: Engine, server: RedisServer, receiver: Receiver
) -> None:
    """A backlog is planned, delivered, retried, buried and settled with no memory left at all."""
    topic = await engine.create_topic("full")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("e", SUBSCRIPTIONS))
    await engine.subscribe(topic.urn, "http", receiver.behave("shaky", 500, 200), confirmed=True)
    await engine.subscribe(topic.urn, "http", receiver.behave("broken", 500), confirmed=True)
    for number in range(4):
        await engine.publish(topic.urn, f"number {number}")
    _limit(server, 1)
    async with working(engine):
        await all_ended(engine)
    assert len(receiver.pairs()) == 4 * (SUBSCRIPTIONS + 2)
    assert len(await engine.dead_letters(topic.urn)) == 4


async def test_scripts_that_free_pass_at_full_memory(
    engine: Engine, server: RedisServer, receiver: Receiver
) -> None:
    """Plan, flush, end, give-back and retry each do their work with no memory left."""
    topic = await engine.create_topic("full")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("e", SUBSCRIPTIONS))
    await engine.publish(topic.urn, "hello")
    shard = engine.keys.shard_of_topic(topic.id)
    hands = Hands(engine, shard, "a")
    _limit(server, 1)
    assert await engine.store.run(*plan_call(engine.keys, shard, "http")) == [4, 0]
    first, second, third, *_ = await hands.take()
    hands.deliver(first)
    entry = second.page.entries[0]
    second.row.waiting[0] = Waiting(1, engine.clock.now_ms(), entry.id)
    assert await hands.write(first.take_flush("flush"))
    assert await hands.write(first.take_flush("end"))
    assert await hands.write(second.take_flush("end"))
    assert await hands.write(third.take_flush("return"))
    assert (await engine.store.run(*retry_call(engine.keys, shard, "http")))[0] == 1


async def test_subscriptions_and_topics_can_be_removed(
    engine: Engine, server: RedisServer, receiver: Receiver
) -> None:
    """What makes room is never refused for want of it."""
    topic = await engine.create_topic("full")
    first = await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.subscribe(topic.urn, "http", receiver.url("two"), confirmed=True)
    _limit(server, 1)
    await engine.subscriptions.delete(first.urn)
    assert (await engine.subscriptions.list_by_topic(topic.urn)).total == 1
    await engine.topics.delete(topic.urn)
    with pytest.raises(Refused, match=r"SMN\.0006"):
        await engine.topics.get(topic.urn)
