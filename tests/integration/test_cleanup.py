"""After a message has ended nothing of it remains but log and counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.ports import Answer
from engine.store.keys import GROUP
from tests.engines import all_ended, eventually, open_engine, working
from tests.servers import RedisServer, until, valkey_binary

SUBSCRIPTIONS = 1_000
WARM_UP = 30
"""Messages after which connections and scripts are there."""
TOLERATED = 1.02


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """An empty server without statistics, which take room for each command at its first use."""
    server = RedisServer(valkey_binary(), options=["--latency-tracking", "no"]).start()
    yield server
    server.close()


class InstantTransport:
    """Answers 200 at once and keeps nothing."""

    def parse(self, url: str) -> str:
        return url

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        return Answer(200)


@dataclass(frozen=True)
class Weight:
    """What a data set weighs without its log and counters."""

    keys: int
    used_memory: int
    data: int


def _weigh(server: RedisServer) -> Weight:
    """Weigh a server that nobody else talks to; its log, which may be large, is thrown away."""
    with server.client as client:
        until(lambda: len(client.client_list()) == 1, "the engine's connections are gone")
        for name in client.keys("*:log*"):
            client.delete(name)
        sizes = {name: client.memory_usage(name, samples=0) for name in client.keys("*")}
        counters = sum(size for name, size in sizes.items() if b":counts:" in name)
        kept = [size for name, size in sizes.items() if b":counts:" not in name]
        return Weight(len(kept), client.info("memory")["used_memory"] - counters, sum(kept))


async def _publish(url: str, data: Path, messages: int, seconds: float) -> None:
    """Have so many messages delivered to all, and everything forgotten that goes by itself."""
    async with open_engine(url, data, InstantTransport()) as engine:
        topic = await engine.create_topic("clean")
        endpoints = [f"http://127.0.0.1:9/{number}" for number in range(SUBSCRIPTIONS)]
        await engine.subscribe_many(topic.urn, "http", endpoints)
        recent = [engine.keys.recent(shard) for shard in range(engine.keys.shards)]

        async def forgotten() -> bool:
            return not any([await engine.store.call("EXISTS", name) for name in recent])

        async with working(engine):
            for number in range(messages):
                await engine.publish(topic.urn, f"number {number} " + "x" * 1_000)
            await all_ended(engine, seconds)
            await eventually(forgotten, "the ids of accepted messages are forgotten")


@pytest.mark.parametrize(
    "messages",
    [100, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
async def test_ended_messages_leave_nothing(
    server: RedisServer,
    tmp_path: Path,
    messages: int,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys and used memory return to within 2 % of the start, log and counters left out."""
    # For ten seconds the ids of accepted messages are remembered; here for less.
    monkeypatch.setattr("engine.worker._RECENT_MS", 500)
    monkeypatch.setattr("engine.pipeline.accept._RECENT_MS", 500)
    await _publish(server.url, tmp_path, WARM_UP, 15)
    before = _weigh(server)
    await _publish(server.url, tmp_path, messages, 240)
    after = _weigh(server)
    assert after.keys <= before.keys * TOLERATED, (before, after)
    assert after.data <= before.data * TOLERATED, (before, after)
    assert after.used_memory <= before.used_memory * TOLERATED, (before, after)


async def test_no_stream_keeps_what_was_acknowledged(redis_url: str, tmp_path: Path) -> None:
    """Lanes are empty once everything has ended: no entry, nothing pending, no consumer left."""
    async with open_engine(redis_url, tmp_path, InstantTransport()) as engine:
        topic = await engine.create_topic("lanes")
        await engine.subscribe_many(
            topic.urn, "http", [f"http://127.0.0.1:9/{number}" for number in range(600)]
        )
        async with working(engine):
            for number in range(20):
                await engine.publish(topic.urn, f"number {number}")
            await all_ended(engine)
        for shard in range(engine.keys.shards):
            for protocol in engine.adapters:
                lane = engine.keys.lane(shard, protocol)
                assert await engine.store.call("XLEN", lane) == 0
                assert (await engine.store.call("XPENDING", lane, GROUP))[0] == 0
                assert await engine.store.call("XINFO", "CONSUMERS", lane, GROUP, key=lane) == []
