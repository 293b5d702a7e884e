"""Topic attributes: kept byte for byte, cleared, and refused with the code of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.worlds import World

ATTRIBUTES = "{base}/topics/{topic}/attributes"
POLICY = f"{ATTRIBUTES}/access_policy"
INTRODUCTION = f"{ATTRIBUTES}/introduction"
UNSET = {"access_policy": "", "introduction": ""}


def policy(topic: str, **changes: Any) -> str:
    """A policy as a person would lay it out, which no parser would write again."""
    statement = {
        "Sid": "__user_pub_0",
        "Effect": "Allow",
        "Principal": {"CSP": ["urn:csp:iam::93dc1b4697ac493d9b7d089569f86b32:root"]},
        "Action": ["SMN:Publish", "SMN:QueryTopicDetail"],
        "Resource": topic,
    }
    document = {"Version": "2016-09-07", "Id": "__default_policy_ID", "Statement": [statement]}
    return "\n" + json.dumps(document | changes, indent=3) + "\n \n"


async def put(world: World, target: str, value: Any) -> None:
    """Set an attribute."""
    answer = await world.call("PUT", target, {"value": value})
    assert answer.status == 200, answer.raw
    assert set(answer.json) == {"request_id"}


async def read(world: World, query: str = "") -> dict[str, Any]:
    """The attributes as a client sees them."""
    answer = await world.call("GET", ATTRIBUTES + query)
    assert answer.status == 200, answer.raw
    found = answer.json["attributes"]
    assert isinstance(found, dict)
    assert all(isinstance(value, str) for value in found.values())
    return found


async def test_unset_attributes_read_as_empty_texts(world: World, topic: str) -> None:
    """All together and by name: clients read both before anything was set."""
    assert await read(world) == UNSET
    assert await read(world, "?name=access_policy") == {"access_policy": ""}
    assert await read(world, "?name=introduction") == {"introduction": ""}


async def test_attributes_come_back_byte_for_byte(world: World, topic: str) -> None:
    """Line breaks, spaces and order included; the times are those of the policy."""
    text, words = policy(topic), "  \tüber\r\nuns\u2028 "
    await put(world, POLICY, text)
    await put(world, INTRODUCTION, words)
    found = await read(world)
    times = {found.pop("create_time"), found.pop("update_time")}
    assert found == {"access_policy": text, "introduction": words}
    assert len(times) == 1
    assert times.pop().endswith("Z")
    assert (await read(world, "?name=introduction")) == {"introduction": words}
    assert set(await read(world, "?name=access_policy")) == {
        "access_policy",
        "create_time",
        "update_time",
    }


async def test_a_policy_keeps_its_birth_when_it_changes(world: World, topic: str) -> None:
    """Until it is cleared: the next one is another."""
    await put(world, POLICY, policy(topic))
    (first,) = await world.engine.attributes.policies([await world.engine.topics.get(topic)])
    await put(world, POLICY, policy(topic, Id="another"))
    (second,) = await world.engine.attributes.policies([await world.engine.topics.get(topic)])
    assert second.created_ms == first.created_ms
    assert second.updated_ms >= first.updated_ms
    await put(world, POLICY, "")
    assert await read(world) == UNSET


@pytest.mark.parametrize("target", [INTRODUCTION, ATTRIBUTES])
async def test_deleting_attributes_clears_them(world: World, topic: str, target: str) -> None:
    """One or all; a second time is as good as the first."""
    await put(world, POLICY, policy(topic))
    await put(world, INTRODUCTION, "hello")
    for _ in range(2):
        answer = await world.call("DELETE", target)
        assert (answer.status, set(answer.json)) == (200, {"request_id"})
    found = await read(world)
    assert found["introduction"] == ""
    assert bool(found["access_policy"]) is (target == INTRODUCTION)


async def test_a_topics_own_times_do_not_tell_of_its_attributes(world: World, topic: str) -> None:
    """``update_time`` of a topic is about the topic."""
    before = await world.engine.topics.get(topic)
    await put(world, POLICY, policy(topic))
    assert await world.engine.topics.get(topic) == before


GONE = "{base}/topics/urn:smn:region01:{project}:gone/attributes"
REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("GET", f"{ATTRIBUTES}?name=colour", None, 400, "SMN.0046"),
    ("PUT", f"{ATTRIBUTES}/colour", {"value": "red"}, 400, "SMN.0046"),
    ("PUT", f"{ATTRIBUTES}/colour", {}, 400, "SMN.0046"),
    ("DELETE", f"{ATTRIBUTES}/colour", None, 400, "SMN.0046"),
    ("PUT", POLICY, {}, 400, "SMN.0048"),
    ("PUT", POLICY, {"value": None}, 400, "SMN.0048"),
    ("PUT", POLICY, {"value": {"Version": "2016-09-07"}}, 400, "SMN.0048"),
    ("PUT", INTRODUCTION, {}, 400, "SMN.0046"),
    ("PUT", INTRODUCTION, {"value": 1}, 400, "SMN.0046"),
    ("PUT", INTRODUCTION, {"value": []}, 400, "SMN.0046"),
    ("PUT", POLICY, b"", 400, "APIGW.0201"),
    ("PUT", POLICY, b"[]", 400, "APIGW.0201"),
    ("PUT", POLICY, b'{"value": "\\ud800"}', 400, "APIGW.0201"),
    ("PUT", POLICY, {"value": "no JSON"}, 400, "SMN.0048"),
    ("PUT", POLICY, {"value": policy("{topic}", Version="1")}, 400, "SMN.0049"),
    ("PUT", POLICY, {"value": policy("{topic}", Id="")}, 400, "SMN.0050"),
    ("PUT", POLICY, {"value": policy("{topic}", Statement=[])}, 400, "SMN.0051"),
    ("PUT", POLICY, {"value": policy("urn:smn:r:" + "0" * 32 + ":x")}, 400, "SMN.0053"),
    ("PUT", POLICY, {"value": " " * 30_721}, 403, "SMN.0047"),
    ("PUT", INTRODUCTION, {"value": "a" * 121}, 403, "SMN.0047"),
    ("PUT", INTRODUCTION, {"value": "名" * 41}, 403, "SMN.0047"),
    *((method, GONE, None, 404, "SMN.0006") for method in ("GET", "DELETE")),
    ("PUT", f"{GONE}/introduction", {"value": "x"}, 404, "SMN.0006"),
    ("DELETE", f"{GONE}/introduction", None, 404, "SMN.0006"),
    ("GET", "{base}/topics/demo/attributes", None, 400, "SMN.0005"),
]


async def test_bad_requests_change_nothing(world: World, topic: str) -> None:
    """Each answers its code, with an access policy and an introduction there to lose."""
    await put(world, POLICY, policy(topic))
    await put(world, INTRODUCTION, "hello")
    for method, target, body, status, code in REFUSED:
        if isinstance(body, dict) and isinstance(body.get("value"), str):
            body = {"value": body["value"].replace("{topic}", topic)}  # noqa: PLW2901
        await world.refuses(method, target, body, status=status, code=code)


async def test_only_whole_topics_have_a_policy(world: World, topic: str) -> None:
    """Permission is asked for before existence: an unknown or deleted topic has none."""
    attributes = world.engine.attributes
    await put(world, POLICY, policy(topic))
    assert await attributes.access_policy(topic) == policy(topic)
    assert await attributes.access_policy(f"{topic}x") == ""
    assert (await world.call("DELETE", "{base}/topics/{topic}")).status == 200
    assert await attributes.access_policy(topic) == ""
