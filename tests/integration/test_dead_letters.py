"""Deliveries that ended undelivered are kept, listed, redriven and dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.app import Engine
from engine.models import End, Topic
from tests.engines import (
    Hands,
    all_ended,
    eventually,
    keys_about,
    open_engine,
    unfinished,
    working,
)
from tests.receiver import Receiver

LETTERS = 5


@pytest.fixture
async def engine(redis_url: str, tmp_path: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    """An engine that buries at the first failure."""
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=()) as engine:
        yield engine


@pytest.fixture
async def topic(engine: Engine, receiver: Receiver) -> Topic:
    """A topic with broken endpoints and a good one."""
    topic = await engine.create_topic("broken")
    await engine.subscribe(topic.urn, "http", receiver.url("good"), confirmed=True)
    for number in range(LETTERS):
        endpoint = receiver.behave(f"broken{number}", 500)
        await engine.subscribe(topic.urn, "http", endpoint, confirmed=True)
    return topic


async def _publish(engine: Engine, topic: Topic, text: str = "hello") -> str:
    async with working(engine):
        message_id = await engine.publish(topic.urn, text)
        await all_ended(engine)
    return message_id


async def eventually_logged(engine: Engine, topic: Topic, count: int) -> None:
    """Wait for so many lines of the topic's delivery log."""

    async def logged() -> bool:
        return len(await engine.delivery_log(topic.urn)) == count

    await eventually(logged, "all are in the log")


def _mend(receiver: Receiver) -> None:
    for number in range(LETTERS):
        receiver.behave(f"broken{number}", 200)


async def test_a_dead_letter_says_what_happened(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """Message, subscription, endpoint, reason and last answer; counted on its topic."""
    message_id = await _publish(engine, topic)
    letters = await engine.dead_letters(topic.urn)
    assert {letter.endpoint for letter in letters} == {
        receiver.url(f"broken{number}") for number in range(LETTERS)
    }
    for letter in letters:
        assert (letter.message_id, letter.protocol) == (message_id, "http")
        assert (letter.reason, letter.code, letter.tries) == ("HTTP 500", 500, 1)
    assert await engine.dead.count(topic.id) == LETTERS
    assert await engine.dead_letters() == letters
    assert len(await engine.dead_letters(limit=2)) == 2


async def test_redriven_letters_are_delivered_once(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """They go out again, who had the message does not get it twice, and nothing remains."""
    message_id = await _publish(engine, topic, "late but there")
    _mend(receiver)
    assert await engine.redrive(topic.urn) == LETTERS
    assert await unfinished(engine) == 1
    async with working(engine):
        await all_ended(engine)
    assert len(receiver.of("good")) == 1
    for number in range(LETTERS):
        assert [a.text for a in receiver.of(f"broken{number}")] == ["late but there"] * 2
    assert await engine.dead_letters() == []
    assert await engine.dead.count(topic.id) == 0
    assert await keys_about(engine, message_id) == set()


async def test_what_fails_again_is_buried_again(engine: Engine, topic: Topic) -> None:
    """A redrive gives new tries, not a new message; its failure is one letter again."""
    await _publish(engine, topic)
    assert await engine.redrive(topic.urn) == LETTERS
    async with working(engine):
        await all_ended(engine)
    assert len(await engine.dead_letters()) == LETTERS
    assert await engine.dead.count(topic.id) == LETTERS


async def test_one_message_can_be_chosen(engine: Engine, topic: Topic, receiver: Receiver) -> None:
    """Redrive and drop by message leave other messages' letters alone."""
    first = await _publish(engine, topic, "first")
    second = await _publish(engine, topic, "second")
    _mend(receiver)
    assert await engine.redrive(topic.urn, message_id=first) == LETTERS
    async with working(engine):
        await all_ended(engine)
    assert {letter.message_id for letter in await engine.dead_letters()} == {second}
    assert await engine.drop(message_id=second) == LETTERS
    assert await engine.dead_letters() == []


async def test_some_of_a_page_can_be_chosen(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """The letters that are not redriven stay what they are while others go."""
    await _publish(engine, topic)
    _mend(receiver)
    chosen = receiver.url("broken2")
    redriven, busy = await engine.dead.redrive(
        topic.id,
        deadline_ms=engine.clock.now_ms() + 60_000,
        wanted=lambda letter: letter.endpoint == chosen,
    )
    assert (redriven, busy) == (1, 0)
    async with working(engine):
        await all_ended(engine)
    assert len(await engine.dead_letters()) == LETTERS - 1
    assert len(receiver.of("broken2")) == 2
    assert len(receiver.of("broken1")) == 1


async def test_a_page_under_way_is_left_for_later(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """While other deliveries of the page go on, its letters say busy and stay."""
    await engine.publish(topic.urn, "hello")
    hands = Hands(engine, engine.keys.shard_of_topic(topic.id), "a")
    (batch,) = await hands.take()
    hands.deliver(batch)
    batch.row.ended &= ~1
    batch.dead.append('[0,"' + "0" * 32 + '","","rejected",404,"HTTP 404","",1,1]')
    assert await hands.write(batch.take_flush("flush"))
    deadline_ms = engine.clock.now_ms() + 60_000
    assert await engine.dead.redrive(topic.id, deadline_ms=deadline_ms) == (0, 1)
    assert len(await engine.dead_letters()) == 1


async def test_dropped_letters_are_gone(engine: Engine, topic: Topic, receiver: Receiver) -> None:
    """With the last letter the message's content goes as well."""
    message_id = await _publish(engine, topic)
    assert await keys_about(engine, message_id) == {
        engine.keys.message(topic.id, message_id),
        engine.keys.ledger(topic.id, message_id),
    }
    assert await engine.drop(topic.urn) == LETTERS
    assert await keys_about(engine, message_id) == set()
    assert await engine.dead.topics() == []


async def test_who_has_left_is_not_redriven_to(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """A letter whose subscription is gone ends as withdrawn, whoever has its seat by now."""
    await _publish(engine, topic)
    listed = (await engine.subscriptions.list_by_topic(topic.urn)).items
    leaver = next(s for s in listed if s.endpoint == receiver.url("broken3"))
    await engine.subscriptions.delete(leaver.urn)
    heir = await engine.subscribe(topic.urn, "http", receiver.url("heir"), confirmed=True)
    assert heir.seat == leaver.seat
    _mend(receiver)
    assert await engine.redrive(topic.urn) == LETTERS
    async with working(engine):
        await all_ended(engine)
    assert receiver.of("heir") == []
    assert len(receiver.of("broken3")) == 1
    assert len(receiver.of("broken4")) == 2
    assert await engine.dead_letters() == []


async def test_a_redrive_has_a_time_to_live_of_its_own(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """A message whose own time has passed can still be redriven."""
    async with working(engine):
        await engine.publish(topic.urn, "short-lived", ttl=1)
        await all_ended(engine)
    _mend(receiver)
    deadline_ms = engine.clock.now_ms() + 1_100
    while engine.clock.now_ms() < deadline_ms:
        await engine.store.call("PING", key="")
    assert await engine.redrive(topic.urn, ttl=60) == LETTERS
    async with working(engine):
        await all_ended(engine)
    assert await engine.dead_letters() == []
    assert len(receiver.of("broken0")) == 2


async def test_a_missing_message_is_buried_for_everybody_who_was_owed_it(
    engine: Engine, topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    """An alarm and a line for each delivery, never a silent skip; nothing circles."""
    message_id = await engine.publish(topic.urn, "hello")
    await engine.store.call("DEL", engine.keys.message(topic.id, message_id))
    async with working(engine):
        await eventually_logged(engine, topic, LETTERS + 1)
    assert "message.lost" in caplog.text
    lines = await engine.delivery_log(topic.urn)
    assert {line.status for line in lines} == {"FAIL_DELIVERED"}
    assert {line.message_id for line in lines} == {message_id}
    assert all(line.subscriber_urn.startswith(f"{topic.urn}:") for line in lines)
    assert await engine.dead_letters(topic.urn) == [], "there is nothing left to redrive"


async def test_unreadable_content_is_buried(engine: Engine, topic: Topic) -> None:
    """What no worker can read ends as lost dead letters at the first look."""
    message_id = await engine.publish(topic.urn, "hello")
    await engine.store.call("HSET", engine.keys.message(topic.id, message_id), "b", "[99]")
    async with working(engine):
        await eventually_logged(engine, topic, LETTERS + 1)
    letters = await engine.dead_letters(topic.urn)
    assert [letter.end for letter in letters] == [End.LOST] * (LETTERS + 1)
