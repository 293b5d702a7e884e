"""Filter policies through the API, and their effect on what is delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from tests.engines import snapshot, unfinished
from tests.subscribing import MISSING, World, open_world

POLICIES = "/v2/{project}/notifications/subscriptions/filter_polices"
ALARM = {"name": "alarm", "string_equals": ["os", "process"]}
LEVEL = {"name": "level", "string_equals": ["high"]}


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An API with every protocol of the contract."""
    async with open_world(redis_url, tmp_path) as world:
        yield world


def polices(*sets: tuple[str, Sequence[Any]]) -> dict[str, Any]:
    """A request's body."""
    return {
        "polices": [{"subscription_urn": urn, "filter_polices": list(one)} for urn, one in sets]
    }


def attribute(name: str, *values: str) -> dict[str, Any]:
    """A checked message attribute."""
    kind = "PROTOCOL" if name == "smn_protocol" else "STRING_ARRAY"
    return {"name": name, "type": kind, "value": list(values)}


async def _set(world: World, method: str, *sets: tuple[str, Sequence[Any]]) -> list[str]:
    """The codes of the results."""
    answer = await world.call(method, POLICIES, polices(*sets))
    assert answer.status == 200, answer.raw
    results = answer.json["batch_result"]
    assert [one["subscription_urn"] for one in results] == [urn for urn, _ in sets]
    return [one["code"] for one in results]


async def test_policies_are_made_replaced_and_removed(world: World) -> None:
    """POST makes the first, PUT replaces all, DELETE removes all; lists show what there is."""
    urn = await world.confirmed("welink", "1", client_id="a", client_secret="b")
    assert await _set(world, "POST", (urn, [ALARM, LEVEL])) == ["200"]
    assert (await world.listed())[urn]["filter_polices"] == [ALARM, LEVEL]
    assert await _set(world, "PUT", (urn, [LEVEL])) == ["200"]
    assert (await world.listed())[urn]["filter_polices"] == [LEVEL]
    answer = await world.call("DELETE", POLICIES, {"subscription_urns": [urn]})
    assert answer.json["batch_result"] == [
        {"code": "200", "message": "OK", "subscription_urn": urn}
    ]
    assert (await world.listed())[urn]["filter_polices"] == []
    _, subscription = await world.engine.subscriptions.find(urn)
    assert subscription.extension == {"client_id": "a", "client_secret": "b"}


async def test_each_subscription_has_its_result(world: World) -> None:
    """In order; what is wrong with one keeps no other."""
    one, two = [await world.confirmed("sms", f"1360000000{n}") for n in range(2)]
    await _set(world, "POST", (one, [ALARM]))
    foreign = f"urn:smn:region01:{MISSING}:demo:{MISSING}"
    codes = await _set(
        world,
        "POST",
        (one, [LEVEL]),
        (f"{world.topic}:{MISSING}", [ALARM]),
        ("nonsense", [ALARM]),
        (foreign, [ALARM]),
        (two, [LEVEL]),
    )
    assert codes == ["SMN.0043", "SMN.0013", "SMN.0014", "SMN.0001", "200"]
    listed = await world.listed()
    assert [listed[urn]["filter_polices"] for urn in (one, two)] == [[ALARM], [LEVEL]]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_bad_policies_change_nothing(world: World, method: str) -> None:
    """SMN.0043, also for the good ones of the same call."""
    one, two = [await world.confirmed("sms", f"1360000000{n}") for n in range(2)]
    bad: list[Any] = [
        {},
        {"polices": []},
        {"polices": "x"},
        {"polices": [{"subscription_urn": one}]},
        polices(*[(one, [ALARM])] * 101),
        polices((two, [ALARM]), (one, [])),
        polices((two, [ALARM]), (one, [ALARM, ALARM])),
        polices((one, [{"name": "smn_x", "string_equals": ["a"]}])),
        polices((one, [{"name": "a", "string_equals": []}])),
        polices((one, [{"name": "a", "string_equals": [7]}])),
        polices((one, [{"name": "a", "string_equals": ["a b"]}])),
        b"{",
    ]
    for body in bad:
        await world.refused(method, POLICIES, body, 400, "SMN.0043")
    for body in ({}, {"subscription_urns": []}, {"subscription_urns": [{}]}):
        await world.refused("DELETE", POLICIES, body, 400, "SMN.0043")


async def _publish(engine: Engine, topic: str, text: str, *attributes: Any) -> str:
    return await engine.publish(topic, text, attributes=attributes)


async def test_only_matching_subscriptions_are_sent_a_message(world: World) -> None:
    """The others end as filtered: no attempt, no line, no dead letter, nothing left over."""
    urns = {name: await world.confirmed("http", world.receiver.url(name)) for name in "abc"}
    await _set(
        world,
        "POST",
        (urns["a"], [ALARM]),
        (urns["b"], [{"name": "alarm", "string_equals": ["disk"]}]),
    )
    matching = await _publish(world.engine, world.topic, "one", attribute("alarm", "os"))
    to_nobody = await _publish(world.engine, world.topic, "two", attribute("colour", "red"))
    to_all = await _publish(world.engine, world.topic, "three")
    await world.deliver()
    assert sorted(world.receiver.names(matching)) == ["a"]
    assert world.receiver.names(to_nobody) == []
    assert sorted(world.receiver.names(to_all)) == ["a", "b", "c"]
    lines = await world.engine.delivery_log(world.topic)
    assert len(lines) == 4
    assert await world.engine.dead_letters(world.topic) == []
    assert await unfinished(world.engine) == 0
    assert not [name for name in await snapshot(world.engine.store) if "ledger" in name]


async def test_a_change_of_policies_counts_from_the_next_message(world: World) -> None:
    """Workers notice it by the page's version; one that is being tried is not taken back."""
    name = world.receiver.behave("a", 500, 200)
    urn = await world.confirmed("http", name)
    await _set(world, "POST", (urn, [ALARM]))
    first = await _publish(world.engine, world.topic, "one", attribute("alarm", "os"))
    await world.deliver()
    await _set(world, "PUT", (urn, [LEVEL]))
    second = await _publish(world.engine, world.topic, "two", attribute("alarm", "os"))
    third = await _publish(world.engine, world.topic, "three", attribute("level", "high"))
    await world.deliver()
    found = [len(world.receiver.names(message)) for message in (first, second, third)]
    assert found == [2, 0, 1]


async def test_smn_protocol_limits_the_lanes(world: World) -> None:
    """Batches are made for the protocols named; a message for none ends at once."""
    await world.confirmed("http", world.receiver.url("a"))
    await world.confirmed("callnotify", "13600000000")
    voice = world.recorders["callnotify"]
    await _publish(world.engine, world.topic, "one", attribute("smn_protocol", "callnotify"))
    keys = world.engine.keys
    shard = keys.shard_of_topic((await world.engine.topics.get(world.topic)).id)
    assert await world.engine.store.call("XLEN", keys.lane(shard, "http")) == 0
    await _publish(world.engine, world.topic, "two", attribute("smn_protocol", "email"))
    await world.deliver()
    assert world.receiver.arrivals == []
    assert [sent.message.text("callnotify") for sent in voice.sent] == ["one"]


async def test_invitations_ignore_policies(world: World) -> None:
    """An addressed message has no attributes to match, and goes whatever the status is."""
    urn = await world.add("http", world.receiver.url("a"))
    await _set(world, "POST", (urn, [ALARM]))
    await world.add("http", world.receiver.url("a"))
    await world.deliver()
    assert len(world.receiver.of("a")) == 2
