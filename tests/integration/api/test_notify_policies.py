"""Notify policies through the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engines import keys_about
from tests.subscribing import MISSING, World, open_world

POLICY = "{topics}/{topic}/notify-policy"


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An API with every protocol of the contract."""
    async with open_world(redis_url, tmp_path) as world:
        yield world


@pytest.fixture
async def phones(world: World) -> list[str]:
    """Three subscriptions to be called."""
    return [await world.confirmed("callnotify", f"1360000000{n}") for n in range(3)]


def policy(*rounds: tuple[int, Sequence[Any]], protocol: str = "callnotify") -> dict[str, Any]:
    """A request's body."""
    polling = [{"order": order, "subscription_urns": list(urns)} for order, urns in rounds]
    return {"protocol": protocol, "polling": polling}


async def test_a_policy_is_made_replaced_and_removed(world: World, phones: list[str]) -> None:
    """It is shown round by round, in order, with its subscriptions; without one, without id."""
    one, two, three = phones
    nothing = await world.call("GET", POLICY)
    assert (nothing.status, set(nothing.json)) == (200, {"request_id"})
    made = await world.call("POST", POLICY, policy((2, [one]), (1, [two, three])))
    assert (made.status, set(made.json)) == (201, {"request_id", "id"})
    identifier = made.json["id"]
    shown = (await world.call("GET", POLICY)).json
    assert (shown["id"], shown["protocol"]) == (identifier, "callnotify")
    assert [
        (one["order"], [sub["subscription_urn"] for sub in one["subscriptions"]])
        for one in shown["polling"]
    ] == [(1, [two, three]), (2, [one])]
    assert shown["polling"][1]["subscriptions"][0] == {
        "subscription_urn": one,
        "endpoint": "13600000000",
        "remark": "",
        "status": 1,
    }
    replaced = await world.call("PUT", f"{POLICY}/{identifier}", policy((7, [three])))
    assert (replaced.status, set(replaced.json)) == (200, {"request_id"})
    shown = (await world.call("GET", POLICY)).json
    assert [one["order"] for one in shown["polling"]] == [7]
    assert (await world.call("DELETE", f"{POLICY}/{identifier}")).status == 200
    assert "id" not in (await world.call("GET", POLICY)).json
    assert (await world.call("POST", POLICY, policy((1, [one])))).status == 201


async def test_who_is_gone_is_not_shown(world: World, phones: list[str]) -> None:
    """A subscription that was removed leaves its round; the round stays."""
    await world.call("POST", POLICY, policy((1, phones[:1])))
    await world.engine.subscriptions.delete(phones[0])
    shown = (await world.call("GET", POLICY)).json
    assert shown["polling"] == [{"order": 1, "subscriptions": []}]


async def test_bad_policies_change_nothing(world: World, phones: list[str]) -> None:
    """Each fault has the contract's code, for new ones and in place of old ones."""
    one = phones[0]
    text = await world.confirmed("sms", "13600000000")
    other = await world.engine.create_topic("other")
    elsewhere = (
        await world.engine.subscribe(other.urn, "callnotify", "13600000000", confirmed=True)
    ).urn
    cases: list[tuple[Any, int, str]] = [
        (b"", 400, "SMN.0043"),
        ({"protocol": "callnotify"}, 400, "SMN.0043"),
        ({"polling": policy((1, [one]))["polling"]}, 400, "SMN.0011"),
        (policy((1, [one]), protocol="sms"), 400, "SMN.0011"),
        (policy(), 400, "SMN.0043"),
        (policy((1, [])), 400, "SMN.0043"),
        (policy((1, [one]), (1, [phones[1]])), 400, "SMN.0043"),
        (policy((1, [one]), (2, [one])), 400, "SMN.0043"),
        (policy((-1, [one])), 400, "SMN.0043"),
        (policy((1, [7])), 400, "SMN.0043"),
        (policy((1, [text])), 400, "SMN.0043"),
        (policy((1, [elsewhere])), 400, "SMN.0043"),
        (policy((1, ["nonsense"])), 400, "SMN.0014"),
        (policy((1, [f"{world.topic}:{MISSING}"])), 404, "SMN.0013"),
        (policy((1, [one] * 101)), 400, "SMN.0043"),
    ]
    for body, status, code in cases:
        await world.refused("POST", POLICY, body, status, code)
    identifier = (await world.call("POST", POLICY, policy((1, [one])))).json["id"]
    for body, status, code in cases:
        await world.refused("PUT", f"{POLICY}/{identifier}", body, status, code)
    await world.refused("POST", POLICY, policy((1, [one])), 400, "SMN.0043")
    for unknown in (MISSING, "nonsense"):
        body = policy((1, [one]))
        await world.refused("PUT", f"{POLICY}/{unknown}", body, 404, "SMN.0013")
        await world.refused("DELETE", f"{POLICY}/{unknown}", None, 404, "SMN.0013")
    gone = "{topics}/{topic}x/notify-policy"
    for method in ("POST", "GET"):
        await world.refused(method, gone, policy((1, [one])), 404, "SMN.0006")


async def test_without_voice_there_are_no_policies(world: World, phones: list[str]) -> None:
    """SMN.0011 where no adapter speaks the protocol."""
    del world.engine.adapters["callnotify"]
    await world.refused("POST", POLICY, policy((1, phones)), 400, "SMN.0011")


async def test_a_policy_goes_with_its_topic(world: World, phones: list[str]) -> None:
    """Nothing of it is left, and a topic of the same name has none."""
    await world.call("POST", POLICY, policy((1, phones)))
    topic = await world.engine.topics.get(world.topic)
    await world.engine.topics.delete(world.topic)
    await world.engine.retention.purge(world.engine.keys.shard_of_topic(topic.id))
    assert await keys_about(world.engine, topic.id) == set()
    await world.engine.create_topic("demo")
    assert "id" not in (await world.call("GET", POLICY)).json


async def test_the_script_may_run_twice(world: World, phones: list[str]) -> None:
    """A repeated call answers and leaves what the first did; only removing finds nothing."""
    topic = await world.engine.topics.get(world.topic)
    records = world.engine.notify_policies._records
    await world.call("POST", POLICY, policy((1, phones)))
    found = await records.read(topic.id)
    assert found is not None
    assert await records.create(topic.id, found) == 1
    assert await records.replace(topic.id, found) == 1
    assert await records.read(topic.id) == found
