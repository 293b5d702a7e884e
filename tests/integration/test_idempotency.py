"""The same publish twice is one message, as long as its key is remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.models import Topic
from tests.engines import all_ended, eventually, open_engine, snapshot, unfinished, working
from tests.receiver import Receiver

KEY = "order 4711: shipped!"


@pytest.fixture
async def topic(engine: Engine, receiver: Receiver) -> Topic:
    """A topic with one subscriber."""
    topic = await engine.create_topic("once")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    return topic


async def test_the_same_request_is_one_message(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """Same key and body give the same id, before and after its delivery, which happens once."""
    async with working(engine):
        first = await engine.publish(topic.urn, "shipped", idempotency_key=KEY)
        assert await engine.publish(topic.urn, "shipped", idempotency_key=KEY) == first
        await all_ended(engine)
        assert await engine.publish(topic.urn, "shipped", idempotency_key=KEY) == first
        await all_ended(engine)
    assert len(receiver.arrivals) == 1


async def test_racing_requests_are_one_message(engine: Engine, topic: Topic) -> None:
    """Many at once with one key are accepted once."""
    published = await asyncio.gather(
        *(engine.publish(topic.urn, "shipped", idempotency_key=KEY) for _ in range(20))
    )
    assert len(set(published)) == 1
    assert await unfinished(engine) == 1


async def test_another_body_is_refused(engine: Engine, topic: Topic) -> None:
    """Same key with anything else is 409 TOCSIN.0001 and changes nothing."""
    await engine.publish(topic.urn, "shipped", idempotency_key=KEY)
    before = await snapshot(engine.store)
    others: list[tuple[str, dict[str, Any]]] = [
        ("lost", {}),
        ("shipped", {"subject": "s"}),
        ("shipped", {"ttl": 60}),
    ]
    for text, options in others:
        with pytest.raises(Refused) as refused:
            await engine.publish(topic.urn, text, idempotency_key=KEY, **options)
        assert (refused.value.code, refused.value.status) == ("TOCSIN.0001", 409)
    assert await snapshot(engine.store) == before


async def test_the_requests_own_hash_decides(engine: Engine, topic: Topic) -> None:
    """Where the caller gives the hash of its request body, that is what is compared."""
    first = await engine.publish(topic.urn, "a", idempotency_key=KEY, request_hash="1" * 64)
    again = await engine.publish(topic.urn, "b", idempotency_key=KEY, request_hash="1" * 64)
    assert again == first
    with pytest.raises(Refused, match=r"TOCSIN\.0001"):
        await engine.publish(topic.urn, "a", idempotency_key=KEY, request_hash="2" * 64)


async def test_a_key_belongs_to_its_topic(engine: Engine, topic: Topic) -> None:
    """Another topic, also a new one of the same name, knows nothing of it."""
    other = await engine.create_topic("other")
    first = await engine.publish(topic.urn, "shipped", idempotency_key=KEY)
    assert await engine.publish(other.urn, "shipped", idempotency_key=KEY) != first
    await engine.topics.delete(topic.urn)
    await engine.create_topic("once")
    assert await engine.publish(topic.urn, "shipped", idempotency_key=KEY) != first


async def test_a_key_is_forgotten_after_its_window(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """After the window the key is free; a replay within it starts the window anew."""
    async with open_engine(redis_url, tmp_path, receiver, idempotency_seconds=1) as engine:
        topic = await engine.create_topic("once")
        first = await engine.publish(topic.urn, "shipped", idempotency_key=KEY)
        (key,) = await engine.store.call("KEYS", "*:idem:*")
        await engine.store.call("PEXPIRE", key, 400)
        assert await engine.publish(topic.urn, "shipped", idempotency_key=KEY) == first
        assert await engine.store.call("PTTL", key) > 400

        async def forgotten() -> bool:
            return not await engine.store.call("EXISTS", key)

        await eventually(forgotten, "the window passes")
        assert await engine.publish(topic.urn, "shipped", idempotency_key=KEY) != first


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\t", "ümlaut", "line\n"])
async def test_a_malformed_key_is_refused(engine: Engine, topic: Topic, key: str) -> None:
    """1 to 128 printable ASCII characters, or TOCSIN.0003."""
    before = await snapshot(engine.store)
    with pytest.raises(Refused, match=r"TOCSIN\.0003"):
        await engine.publish(topic.urn, "shipped", idempotency_key=key)
    assert await snapshot(engine.store) == before
