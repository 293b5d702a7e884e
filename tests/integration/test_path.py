"""The whole path, on every kind of server: accept, plan, dispatch, settle, retry, bury, redrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.models import End, Message
from engine.ports import Answer, TransportError
from tests.engines import Hands, all_ended, eventually, keys_about, open_engine, working
from tests.receiver import Receiver, served


@pytest.fixture(params=["valkey", "cluster", "redis 6.2"])
def anywhere(request: pytest.FixtureRequest) -> str:
    """The URL of an empty server of each kind that Tocsin runs on."""
    match request.param:
        case "valkey":
            return str(request.getfixturevalue("redis_url"))
        case "cluster":
            return str(request.getfixturevalue("cluster").url)
        case _:
            return str(request.getfixturevalue("redis62"))


@pytest.fixture
async def path(
    anywhere: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> AsyncIterator[Engine]:
    """An engine on each kind of server; a failed delivery leaves time to look at it."""
    async with open_engine(anywhere, tmp_path, receiver, retry_delays=(0.5, 0.5)) as engine:
        yield engine


async def test_a_message_takes_the_whole_path(anywhere: str, tmp_path: Path) -> None:
    """Over real sockets each endpoint's behaviour has its outcome; a redrive delivers the rest."""
    async with served() as receiver, open_engine(anywhere, tmp_path) as engine:
        topic = await engine.create_topic("alarms")
        script = {
            "good": (200,),
            "shaky": (500, TransportError("reset"), 204),
            "busy": (Answer(429, retry_after="1"), 200),
            "broken": (500,),
            "strict": (404,),
        }
        for name, answers in script.items():
            await engine.subscribe(
                topic.urn, "http", receiver.behave(name, *answers), confirmed=True
            )
        async with working(engine):
            message_id = await engine.publish(topic.urn, "water is rising")
            await all_ended(engine)

            assert {name: len(receiver.of(name)) for name in script} == {
                "good": 1,
                "shaky": 3,
                "busy": 2,
                "broken": 3,
                "strict": 1,
            }
            assert {arrival.text for arrival in receiver.arrivals} == {"water is rising"}
            lines = await engine.delivery_log(topic.urn, message_id=message_id)
            assert {
                line.endpoint.rsplit("/", 1)[1]: (
                    line.status,
                    [attempt.code for attempt in line.attempts],
                )
                for line in lines
            } == {
                "good": ("DELIVERED", [200]),
                "shaky": ("DELIVERED", [500, 0, 204]),
                "busy": ("DELIVERED", [429, 200]),
                "broken": ("FAIL_DELIVERED", [500, 500, 500]),
                "strict": ("FAIL_DELIVERED", [404]),
            }
            dead = await engine.dead_letters(topic.urn)
            assert {(letter.end, letter.code, letter.tries) for letter in dead} == {
                (End.EXHAUSTED, 500, 3),
                (End.REJECTED, 404, 1),
            }

            receiver.behave("broken", 500, 200)
            receiver.behave("strict", 200)
            assert await engine.redrive(topic.urn) == 2
            await eventually(lambda: len(receiver.of("broken")) == 5, "the redriven are retried")
            await all_ended(engine)
        assert len(receiver.of("good")) == 1
        assert len(receiver.of("strict")) == 2
        assert await engine.dead_letters(topic.urn) == []
        assert await keys_about(engine, message_id) == set()


async def test_a_large_topic_is_reached_through_the_backlog(
    path: Engine, receiver: Receiver
) -> None:
    """More pages than are planned at once: every subscription gets every message once."""
    topic = await path.create_topic("large")
    endpoints = receiver.urls("large", 9 * 256 + 100)
    assert await path.subscribe_many(topic.urn, "http", endpoints) == len(endpoints)
    shard = path.keys.shard_of_topic(topic.id)
    published = [await path.publish(topic.urn, f"number {number}") for number in range(3)]
    assert await path.store.call("LLEN", path.keys.inbox(shard, "http")) == 1
    async with working(path):
        await all_ended(path)
    pairs = receiver.pairs()
    assert len(pairs) == 3 * len(endpoints)
    assert set(pairs.values()) == {1}
    for message_id in published:
        assert await keys_about(path, message_id) == set()
    assert await path.store.call("EXISTS", path.keys.backlog(shard, "http")) == 0


async def test_content_is_rendered_once_for_all_pages_of_a_read(
    path: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendering may sign, and what is kept of content for further pages is bounded in bytes."""
    topic = await path.create_topic("several")
    await path.subscribe_many(topic.urn, "http", receiver.urls("several", 2 * 256 + 1))
    adapter, rendered = path.adapters["http"], []
    render = adapter.render

    def noted(message: Message, protocol: str) -> Any:
        rendered.append(message.id)
        return render(message, protocol)

    monkeypatch.setattr(adapter, "render", noted)
    message_id = await path.publish(topic.urn, "three pages")
    batches = await Hands(path, path.keys.shard_of_topic(topic.id), "w1").take()
    assert [batch.reference.page for batch in batches] == [0, 1, 2]
    assert rendered == [message_id]


async def test_who_unsubscribes_midway_hears_no_more(path: Engine, receiver: Receiver) -> None:
    """A delivery that waits for its next try is withdrawn: no attempt, no line, no dead letter."""
    topic = await path.create_topic("midway")
    leaving = await path.subscribe(
        topic.urn, "http", receiver.behave("leaving", 500), confirmed=True
    )
    await path.subscribe(topic.urn, "http", receiver.url("staying"), confirmed=True)
    message_id = await path.publish(topic.urn, "hello")
    retry = path.keys.retry(path.keys.shard_of_topic(topic.id), "http")
    async with working(path):
        await _parked_for_retry(path, retry)
        await path.subscriptions.delete(leaving.urn)
        await all_ended(path)
    assert len(receiver.of("leaving")) == 1
    lines = await path.delivery_log(topic.urn, message_id=message_id)
    assert [(line.endpoint, line.status) for line in lines] == [
        (receiver.url("staying"), "DELIVERED")
    ]
    assert await path.dead_letters(topic.urn) == []
    assert await keys_about(path, message_id) == set()


async def test_a_freed_seat_is_a_fresh_start(path: Engine, receiver: Receiver) -> None:
    """Who gets a freed seat receives nothing accepted before, retried or not, and all after."""
    topic = await path.create_topic("seats")
    gone = await path.subscribe(topic.urn, "http", receiver.behave("gone", 500), confirmed=True)
    await path.subscribe(topic.urn, "http", receiver.url("neighbour"), confirmed=True)
    retry = path.keys.retry(path.keys.shard_of_topic(topic.id), "http")
    async with working(path):
        await path.publish(topic.urn, "old, tried")
        await _parked_for_retry(path, retry)
    untouched = await path.publish(topic.urn, "old, not tried")
    await path.subscriptions.delete(gone.urn)
    heir = await path.subscribe(topic.urn, "http", receiver.url("heir"), confirmed=True)
    assert (heir.page, heir.seat) == (gone.page, gone.seat)
    newest = await path.publish(topic.urn, "new")
    async with working(path):
        await all_ended(path)
    assert [arrival.message_id for arrival in receiver.of("heir")] == [newest]
    assert receiver.names(untouched) == ["neighbour"]
    assert await path.dead_letters(topic.urn) == []


async def test_a_deleted_topic_is_silent_and_leaves_nothing(
    path: Engine, receiver: Receiver
) -> None:
    """Deleting a topic midway ends its messages and, in the background, removes every trace."""
    topic = await path.create_topic("doomed")
    project_id = (await path.accounts.bootstrap()).project_id
    await path.subscribe_many(topic.urn, "http", receiver.urls("doomed", 9 * 256))
    await path.subscribe(topic.urn, "http", receiver.behave("failing", 500), confirmed=True)
    rejecting = await path.subscribe(
        topic.urn, "http", receiver.behave("rejecting", 404), confirmed=True
    )
    retry = path.keys.retry(path.keys.shard_of_topic(topic.id), "http")
    async with working(path):
        await path.publish(topic.urn, "first")
        await _parked_for_retry(path, retry)
    before = len(receiver.arrivals)
    waiting = await path.publish(topic.urn, "never delivered")
    await path.topics.delete(topic.urn)
    async with working(path):
        await all_ended(path)

        async def purged() -> bool:
            return not await keys_about(path, topic.id)

        await eventually(purged, "nothing is left of the topic")
    assert len(receiver.arrivals) == before
    assert await keys_about(path, waiting) == set()
    assert (await path.subscriptions.list(project_id)).total == 0
    assert (await path.topics.list(project_id)).total == 0
    assert await path.dead.topics() == []
    assert rejecting.id not in str(await path.store.call("HGETALL", path.keys.pending(0)))


async def test_a_topic_of_the_same_name_is_another_topic(path: Engine, receiver: Receiver) -> None:
    """Deleted and made again it starts without subscriptions, and takes no older message."""
    first = await path.create_topic("phoenix")
    await path.subscribe(first.urn, "http", receiver.url("old"), confirmed=True)
    lost = await path.publish(first.urn, "for the first")
    await path.topics.delete(first.urn)
    second = await path.create_topic("phoenix")
    assert second.urn == first.urn
    await path.subscribe(second.urn, "http", receiver.url("new"), confirmed=True)
    message_id = await path.publish(second.urn, "for the second")
    async with working(path):
        await all_ended(path)
    assert receiver.names(lost) == []
    assert receiver.names(message_id) == ["new"]


async def _parked_for_retry(engine: Engine, retry: str) -> None:
    """Wait until some page waits in a retry set."""

    async def parked() -> bool:
        return bool(await engine.store.call("ZCARD", retry))

    await eventually(parked, "a page waits for its next try")
