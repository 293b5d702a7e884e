"""Topics: made once, found by name, listed newest first, deleted for good."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.models import Topic
from tests.engines import open_engine, snapshot
from tests.receiver import Receiver

PROJECT = "0123456789abcdef" * 2


async def test_a_topic_is_made_once(engine: Engine) -> None:
    """The same name again is the same topic, unchanged; also for many at once."""
    topic, new = await engine.topics.create(PROJECT, "alarms", display_name="Alarms")
    assert new
    assert topic.urn == f"urn:smn:region01:{PROJECT}:alarms"
    assert await engine.topics.create(PROJECT, "alarms", display_name="Other") == (topic, False)
    racing = await asyncio.gather(*(engine.topics.create(PROJECT, "race") for _ in range(10)))
    assert len({found.id for found, _ in racing}) == 1
    assert sum(new for _, new in racing) == 1


async def test_a_topic_that_is_deleted_while_it_is_made_is_made_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for it gets one that there is, whether it was new or found."""
    records = engine.topics._records
    read = records.read

    async def too_late(topic_id: str) -> Topic | None:
        monkeypatch.setattr(records, "read", read)
        await engine.topics.delete(f"urn:smn:region01:{PROJECT}:brief")
        return await read(topic_id)

    for _ in ("new", "found"):
        monkeypatch.setattr(records, "read", too_late)
        topic, new = await engine.topics.create(PROJECT, "brief")
        assert new
        assert await engine.topics.get(topic.urn) == topic


async def test_projects_do_not_share_names(engine: Engine) -> None:
    """A name belongs to its project."""
    mine, _ = await engine.topics.create(PROJECT, "alarms")
    yours, new = await engine.topics.create("f" * 32, "alarms")
    assert new
    assert mine.id != yours.id
    assert (await engine.topics.list(PROJECT)).total == 1


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "ä", "a" * 256, "a\n", "a.b"])
async def test_a_bad_name_is_refused(engine: Engine, name: str) -> None:
    """SMN.0002, and nothing changes."""
    before = await snapshot(engine.store)
    with pytest.raises(Refused, match=r"SMN\.0002"):
        await engine.topics.create(PROJECT, name)
    assert await snapshot(engine.store) == before


@pytest.mark.parametrize("name", ["a", "0", "A-b_9", "a" * 255])
async def test_a_good_name_is_taken(engine: Engine, name: str) -> None:
    """1 to 255 letters, digits, hyphens and underscores."""
    topic, _ = await engine.topics.create(PROJECT, name)
    assert await engine.topics.get(topic.urn) == topic


async def test_a_display_name_has_192_bytes(engine: Engine) -> None:
    """Counted in UTF-8; more is SMN.0003."""
    topic, _ = await engine.topics.create(PROJECT, "shown", display_name="ü" * 96)
    for bad in ("ü" * 97, "two\nlines", "two\u2028lines", "\ud800"):
        with pytest.raises(Refused, match=r"SMN\.0003"):
            await engine.topics.update(topic.urn, display_name=bad)
    updated = await engine.topics.update(topic.urn, display_name="Shown")
    assert (updated.display_name, updated.created_ms) == ("Shown", topic.created_ms)
    assert updated.updated_ms >= topic.updated_ms


async def test_a_new_display_name_is_in_the_next_message(
    engine: Engine, receiver: Receiver
) -> None:
    """What publishers remember of a topic does not outlive a change of it."""
    topic, _ = await engine.topics.create(PROJECT, "shown", display_name="Old")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.publish(topic.urn, "first")
    await engine.topics.update(topic.urn, display_name="New")
    second = await engine.publish(topic.urn, "second")
    stored = await engine.store.call("HGET", engine.keys.message(topic.id, second), "b")
    assert b'"New"' in stored


@pytest.mark.parametrize("urn", ["", "alarms", "urn:smn:region01:x:alarms", "urn:smn:region01::a"])
async def test_a_malformed_urn_is_refused(engine: Engine, urn: str) -> None:
    """SMN.0005."""
    with pytest.raises(Refused, match=r"SMN\.0005"):
        await engine.topics.get(urn)


async def test_another_regions_topic_is_unknown(engine: Engine) -> None:
    """A URN is compared whole, or a policy about a topic could be passed by."""
    topic, _ = await engine.topics.create(PROJECT, "alarms")
    other = topic.urn.replace("region01", "region02")
    with pytest.raises(Refused, match=r"SMN\.0006"):
        await engine.topics.get(other)
    with pytest.raises(Refused, match=r"SMN\.0006"):
        await engine.publish(other, "hello")


async def test_a_deleted_topic_is_unknown(engine: Engine) -> None:
    """To get, update, delete, publish, subscribe and list."""
    topic, _ = await engine.topics.create(PROJECT, "gone")
    await engine.topics.delete(topic.urn)
    for attempt in (
        engine.topics.get(topic.urn),
        engine.topics.update(topic.urn, display_name="x"),
        engine.topics.delete(topic.urn),
        engine.publish(topic.urn, "x"),
        engine.subscribe(topic.urn, "http", "http://127.0.0.1:9/", confirmed=True),
        engine.subscriptions.list_by_topic(topic.urn),
    ):
        with pytest.raises(Refused, match=r"SMN\.0006"):
            await attempt
    assert (await engine.topics.list(PROJECT)).total == 0


async def test_topics_list_newest_first(engine: Engine) -> None:
    """By creation; offset and limit page through them, the total is of all."""
    made = []
    for number in range(12):
        topic, _ = await engine.topics.create(PROJECT, f"topic-{number}")
        made.append(topic)
    newest = sorted(made, key=lambda topic: (topic.created_ms, topic.id), reverse=True)
    listing = await engine.topics.list(PROJECT, offset=3, limit=5)
    assert (list(listing.items), listing.total) == (newest[3:8], 12)
    assert (await engine.topics.list(PROJECT, offset=12)).items == ()


async def test_the_quota_of_topics_is_kept(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """One more is SMN.0004; those that exist are found, and a deleted one makes room."""
    async with open_engine(redis_url, tmp_path, receiver, quota_topics=2) as engine:
        first, _ = await engine.topics.create(PROJECT, "first")
        await engine.topics.create(PROJECT, "second")
        with pytest.raises(Refused, match=r"SMN\.0004"):
            await engine.topics.create(PROJECT, "third")
        assert await engine.topics.create(PROJECT, "first") == (first, False)
        await engine.topics.delete(first.urn)
        await engine.topics.create(PROJECT, "third")


async def test_what_a_dead_process_left_is_finished(engine: Engine) -> None:
    """A change whose index was not written, since its process died, is carried on by the sweep."""
    topic, _ = await engine.topics.create(PROJECT, "alarms")
    shard = engine.keys.shard_of_topic(topic.id)
    index = engine.keys.project_topics(PROJECT)
    await engine.store.call("DEL", index)
    await engine.store.call(
        "HSET", engine.keys.pending(shard), f"t:{topic.id}", f"+:{PROJECT}:{topic.created_ms}"
    )
    assert (await engine.topics.list(PROJECT)).total == 0
    assert await engine.pending.sweep(shard) == 1
    assert (await engine.topics.list(PROJECT)).items == (topic,)
    assert await engine.pending.sweep(shard) == 0
