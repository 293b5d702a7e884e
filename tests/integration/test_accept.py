"""What is stored when a message is accepted, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.models import Kind
from engine.pipeline.accept import LANE_LIMIT, QUANTUM_PAGES, Draft
from engine.store.messages import Reference
from tests.engines import all_ended, eventually, open_engine, snapshot, unfinished, working
from tests.receiver import Receiver

LINE_ENDS = ("\n", "\r", "\t", "\x85", "\u2028", "\u2029")


async def _lane(engine: Engine, topic_id: str, protocol: str = "http") -> list[Reference]:
    lane = engine.keys.lane(engine.keys.shard_of_topic(topic_id), protocol)
    entries = await engine.store.call("XRANGE", lane, "-", "+")
    return [Reference.decode(fields[1]) for _, fields in entries]


async def test_a_message_is_stored_once_and_its_pages_are_queued(
    engine: Engine, receiver: Receiver
) -> None:
    """Whatever the number of pages, content is stored once and entries are references."""
    topic = await engine.create_topic("pages")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("e", 600))
    message_id = await engine.publish(topic.urn, "needle in a haystack")
    assert await _lane(engine, topic.id) == [
        Reference(message_id, topic.id, page) for page in range(3)
    ]
    state = await snapshot(engine.store)
    assert sum("needle in a haystack" in str(value) for value in state.values()) == 1
    lane = engine.keys.lane(engine.keys.shard_of_topic(topic.id), "http")
    entries, _ = state[lane]
    assert all(_bytes(fields) < 200 for _, fields in entries)


@pytest.mark.parametrize(("length", "brings"), [(100, True), (3_500, True), (4_100, False)])
async def test_only_what_is_short_goes_with_its_entry(
    engine: Engine, receiver: Receiver, length: int, brings: bool
) -> None:
    """To one page; the entry is bounded whatever is published, and so is a lane."""
    topic = await engine.create_topic("page")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    text = "x" * length
    await engine.publish(topic.urn, text)
    lane = engine.keys.lane(engine.keys.shard_of_topic(topic.id), "http")
    ((_, fields),) = await engine.store.call("XRANGE", lane, "-", "+")
    assert (text.encode() in b"".join(fields)) == brings
    assert _bytes(fields) < 200 + (4096 if brings else 0)


def _bytes(fields: Sequence[bytes]) -> int:
    return sum(map(len, fields))


async def test_a_message_that_nobody_receives_leaves_nothing(engine: Engine) -> None:
    """Without subscriptions it is accepted, numbered and over."""
    topic = await engine.create_topic("lonely")
    message_id = await engine.publish(topic.urn, "hello?")
    assert len(message_id) == 32
    assert await unfinished(engine) == 0
    state = await snapshot(engine.store)
    assert engine.keys.message(topic.id, message_id) not in state
    assert state[engine.keys.topic(topic.id)][b"sequence"] == b"1"


async def test_an_accepted_quantum_is_bounded(engine: Engine, receiver: Receiver) -> None:
    """Accepting plans a quantum at most, the rest waits as one cursor."""
    topic = await engine.create_topic("large")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("e", 20 * 256))
    shard = engine.keys.shard_of_topic(topic.id)
    for count in range(1, 4):
        await engine.publish(topic.urn, f"number {count}")
        assert len(await _lane(engine, topic.id)) == QUANTUM_PAGES
        backlog = await engine.store.call("HLEN", engine.keys.backlog(shard, "http"))
        assert backlog == count + 2  # cursors, head and tail
        assert await engine.store.call("LLEN", engine.keys.inbox(shard, "http")) == 1


async def test_a_lane_is_filled_up_to_its_limit(engine: Engine, receiver: Receiver) -> None:
    """However many messages are published, what nobody reads yet waits in the backlog."""
    topic = await engine.create_topic("small")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    for number in range(LANE_LIMIT + 5):
        await engine.publish(topic.urn, f"number {number}")
    assert len(await _lane(engine, topic.id)) == LANE_LIMIT
    async with working(engine):
        await all_ended(engine)
    assert [a.text for a in receiver.arrivals].count("number 36") == 1
    assert len(receiver.arrivals) == LANE_LIMIT + 5


async def test_each_protocol_has_its_own_lane(engine: Engine, receiver: Receiver) -> None:
    """A message is queued once for each protocol that has subscribers."""
    topic = await engine.create_topic("both")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    first = await engine.publish(topic.urn, "to one")
    await engine.subscribe(topic.urn, "sms", "+8613800000000", confirmed=True)
    second = await engine.publish(topic.urn, "to both")
    assert [ref.message_id for ref in await _lane(engine, topic.id)] == [first, second]
    assert [ref.message_id for ref in await _lane(engine, topic.id, "sms")] == [second]


async def test_who_subscribes_later_is_not_owed_the_message(
    engine: Engine, receiver: Receiver
) -> None:
    """Recipients are those confirmed when the message was accepted."""
    topic = await engine.create_topic("later")
    await engine.subscribe(topic.urn, "http", receiver.url("early"), confirmed=True)
    message_id = await engine.publish(topic.urn, "hello")
    await engine.subscribe(topic.urn, "http", receiver.url("late"), confirmed=True)
    async with working(engine):
        await all_ended(engine)
    assert receiver.names(message_id) == ["early"]


async def test_an_addressed_message_reaches_one_seat(engine: Engine, receiver: Receiver) -> None:
    """It goes to its recipient only, confirmed or not, and does not count as the topic's."""
    topic = await engine.create_topic("addressed")
    await engine.subscribe(topic.urn, "http", receiver.url("other"), confirmed=True)
    invited = await engine.subscribe(topic.urn, "http", receiver.url("invited"))
    message_id = await engine.publisher.address(
        topic, invited, Kind.DETECTION, Draft({"default": "are you there?"})
    )
    async with working(engine):
        await all_ended(engine)
    assert receiver.names(message_id) == ["invited"]
    record = await engine.store.call("HGET", engine.keys.topic(topic.id), "sequence")
    assert record is None


async def test_an_addressed_message_does_not_reach_a_stranger(
    engine: Engine, receiver: Receiver
) -> None:
    """If the seat has gone to somebody else meanwhile, the message is withdrawn."""
    topic = await engine.create_topic("addressed")
    invited = await engine.subscribe(topic.urn, "http", receiver.url("invited"))
    await engine.subscriptions.delete(invited.urn)
    heir = await engine.subscribe(topic.urn, "http", receiver.url("heir"), confirmed=True)
    assert (heir.page, heir.seat) == (invited.page, invited.seat)
    async with working(engine):
        await all_ended(engine)
    assert receiver.arrivals == []
    assert await engine.dead_letters(topic.urn) == []


async def test_a_topic_that_goes_while_it_is_known_is_refused(engine: Engine) -> None:
    """A publisher that knows a topic from before learns that it is gone, or another one now."""
    topic = await engine.create_topic("fleeting")
    await engine.publish(topic.urn, "there")
    await engine.topics.delete(topic.urn)
    with pytest.raises(Refused, match=r"SMN\.0006"):
        await engine.publish(topic.urn, "gone")
    again = await engine.create_topic("fleeting")
    await engine.publish(topic.urn, "there again")
    record = await engine.store.call("HGET", engine.keys.topic(again.id), "sequence")
    assert record == b"1"


async def test_the_backlog_is_bounded(redis_url: str, tmp_path: Path, receiver: Receiver) -> None:
    """Past the limit of unfinished messages publishing is refused, and works once some ended."""
    async with open_engine(redis_url, tmp_path, receiver, max_backlog=3) as engine:
        topic = await engine.create_topic("bounded")
        await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
        for number in range(3):
            await engine.publish(topic.urn, f"number {number}")
        before = await snapshot(engine.store)
        with pytest.raises(Refused) as refused:
            await engine.publish(topic.urn, "too many")
        assert (refused.value.code, refused.value.status) == ("APIGW.0308", 429)
        assert refused.value.retry_after
        assert await snapshot(engine.store) == before
        async with working(engine):
            await eventually(lambda: len(receiver.arrivals) == 3, "the backlog is delivered")
            await all_ended(engine)
            await engine.publish(topic.urn, "one more")
            await all_ended(engine)
        assert len(receiver.arrivals) == 4


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (Draft({"default": ""}), "SMN.0009"),
        (Draft({"default": "ü" * 131_073}), "SMN.0009"),
        (Draft({"default": "x"}, subject="ü" * 257), "SMN.0008"),
        *((Draft({"default": "x"}, subject=f"two{end}lines"), "SMN.0008") for end in LINE_ENDS),
        (Draft({"default": "\ud800"}), "SMN.0009"),
        (Draft({"default": "x"}, subject="\ud800"), "SMN.0008"),
        (Draft({"default": "x"}, ttl_s=0), "APIGW.0201"),
        (Draft({"default": "x"}, ttl_s=86_401), "APIGW.0201"),
    ],
)
async def test_what_the_contract_refuses_changes_nothing(
    engine: Engine, draft: Draft, code: str
) -> None:
    """Sizes are in bytes of UTF-8; a refused draft leaves every key as it was."""
    topic = await engine.create_topic("strict")
    before = await snapshot(engine.store)
    with pytest.raises(Refused) as refused:
        await engine.publisher.publish(topic.urn, draft)
    assert refused.value.code == code
    assert await snapshot(engine.store) == before


async def test_the_largest_message_arrives_whole(engine: Engine, receiver: Receiver) -> None:
    """262,144 bytes of message and 512 of subject are allowed, and delivered."""
    topic = await engine.create_topic("large")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.publish(topic.urn, "ü" * 131_072, subject="ü" * 256)
    async with working(engine):
        await all_ended(engine)
    (arrival,) = receiver.arrivals
    assert arrival.text == "ü" * 131_072
