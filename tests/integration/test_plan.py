"""A large message, or many of one topic, delay others by a quantum, not by their size."""

from __future__ import annotations

import pytest

from engine.app import Engine
from engine.pipeline.accept import LANE_LIMIT, QUANTUM_PAGES
from engine.pipeline.plan import plan_call
from engine.pipeline.retry import retry_call
from engine.store.messages import Reference
from tests.engines import same_shard_names


@pytest.fixture
async def topics(engine: Engine) -> list[tuple[str, str]]:
    """URNs and ids of three topics in one shard: two large ones and a small one."""
    project_id = (await engine.accounts.bootstrap()).project_id
    found = []
    for name, pages in zip(same_shard_names(engine, project_id, 3), (100, 50, 1), strict=True):
        topic = await engine.create_topic(name)
        # A topic's record is all that planning looks at.
        await engine.store.call(
            "HSET", engine.keys.topic(topic.id), "active", "http", "pages:http", pages
        )
        found.append((topic.urn, topic.id))
    return found


async def _read(engine: Engine, shard: int, count: int) -> list[Reference]:
    """Take the next entries out of the lane, as workers that are done with them would."""
    lane = engine.keys.lane(shard, "http")
    entries = await engine.store.call("XRANGE", lane, "-", "+", "COUNT", count)
    if entries:
        await engine.store.call("XDEL", lane, *(entry_id for entry_id, _ in entries))
    return [Reference.decode(fields[1]) for _, fields in entries]


async def _work(engine: Engine, shard: int) -> list[Reference]:
    """Everything, in the order in which a worker gets it: a few, then a plan, again and again."""
    done: list[Reference] = []
    while found := await _read(engine, shard, 4):
        done += found
        await engine.store.run(*plan_call(engine.keys, shard, "http"))
    return done


async def test_a_small_topic_waits_for_a_quantum(
    engine: Engine, topics: list[tuple[str, str]]
) -> None:
    """Behind 150 pages of others its one page comes after what the lane held and a quantum each."""
    (large, large_id), (other, _), (small, small_id) = topics
    shard = engine.keys.shard_of_topic(large_id)
    for _ in range(5):
        await engine.publish(large, "a flood")
    await engine.publish(other, "a wave")
    while await engine.store.call("XLEN", engine.keys.lane(shard, "http")) < LANE_LIMIT:
        await engine.store.run(*plan_call(engine.keys, shard, "http"))
    message_id = await engine.publish(small, "a drop")
    order = await _work(engine, shard)
    assert len(order) == 5 * 100 + 50 + 1
    assert order.index(Reference(message_id, small_id, 0)) <= LANE_LIMIT + 2 * QUANTUM_PAGES


async def test_many_messages_of_one_topic_are_as_patient(
    engine: Engine, topics: list[tuple[str, str]]
) -> None:
    """A topic with a hundred waiting messages gives way as one with a large message does."""
    (large_urn, large_id), _, (small, small_id) = topics
    await engine.store.call("HSET", engine.keys.topic(large_id), "pages:http", 1)
    shard = engine.keys.shard_of_topic(large_id)
    for number in range(200):
        await engine.publish(large_urn, f"number {number}")
    message_id = await engine.publish(small, "a drop")
    assert await engine.store.call("LLEN", engine.keys.inbox(shard, "http")) == 2
    order = await _work(engine, shard)
    assert order.index(Reference(message_id, small_id, 0)) <= LANE_LIMIT + QUANTUM_PAGES
    large = [reference for reference in order if reference.topic_id == large_id]
    assert len(large) == len(set(large)) == 200


async def test_messages_of_a_topic_stay_in_order(
    engine: Engine, topics: list[tuple[str, str]]
) -> None:
    """All pages of an earlier message are queued before those of a later one."""
    (large, large_id), *_ = topics
    published = [await engine.publish(large, f"number {number}") for number in range(3)]
    order = await _work(engine, engine.keys.shard_of_topic(large_id))
    assert order == [
        Reference(message_id, large_id, page) for message_id in published for page in range(100)
    ]


async def test_a_lane_is_never_overfilled(engine: Engine, topics: list[tuple[str, str]]) -> None:
    """However often and by whomever planning is called, the lane keeps its limit."""
    (large, large_id), (other, _), _ = topics
    await engine.publish(large, "a flood")
    await engine.publish(other, "a wave")
    shard = engine.keys.shard_of_topic(large_id)
    for _ in range(20):
        await engine.store.run(*plan_call(engine.keys, shard, "http"))
        assert await engine.store.call("XLEN", engine.keys.lane(shard, "http")) <= LANE_LIMIT


async def test_what_comes_due_at_once_waits_as_others_do(
    engine: Engine, topics: list[tuple[str, str]]
) -> None:
    """A parked endpoint's backlog is no wall before what is published meanwhile, nor behind it."""
    (large, large_id), _, (small, small_id) = topics
    shard = engine.keys.shard_of_topic(large_id)
    due = [f"{number:032x}:{large_id}:0" for number in range(500)]
    scores = [part for member in due for part in (1, member)]
    await engine.store.call("ZADD", engine.keys.retry(shard, "http"), *scores)

    async def work() -> list[Reference]:
        await engine.store.run(*plan_call(engine.keys, shard, "http"))
        await engine.store.run(*retry_call(engine.keys, shard, "http"))
        return await _read(engine, shard, 4)

    done = await work()
    message_id = await engine.publish(small, "a drop")
    for _ in range(5):
        await engine.publish(large, "a flood")
    while found := await work():
        done += found
    assert done.index(Reference(message_id, small_id, 0)) <= LANE_LIMIT + QUANTUM_PAGES
    assert len(set(done)) == len(done) == 500 + 1 + 5 * 100
    # While there is some of both, each has a share.
    retried = sum(reference.encode() in due for reference in done[100:500])
    assert 400 // 5 <= retried <= 400 * 4 // 5


async def test_an_empty_backlog_leaves_no_trace(
    engine: Engine, topics: list[tuple[str, str]]
) -> None:
    """When all is planned, inbox and cursors are gone."""
    (large, large_id), *_ = topics
    await engine.publish(large, "a flood")
    shard = engine.keys.shard_of_topic(large_id)
    await _work(engine, shard)
    names = (engine.keys.inbox(shard, "http"), engine.keys.backlog(shard, "http"))
    assert await engine.store.call("EXISTS", *names) == 0
    assert await engine.store.run(*plan_call(engine.keys, shard, "http")) == [0, 0]
