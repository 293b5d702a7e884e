"""Every script may run twice: a client whose reply was lost sends it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.app import Engine
from engine.models import FilterPolicy, Status, SubscriptionUser
from engine.pipeline.accept import QUANTUM_PAGES
from engine.pipeline.plan import plan_call
from engine.pipeline.retry import retry_call
from engine.store.connection import Script
from tests.engines import all_ended, snapshot, working
from tests.receiver import Receiver

Call = tuple[Script, Sequence[Any], Sequence[Any]]


@dataclass
class World:
    """A topic with a subscriber of each kind and a dead letter; every script call is noted."""

    engine: Engine
    urn: str
    ids: dict[str, str]
    calls: list[Call] = field(default_factory=list)

    async def again(self) -> None:
        """Run every noted call once more, each right behind the first time of all."""
        for call in list(self.calls):
            await self.engine.store.run(*call)


@pytest.fixture
async def world(engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> World:
    """Everything that the operations below work on."""
    topic = await engine.create_topic("twice")
    ids = {}
    for name, confirmed in (("good", True), ("strict", True), ("invited", False)):
        endpoint = receiver.behave(name, 404 if name == "strict" else 200)
        found = await engine.subscribe(topic.urn, "http", endpoint, confirmed=confirmed)
        ids[name] = found.urn
    async with working(engine):
        await engine.publish(topic.urn, "the first")
        await all_ended(engine)
    world = World(engine, topic.urn, ids)
    run = engine.store.run

    async def noted(script: Script, keys: Sequence[Any], args: Sequence[Any], **how: Any) -> Any:
        world.calls.append((script, keys, args))
        return await run(script, keys, args, **how)

    monkeypatch.setattr(engine.store, "run", noted)
    return world


async def _publish(world: World) -> None:
    await world.engine.publish(world.urn, "hello")


async def _publish_once(world: World) -> None:
    await world.engine.publish(world.urn, "hello", idempotency_key="one")


async def _subscribe(world: World) -> None:
    await world.engine.subscribe_many(world.urn, "http", ["http://127.0.0.1:9/a"] * 2)


async def _unsubscribe_by_link(world: World) -> None:
    await world.engine.subscriptions.unsubscribe(world.ids["good"])


async def _remove(world: World) -> None:
    await world.engine.subscriptions.delete(world.ids["good"])


async def _remove_all(world: World) -> None:
    for urn in world.ids.values():
        await world.engine.subscriptions.delete(urn)


async def _confirm(world: World) -> None:
    engine = world.engine
    topic = await engine.topics.get(world.urn)
    found = await engine.roster.find(topic.id, topic.urn, world.ids["invited"][-32:])
    assert found is not None
    assert await engine.roster.set_status(found, Status.CONFIRMED)


async def _remark(world: World) -> None:
    await world.engine.subscriptions.update(world.ids["good"], remark="another")


async def _filter(world: World) -> None:
    policies = [FilterPolicy("alarm", ("os",))]
    await world.engine.filter_policies.create(world.ids["good"], policies)


async def _unfilter(world: World) -> None:
    await _filter(world)
    await world.engine.filter_policies.clear(world.ids["good"])
    world.calls[:-1] = []


async def _create_user(world: World) -> None:
    user = SubscriptionUser("ops", ("night",), ("sms",))
    assert await world.engine.subscription_users._records.create("d" * 32, user, quota=10)


async def _create_topic(world: World) -> None:
    await world.engine.create_topic("another")


async def _find_topic(world: World) -> None:
    await world.engine.create_topic("twice")


async def _delete_topic(world: World) -> None:
    await world.engine.topics.delete(world.urn)


async def _purge(world: World) -> None:
    topic = await world.engine.topics.get(world.urn)
    await world.engine.topics.delete(world.urn)
    await world.engine.retention.purge(world.engine.keys.shard_of_topic(topic.id))


async def _redrive(world: World) -> None:
    assert await world.engine.redrive(world.urn) == 1


async def _drop(world: World) -> None:
    assert await world.engine.drop(world.urn) == 1


Operation = Callable[[World], Awaitable[None]]


@pytest.mark.parametrize(
    "operation",
    [
        _publish,
        _publish_once,
        _subscribe,
        _unsubscribe_by_link,
        _remove,
        _remove_all,
        _confirm,
        _remark,
        _filter,
        _unfilter,
        _create_user,
        _create_topic,
        _find_topic,
        _delete_topic,
        _purge,
        _redrive,
        _drop,
    ],
)
async def test_scripts_that_run_twice_change_nothing_more(
    world: World, operation: Operation
) -> None:
    """All scripts of an operation, run once more, leave every key as it was."""
    await operation(world)
    assert world.calls
    before = await snapshot(world.engine.store)
    await world.again()
    assert await snapshot(world.engine.store) == before


async def test_a_publish_that_runs_twice_is_delivered_once(
    world: World, receiver: Receiver
) -> None:
    """Also when its message has ended before the second run."""
    message_id = await world.engine.publish(world.urn, "hello")
    again = list(world.calls)
    async with working(world.engine):
        await all_ended(world.engine)
        for call in again:
            await world.engine.store.run(*call)
        await all_ended(world.engine)
    assert sorted(receiver.names(message_id)) == ["good", "strict"]


async def test_planning_twice_plans_every_page_once(engine: Engine, receiver: Receiver) -> None:
    """A plan that is run again plans what comes next, never a page a second time."""
    topic = await engine.create_topic("large")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("e", 20 * 256))
    await engine.publish(topic.urn, "hello")
    shard = engine.keys.shard_of_topic(topic.id)
    for _ in range(2 * 20 // QUANTUM_PAGES):
        await engine.store.run(*plan_call(engine.keys, shard, "http"))
    lane = await engine.store.call("XRANGE", engine.keys.lane(shard, "http"), "-", "+")
    pages = [int(fields[1].rsplit(b":", 1)[1]) for _, fields in lane]
    assert sorted(pages) == list(range(20))


async def test_moving_what_is_due_twice_moves_it_once(engine: Engine) -> None:
    """A retry that is run again finds the page gone from the set; it is in the lane once."""
    topic = await engine.create_topic("due")
    shard = engine.keys.shard_of_topic(topic.id)
    retry, lane = engine.keys.retry(shard, "http"), engine.keys.lane(shard, "http")
    await engine.store.call("ZADD", retry, 1, "due", engine.clock.now_ms() + 60_000, "later")
    replies = [await engine.store.run(*retry_call(engine.keys, shard, "http")) for _ in range(2)]
    assert [reply[0] for reply in replies] == [1, 0]
    assert [fields[1] for _, fields in await engine.store.call("XRANGE", lane, "-", "+")] == [
        b"due"
    ]
    assert await engine.store.call("ZRANGE", retry, 0, -1) == [b"later"]


async def test_a_release_that_runs_twice_gives_back_once(engine: Engine) -> None:
    """What a leaving worker held is in the lane once, and the worker is struck off."""
    from engine.worker import _RELEASE  # noqa: PLC0415 - the script, not the worker

    lane = engine.keys.lane(0, "http")
    store = engine.store
    await store.call("XGROUP", "CREATE", lane, "workers", "0", "MKSTREAM", key=lane)
    await store.call("XADD", lane, "*", "b", "held")
    read = ("XREADGROUP", "GROUP", "workers", "leaving", "STREAMS", lane, ">")
    await store.call(*read, key=lane)
    for _ in range(2):
        await store.run(_RELEASE, (lane,), ("workers", "leaving"))
    assert [fields[1] for _, fields in await store.call("XRANGE", lane, "-", "+")] == [b"held"]
    assert (await store.call("XPENDING", lane, "workers"))[0] == 0
    assert await store.call("XINFO", "CONSUMERS", lane, "workers", key=lane) == []
