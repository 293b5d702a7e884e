"""What belongs to a topic: written by scripts that may run twice, and gone when the topic is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.app import Engine
from engine.models import Topic
from engine.store.connection import Store
from engine.store.tag_records import TOPICS, Added, TagRecords
from tests.engines import eventually, keys_about, open_engine, snapshot, working
from tests.receiver import Receiver

POLICY = (
    '{"Version": "2016-09-07", "Id": "i", "Statement": [{"Sid": "s", "Effect": "Allow",'
    ' "Principal": {"CSP": "*"}, "Action": "*", "Resource": "*"}]}'
)
Step = Callable[[Engine, Topic], Awaitable[object]]


async def everything(engine: Engine, name: str, subscriptions: int) -> Topic:
    """A topic with all that can belong to one."""
    topic = await engine.create_topic(name)
    endpoints = [f"http://127.0.0.1:9/{number}" for number in range(subscriptions)]
    await engine.subscribe_many(topic.urn, "http", endpoints)
    await engine.attributes.set(topic.urn, "access_policy", POLICY)
    await engine.attributes.set(topic.urn, "introduction", "hello")
    await engine.tags.add(topic, [("env", "prod"), ("team", "blue")])
    await engine.logtanks.create(topic.urn, "g", "s")
    return topic


async def _logtank_id(engine: Engine, topic: Topic) -> str:
    found = await engine.logtanks.of_topic(topic.id)
    assert found is not None
    return found.id


async def _rebind(engine: Engine, topic: Topic) -> None:
    await engine.logtanks.update(topic.urn, await _logtank_id(engine, topic), "g", "t")


async def _unbind(engine: Engine, topic: Topic) -> None:
    await engine.logtanks.delete(topic.urn, await _logtank_id(engine, topic))


async def _bind_again(engine: Engine, topic: Topic) -> None:
    await _unbind(engine, topic)
    await engine.logtanks.create(topic.urn, "g", "s")


STEPS: dict[str, Step] = {
    "set": lambda engine, topic: engine.attributes.set(topic.urn, "introduction", "other"),
    "clear": lambda engine, topic: engine.attributes.clear(topic.urn),
    "tag": lambda engine, topic: engine.tags.add(topic, [("env", "dev"), ("new", "")]),
    "rebind": _rebind,
    "unbind": _unbind,
    "bind again": _bind_again,
}


async def _scripts_of(engine: Engine, topic: Topic, step: Step) -> list[tuple[Any, ...]]:
    """Take a step; the scripts that it ran."""
    calls: list[tuple[Any, ...]] = []
    run = engine.store.run

    async def noted(*call: Any, **how: Any) -> Any:
        calls.append(call)
        return await run(*call, **how)

    with patch.object(engine.store, "run", noted):
        await step(engine, topic)
    assert calls
    return calls


async def _run_again(engine: Engine, calls: list[tuple[Any, ...]]) -> bool:
    """Run scripts once more; whether every key is as it was."""
    before = await snapshot(engine.store)
    for call in calls:
        await engine.store.run(*call)
    return await snapshot(engine.store) == before


async def test_scripts_that_run_twice_change_nothing_more(engine: Engine) -> None:
    """A client whose reply was lost sends a script again: every key stays as it was."""
    for number, (name, step) in enumerate(STEPS.items()):
        topic = await everything(engine, f"twice-{number}", 1)
        assert await _run_again(engine, await _scripts_of(engine, topic, step)), name


async def test_scripts_that_come_late_bring_nothing_back(engine: Engine) -> None:
    """Run once more after the topic was deleted, and after its purge, they leave no key behind."""
    for number, (name, step) in enumerate(STEPS.items()):
        topic = await everything(engine, f"late-{number}", 1)
        calls = await _scripts_of(engine, topic, step)
        await engine.topics.delete(topic.urn)
        assert await _run_again(engine, calls), name
        await engine.retention.purge(engine.keys.shard_of_topic(topic.id))
        assert await _run_again(engine, calls), name


# Deletion


@pytest.fixture
async def other(redis_url: str, tmp_path: Path, engine: Engine) -> AsyncIterator[Engine]:
    """Another process's engine on the same data set."""
    async with open_engine(redis_url, tmp_path, Receiver()) as other:
        yield other


async def left_of(engine: Engine, topic: Topic) -> set[str]:
    """Keys about a topic, and indexes that still know it."""
    keys, shard = engine.keys, engine.keys.shard_of_topic(topic.id)
    found = await keys_about(engine, topic.id)
    for command in (
        ("ZRANGE", keys.project_topics(topic.project_id), 0, -1),
        ("ZRANGE", keys.project_subscriptions(topic.project_id), 0, -1),
        ("SMEMBERS", keys.project_logtanks(topic.project_id)),
        ("HGETALL", keys.pending(shard)),
        ("SMEMBERS", keys.purge(shard)),
    ):
        if topic.id.encode() in b" ".join(await engine.store.call(*command)):
            found.add(str(command[1]))
    return found


async def commands_of(engine: Engine, call: Awaitable[object]) -> int:
    """How many commands a call sends."""
    perform, sizes = Store._perform, list[int]()

    async def counted(store: Store, key: Any, commands: Any, *rest: Any, **how: Any) -> Any:
        sizes.append(len(commands))
        return await perform(store, key, commands, *rest, **how)

    with patch.object(Store, "_perform", counted):
        await call
    return sum(sizes)


async def test_deleting_costs_the_same_whatever_belongs_to_the_topic(engine: Engine) -> None:
    """The answer does not wait for what is removed: many subscriptions take no command more."""
    costs = set()
    for number, subscriptions in enumerate((0, 1, 3_000)):
        topic = await everything(engine, f"topic-{number}", subscriptions)
        costs.add(await commands_of(engine, engine.topics.delete(topic.urn)))
        assert await left_of(engine, topic)
    assert len(costs) == 1


class DeathError(Exception):
    """What ends a worker in the middle."""


async def _purge_until(engine: Engine, topic: Topic, calls: int) -> bool:
    """Purge, but die once so many calls to Redis have been made; whether it lived."""
    perform, made = Store._perform, [0]

    async def dying(store: Store, *call: Any, **how: Any) -> Any:
        if made[0] == calls:
            raise DeathError
        made[0] += 1
        return await perform(store, *call, **how)

    with patch.object(Store, "_perform", dying):
        try:
            await engine.retention.purge(engine.keys.shard_of_topic(topic.id))
        except DeathError:
            return False
    return True


async def test_a_purge_is_finished_wherever_it_broke_off(engine: Engine, other: Engine) -> None:
    """Whoever comes next removes the rest, index entries and notes included."""
    calls, lived = 0, False
    while not lived:
        topic = await everything(engine, f"topic-{calls}", 3)
        await engine.topics.delete(topic.urn)
        lived = await _purge_until(engine, topic, calls)
        calls += 1
        await other.retention.purge(engine.keys.shard_of_topic(topic.id))
        assert await left_of(engine, topic) == set()
    assert calls > 8


async def test_another_worker_finishes_a_dead_ones_purge(
    engine: Engine, other: Engine, impatient: None
) -> None:
    """A topic of many subscriptions, half removed when its worker died, is removed whole."""
    topic = await everything(engine, "large", 2_000)
    await engine.topics.delete(topic.urn)
    assert not await _purge_until(engine, topic, 6)
    assert await engine.store.call("ZCARD", engine.keys.order(topic.id)) in range(1, 2_000)

    async def gone() -> bool:
        return not await left_of(other, topic)

    async with working(other, "heir"):
        await eventually(gone, "the other worker finishes the purge")
    assert (await other.subscriptions.list(topic.project_id)).total == 0


async def test_a_new_topic_of_a_deleted_ones_name_starts_bare(engine: Engine) -> None:
    """Nothing of the old one is its own, before the purge and after it."""
    old = await everything(engine, "phoenix", 2)
    await engine.topics.delete(old.urn)
    new = await engine.create_topic("phoenix")
    await engine.tags.add(new, [("env", "dev")])
    for _ in range(2):
        assert await engine.attributes.access_policy(new.urn) == ""
        assert await engine.tags.of([new]) == [{"env": "dev"}]
        assert await engine.logtanks.of_topic(new.id) is None
        assert await engine.logtanks.bound(new.project_id, "g", "s") == []
        await engine.retention.purge(engine.keys.shard_of_topic(old.id))
    assert await left_of(engine, old) == set()


async def test_a_deleted_topic_leaves_no_line_in_its_project(engine: Engine) -> None:
    """What lists search goes with the topic, at once; that of others stays."""
    topic, other = await everything(engine, "gone", 1), await everything(engine, "kept", 1)
    await engine.topics.delete(topic.urn)
    for found in (await project_lines(engine, topic), await project_lines(engine, other)):
        assert found == ({other.id}, {other.id})


async def project_lines(engine: Engine, topic: Topic) -> tuple[set[str], set[str]]:
    """Topics with a card, and with tags, in a topic's project."""
    keys = engine.keys
    names = (
        keys.cards,
        lambda shard, project: keys.tags(shard, TOPICS, project),
    )
    cards, tagged = [
        {
            line.decode()
            for shard in range(keys.shards)
            for line in await engine.store.call("HKEYS", name(shard, topic.project_id))
            if line != b"v"
        }
        for name in names
    ]
    return cards, tagged


@pytest.fixture
async def tagging(engine: Engine) -> tuple[TagRecords, Topic]:
    """Tags, and a topic to have some."""
    return TagRecords(engine.store, engine.keys, TOPICS), await engine.create_topic("tagged")


TAG_KEYS = st.sampled_from(["a", "B", "1", "ü", '"', "/", "\\u0041"])
TAG_CHANGES = st.lists(
    st.tuples(st.dictionaries(TAG_KEYS, st.text(max_size=3)), st.sets(TAG_KEYS)), max_size=6
)
ONE_ENGINE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ONE_ENGINE
@given(changes=TAG_CHANGES)
async def test_tags_are_what_was_done_to_them(
    tagging: tuple[TagRecords, Topic], changes: list[tuple[dict[str, str], set[str]]]
) -> None:
    """Whatever their keys and values, taken away and given in one step, and none is none."""
    records, topic = tagging
    (before,) = await records.read([topic])
    await records.change(topic, add={}, remove=before, limit=5)
    model: dict[str, str] = {}
    for add, remove in changes:
        left = {key: value for key, value in model.items() if key not in remove}
        after = left | add
        updated = any(after[key] != value for key, value in left.items())
        done = await records.change(topic, add=add, remove=remove, limit=5)
        if len(after) > 5:
            assert done is Added.TOO_MANY
            continue
        assert done is (Added.UPDATED if updated else Added.DONE)
        model = after
        (found,) = await records.read([topic])
        assert list(found.items()) == sorted(model.items())
