"""What is tried again, when, how often, and what ends a delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.models import End
from engine.ports import AddressRefused, Answer, TransportError
from tests.engines import all_ended, eventually, open_engine, working
from tests.receiver import Behaviour, Hang, Receiver

DELAYS = (0.1, 0.3)


@pytest.fixture
async def engine(
    redis_url: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> AsyncIterator[Engine]:
    """An engine with two further tries and no jitter."""
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=DELAYS) as engine:
        yield engine


async def _publish_to(
    engine: Engine, receiver: Receiver, *script: Behaviour, **options: Any
) -> str:
    """One message to one endpoint that behaves so, followed to its end; the topic's URN."""
    topic = await engine.create_topic("retried")
    await engine.subscribe(topic.urn, "http", receiver.behave("one", *script), confirmed=True)
    async with working(engine):
        await engine.publish(topic.urn, "hello", **options)
        await all_ended(engine)
    return topic.urn


FAILURES = [
    pytest.param(500, 500, id="500"),
    pytest.param(503, 503, id="503"),
    pytest.param(599, 599, id="599"),
    pytest.param(TransportError("refused"), 0, id="refused"),
    pytest.param(Hang(0.05), 0, id="timeout"),
]


@pytest.mark.parametrize(("behaviour", "code"), FAILURES)
async def test_a_failure_is_retried_until_the_schedule_is_over(
    engine: Engine, receiver: Receiver, behaviour: Behaviour, code: int
) -> None:
    """Each try is logged; the last one buries the delivery with its reason."""
    urn = await _publish_to(engine, receiver, behaviour)
    assert len(receiver.arrivals) == 1 + len(DELAYS)
    (line,) = await engine.delivery_log(urn)
    assert line.status == "FAIL_DELIVERED"
    assert [attempt.code for attempt in line.attempts] == [code] * 3
    assert all(attempt.reason for attempt in line.attempts)
    (letter,) = await engine.dead_letters(urn)
    assert (letter.end, letter.code, letter.tries) == (End.EXHAUSTED, code, 3)
    assert letter.reason


@pytest.mark.parametrize(("behaviour", "code"), FAILURES)
async def test_a_failure_that_passes_is_forgiven(
    engine: Engine, receiver: Receiver, behaviour: Behaviour, code: int
) -> None:
    """A later success is the outcome; the log keeps what went before."""
    urn = await _publish_to(engine, receiver, behaviour, 200)
    (line,) = await engine.delivery_log(urn)
    assert (line.status, [attempt.code for attempt in line.attempts]) == ("DELIVERED", [code, 200])
    assert await engine.dead_letters(urn) == []


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 429])
async def test_a_rejection_is_final(engine: Engine, receiver: Receiver, status: int) -> None:
    """What will not change is not tried again: 3xx, 4xx, and 429 that names no time."""
    urn = await _publish_to(engine, receiver, Answer(status, body=b"go away"))
    assert len(receiver.arrivals) == 1
    (letter,) = await engine.dead_letters(urn)
    assert (letter.end, letter.code, letter.tries) == (End.REJECTED, status, 1)
    assert letter.answer == "go away"


async def test_a_refused_address_is_final(engine: Engine, receiver: Receiver) -> None:
    """An endpoint that turns out to be internal is not tried again."""
    urn = await _publish_to(engine, receiver, AddressRefused("an internal address"))
    (letter,) = await engine.dead_letters(urn)
    assert (letter.end, len(receiver.arrivals)) == (End.REJECTED, 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_waiting_as_asked_spends_no_try(
    redis_url: str, tmp_path: Path, receiver: Receiver, status: int
) -> None:
    """`Retry-After` is obeyed, and the one further try that there is stays for a failure."""
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=(0.1,)) as engine:
        urn = await _publish_to(engine, receiver, Answer(status, retry_after="1"), 500, 200)
        first, second, _ = receiver.arrivals
        assert second.at - first.at >= 1
        (line,) = await engine.delivery_log(urn)
        assert line.status == "DELIVERED"
        assert [attempt.code for attempt in line.attempts] == [status, 500, 200]


async def test_delays_are_lower_bounds(engine: Engine, receiver: Receiver) -> None:
    """No try comes before its delay has passed."""
    await _publish_to(engine, receiver, 500)
    at = [arrival.at for arrival in receiver.arrivals]
    assert [later - earlier >= delay for earlier, later, delay in zip(at, at[1:], DELAYS)] == [  # noqa: B905
        True,
        True,
    ]


async def test_nothing_is_tried_past_the_time_to_live(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A try that would come too late is not made: the delivery ends as expired at once."""
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=(5.0,)) as engine:
        urn = await _publish_to(engine, receiver, 500, ttl=2)
        (letter,) = await engine.dead_letters(urn)
        assert (letter.end, letter.tries, letter.code) == (End.EXPIRED, 1, 500)


async def test_waiting_as_asked_ends_with_the_time_to_live(
    engine: Engine, receiver: Receiver
) -> None:
    """An endpoint that asks for more time than the message has does not get the message.

    The log has what it answered, and no attempt for the end.
    """
    urn = await _publish_to(engine, receiver, Answer(429, retry_after="3600"), ttl=1)
    (letter,) = await engine.dead_letters(urn)
    assert (letter.end, letter.tries, len(receiver.arrivals)) == (End.EXPIRED, 0, 1)
    (line,) = await engine.delivery_log(urn)
    assert [(attempt.code, attempt.reason) for attempt in line.attempts] == [(429, "HTTP 429")]


async def test_a_message_that_nobody_took_in_time_expires(
    engine: Engine, receiver: Receiver
) -> None:
    """A message older than its time to live is buried without being sent."""
    topic = await engine.create_topic("late")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.publish(topic.urn, "hello", ttl=1)
    deadline_ms = engine.clock.now_ms() + 1_000
    await eventually(lambda: engine.clock.now_ms() > deadline_ms, "it is too late")
    async with working(engine):
        await all_ended(engine)
    (line,) = await engine.delivery_log(topic.urn)
    assert (line.status, line.attempts, receiver.arrivals) == ("FAIL_DELIVERED", (), [])
    (letter,) = await engine.dead_letters(topic.urn)
    assert (letter.end, letter.tries) == (End.EXPIRED, 0)


async def test_due_times_outlive_the_worker_that_wrote_them(
    engine: Engine, receiver: Receiver
) -> None:
    """Another worker looks after what waits when its own is gone."""
    topic = await engine.create_topic("inherited")
    endpoint = receiver.behave("one", 500, 200)
    await engine.subscribe(topic.urn, "http", endpoint, confirmed=True)
    retry = engine.keys.retry(engine.keys.shard_of_topic(topic.id), "http")

    async def waiting() -> bool:
        return bool(await engine.store.call("ZCARD", retry))

    async with working(engine, "first"):
        await engine.publish(topic.urn, "hello")
        await eventually(waiting, "the page waits")
    async with working(engine, "second"):
        await all_ended(engine)
    assert len(receiver.arrivals) == 2


async def test_an_invitations_retry_reaches_no_stranger(engine: Engine, receiver: Receiver) -> None:
    """Who gets the seat of one that left while it was being invited is not sent its invitation."""
    topic = await engine.create_topic("inherited")
    invited = await engine.subscribe(topic.urn, "http", receiver.behave("invited", 500))
    retry = engine.keys.retry(engine.keys.shard_of_topic(topic.id), "http")

    async def waiting() -> bool:
        return bool(await engine.store.call("ZCARD", retry))

    async with working(engine, "first"):
        await eventually(waiting, "the invitation waits for its next try")
    await engine.subscriptions.delete(invited.urn)
    heir = await engine.subscribe(topic.urn, "http", receiver.url("heir"), confirmed=True)
    assert (heir.page, heir.seat) == (invited.page, invited.seat)
    async with working(engine, "second"):
        await all_ended(engine)
    assert receiver.of("heir") == []
    assert await engine.dead_letters(topic.urn) == []


async def test_seats_retry_while_their_batch_runs(engine: Engine, receiver: Receiver) -> None:
    """A retry does not wait for the slowest neighbour of its page."""
    topic = await engine.create_topic("mixed")
    await engine.subscribe(topic.urn, "http", receiver.behave("shaky", 500, 200), confirmed=True)
    slow = receiver.behave("slow", Hang(2, answer=200))
    await engine.subscribe(topic.urn, "http", slow, confirmed=True)
    async with working(engine):
        await engine.publish(topic.urn, "hello")
        await eventually(lambda: len(receiver.of("shaky")) == 2, "the shaky one is retried")
        assert asyncio.get_running_loop().time() - receiver.of("slow")[0].at < 2
        await all_ended(engine)
    assert len(receiver.arrivals) == 3


async def test_a_page_goes_round_once_for_all_its_seats(engine: Engine, receiver: Receiver) -> None:
    """Seats that failed at about the same time come due together, not one by one."""
    topic = await engine.create_topic("together")
    for number in range(200):
        endpoint = receiver.behave(f"e{number}", 500, 200)
        await engine.subscribe(topic.urn, "http", endpoint, confirmed=True)
    shard = engine.keys.shard_of_topic(topic.id)
    async with working(engine):
        await engine.publish(topic.urn, "hello")
        await all_ended(engine)
    assert len(receiver.arrivals) == 400
    (info,) = (
        await engine.store.call(
            "XINFO", "STREAM", engine.keys.lane(shard, "http"), key=engine.keys.shard(shard)
        ),
    )
    fields = dict(zip(info[::2], info[1::2], strict=True))
    assert fields[b"entries-added"] <= 6
