"""After a message has ended nothing of it remains but log and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.app import Engine
from engine.ports import Answer
from engine.store.keys import GROUP
from engine.store.wire import parse_info
from tests.engines import all_ended, names_of_keys, open_engine, working

SUBSCRIPTIONS = 1_000
TOLERATED = 1.02


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


async def _weigh(engine: Engine) -> Weight:
    store, kept, data = engine.store, 0, 0
    names = await names_of_keys(store)
    bounded = {name for name in names if name.endswith(":log") or ":counts:" in name}
    for name in names:
        size = await store.call("MEMORY", "USAGE", name, "SAMPLES", 0, key=name)
        if name in bounded:
            kept += size
        else:
            data += size
    ((_, memory),) = await store.each_master(("INFO", "memory"))
    return Weight(len(names - bounded), int(parse_info(memory)["used_memory"]) - kept, data)


@pytest.mark.parametrize(
    "messages",
    [100, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
async def test_ended_messages_leave_nothing(redis_url: str, tmp_path: Path, messages: int) -> None:
    """Keys and used memory return to within 2 % of the start, log and counters left out."""
    async with open_engine(redis_url, tmp_path, InstantTransport()) as engine:
        topic = await engine.create_topic("clean")
        endpoints = [f"http://127.0.0.1:9/{number}" for number in range(SUBSCRIPTIONS)]
        await engine.subscribe_many(topic.urn, "http", endpoints)
        async with working(engine):
            await engine.publish(topic.urn, "the first one teaches scripts and connections")
            await all_ended(engine)
            before = await _weigh(engine)
            for number in range(messages):
                await engine.publish(topic.urn, f"number {number} " + "x" * 1_000)
            await all_ended(engine, 240)
            after = await _weigh(engine)
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
