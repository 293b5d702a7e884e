"""What is kept for a while goes when its time or its room is over."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.models import Topic
from tests.engines import all_ended, eventually, keys_about, open_engine, working
from tests.receiver import Receiver


@pytest.fixture
async def engine(redis_url: str, tmp_path: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    """An engine that keeps things for a second, few dead letters, and a small log."""
    async with open_engine(
        redis_url,
        tmp_path,
        receiver,
        retry_delays=(),
        dead_seconds=1,
        dead_per_topic=3,
        log_seconds=1,
        log_bytes=8 * 4_096,
    ) as engine:
        yield engine


async def _fail(engine: Engine, receiver: Receiver, messages: int) -> Topic:
    topic = await engine.create_topic("kept")
    await engine.subscribe(topic.urn, "http", receiver.behave("broken", 404), confirmed=True)
    async with working(engine):
        for number in range(messages):
            await engine.publish(topic.urn, f"number {number}")
            await all_ended(engine)
    return topic


async def _tidy(engine: Engine, topic: Topic) -> None:
    await engine.retention.tidy(engine.keys.shard_of_topic(topic.id), has_dead=True)


async def test_old_dead_letters_go_with_their_messages(engine: Engine, receiver: Receiver) -> None:
    """After their time nothing of letter or message is left, and evictions are counted."""
    topic = await _fail(engine, receiver, 2)
    letters = await engine.dead_letters()
    await _tidy(engine, topic)
    assert len(await engine.dead_letters()) == 2

    async def gone() -> bool:
        await _tidy(engine, topic)
        return not await engine.dead_letters()

    await eventually(gone, "the letters go")
    for letter in letters:
        assert await keys_about(engine, letter.message_id) == set()
    gauges = engine.keys.gauges(engine.keys.shard_of_topic(topic.id))
    assert await engine.store.call("HGET", gauges, "dead_evicted") == b"2"


async def test_a_topic_keeps_its_newest_dead_letters(engine: Engine, receiver: Receiver) -> None:
    """Past the bound the oldest go first."""
    topic = await _fail(engine, receiver, 5)
    before = [letter.message_id for letter in await engine.dead_letters()]
    assert len(before) == 5
    await engine.retention.tidy(engine.keys.shard_of_topic(topic.id), has_dead=True)
    assert [letter.message_id for letter in await engine.dead_letters()] == before[2:]
    assert await engine.dead.count(topic.id) == 3


async def test_old_log_lines_go(engine: Engine, receiver: Receiver) -> None:
    """After their time; the log's size follows."""
    topic = await _fail(engine, receiver, 3)
    shard = engine.keys.shard_of_topic(topic.id)
    size = engine.keys.log_size(shard)
    assert len(await engine.delivery_log(topic.urn)) == 3
    assert int(await engine.store.call("HGET", size, "bytes")) > 0

    async def gone() -> bool:
        await _tidy(engine, topic)
        return not await engine.delivery_log(topic.urn)

    await eventually(gone, "the lines go")
    assert await engine.store.call("HGET", size, "bytes") == b"0"


async def test_the_log_is_bounded_in_bytes(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The oldest lines make room, and what was dropped is counted."""
    async with open_engine(redis_url, tmp_path, receiver, log_bytes=8 * 2_048) as engine:
        topic = await engine.create_topic("loud")
        await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
        async with working(engine):
            for number in range(40):
                await engine.publish(topic.urn, f"number {number}")
                await all_ended(engine)
        shard = engine.keys.shard_of_topic(topic.id)
        entries = await engine.store.call("XRANGE", engine.keys.log(shard), "-", "+")
        held = sum(len(fields[1]) + len(fields[3]) for _, fields in entries)
        flat = await engine.store.call("HGETALL", engine.keys.log_size(shard))
        size = dict(zip(flat[::2], flat[1::2], strict=True))
        assert int(size[b"bytes"]) == held <= 2_048
        assert int(size[b"dropped"]) == 40 - len(entries)
        newest = json.loads(entries[-1][1][1])[1]
        assert newest == receiver.arrivals[-1].message_id


async def test_counters_count_and_expire(engine: Engine, receiver: Receiver) -> None:
    """Attempts, deliveries and answers by class, in a bucket that goes by itself."""
    topic = await engine.create_topic("counted")
    await engine.subscribe(topic.urn, "http", receiver.url("good"), confirmed=True)
    await engine.subscribe(topic.urn, "http", receiver.behave("bad", 404), confirmed=True)
    await engine.subscribe(topic.urn, "http", receiver.behave("ugly", 500), confirmed=True)
    async with working(engine):
        for number in range(3):
            await engine.publish(topic.urn, f"number {number}")
        await all_ended(engine)
    names = await engine.store.call("KEYS", f"*:counts:{topic.id}:*")
    totals: dict[bytes, int] = {}
    for name in names:
        flat = await engine.store.call("HGETALL", name)
        for field, count in zip(flat[::2], flat[1::2], strict=True):
            totals[field] = totals.get(field, 0) + int(count)
        assert int(name.rsplit(b":", 1)[1]) % 300 == 0
        assert await engine.store.call("TTL", name) > 30 * 86_400
    assert totals == {
        b"http:attempted": 9,
        b"http:delivered": 3,
        b"http:4xx": 3,
        b"http:5xx": 3,
    }


async def test_a_purge_takes_what_is_changed_meanwhile(
    engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead letters of a page of which somebody drops some just then go with their message, too."""
    topic = await engine.create_topic("doomed")
    for name in ("dropped", "kept"):
        await engine.subscribe(topic.urn, "http", receiver.behave(name, 404), confirmed=True)
    async with working(engine):
        message_id = await engine.publish(topic.urn, "nobody wants it")
        await all_ended(engine)
    await engine.topics.delete(topic.urn)
    take = engine.dead._take

    async def late(*page: Any) -> int:
        monkeypatch.setattr(engine.dead, "_take", take)
        await engine.dead.drop(topic.id, wanted=lambda one: one.endpoint.endswith("dropped"))
        return await take(*page)

    monkeypatch.setattr(engine.dead, "_take", late)
    await engine.retention.purge(engine.keys.shard_of_topic(topic.id))
    assert await keys_about(engine, message_id) == set()
    assert await engine.dead.topics() == []
