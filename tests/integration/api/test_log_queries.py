"""The delivery log of bound topics, in the shape of the log service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.store.delivery_log import DeliveryLog, Reading, Stretch
from tests.watching import deliver
from tests.worlds import World

QUERY = "/v2/{project}/groups/group-1/streams/stream-1/content/query"
EVER = {"start_time": "1000000000000", "end_time": "9999999999999"}


async def _bind(world: World, topic_urn: str, stream: str = "stream-1") -> None:
    body = {"log_group_id": "group-1", "log_stream_id": stream}
    answer = await world.call("POST", f"{{base}}/topics/{topic_urn}/logtanks", body)
    assert answer.status == 201, answer.raw


async def _logs(world: World, **asked: Any) -> dict[str, Any]:
    answer = await world.call("POST", QUERY, EVER | asked)
    assert answer.status == 200, answer.raw
    return answer.json


async def _endpoints(world: World, **asked: Any) -> list[str]:
    found = (await _logs(world, **asked))["logs"]
    return [json.loads(log["content"])["endpoint"].rpartition("/")[2] for log in found]


async def test_a_line_has_the_documented_format(world: World, topic: str) -> None:
    """One JSON line a delivery (LTS "Collecting Logs from SMN"), with all its members."""
    await _bind(world, topic)
    await deliver(world, topic, ("http", world.receiver.url("good")))
    found = await _logs(world)
    assert (found["count"], found["isQueryComplete"]) == (1, True)
    (log,) = found["logs"]
    (line,) = await world.engine.delivery_log(topic)
    content = json.loads(log["content"])
    for name in ("create_time", "send_time"):
        moment = content.pop(name)
        assert (len(moment), moment[10], moment[-1]) == (20, "T", "Z")
    assert content == {
        "message_id": line.message_id,
        "project_id": world.project,
        "topic_urn": topic,
        "subscriber_urn": line.subscriber_urn,
        "protocol_name": "http",
        "endpoint": world.receiver.url("good"),
        "status": "DELIVERED",
        "http_code": 200,
    }
    labels = {"topic_urn": topic, "protocol_name": "http", "status": "DELIVERED"}
    assert log["labels"] == labels


async def test_only_bound_topics_are_shown(world: World) -> None:
    """Of this project, in this stream, while they are bound and there."""
    urns = [(await world.engine.create_topic(name)).urn for name in ("a", "b", "c", "d")]
    foreign = (await world.engine.create_topic("a", project_id="b" * 32)).urn
    for urn in (*urns, foreign):
        endpoint = world.receiver.url(urn.rpartition(":")[2] if urn != foreign else "f")
        await deliver(world, urn, ("http", endpoint))
    assert (await _logs(world))["logs"] == []
    await _bind(world, urns[0])
    await _bind(world, urns[1])
    await _bind(world, urns[2], "stream-2")
    assert await _endpoints(world) == ["a", "b"]
    await world.call("DELETE", f"{{base}}/topics/{urns[0]}")
    assert await _endpoints(world) == ["b"]


@pytest.fixture
async def lines(world: World, topic: str) -> list[str]:
    """The endpoints of nine lines in the order of the log, over two topics and shards."""
    keys = world.engine.keys
    shard = keys.shard_of_topic((await world.engine.topics.get(topic)).id)
    made = [await world.engine.create_topic(f"other{number}") for number in range(20)]
    other = next(one.urn for one in made if keys.shard_of_topic(one.id) != shard)
    await _bind(world, topic)
    await _bind(world, other)
    for number in range(3):
        urn = other if number == 1 else topic
        endpoints = [("http", world.receiver.url(f"e{number}{seat}")) for seat in range(3)]
        world.receiver.behave(f"e{number}2", 404)
        await deliver(world, urn, *endpoints)
    return await _endpoints(world, limit=5000)


async def test_pages_go_on_at_a_line(world: World, lines: list[str]) -> None:
    """In both orders, forwards and back, whatever the size: each line once."""
    assert len(lines) == 12  # the first topic's endpoints got two messages
    for desc, expected in ((False, lines), (True, lines[::-1])):
        for limit in (1, 4, 5):
            seen: list[str] = []
            asked: dict[str, Any] = {"is_desc": desc, "limit": limit}
            while page := (await _logs(world, **asked))["logs"]:
                seen += [json.loads(one["content"])["endpoint"][-3:] for one in page]
                asked |= {"search_type": "forwards", "line_num": page[-1]["line_num"]}
            assert seen == expected
            back = asked | {"search_type": "backwards"}
            assert await _endpoints(world, **back) == expected[-1 - limit : -1]
            assert await _endpoints(world, **asked, labels={}) == []


async def test_lines_are_found_by_words_labels_and_time(world: World, lines: list[str]) -> None:
    """All conditions combine; the count can be of all of them."""
    assert set(await _endpoints(world, keywords="FAIL_DELIVERED")) == {"e02", "e12", "e22"}
    assert await _endpoints(world, keywords="FAIL_DELIVERED AND e12") == ["e12"]
    assert set(await _endpoints(world, keywords="e1?")) == {"e10", "e11", "e12"}
    failed = await _endpoints(world, labels={"status": "FAIL_DELIVERED"})
    assert len(failed) == 4
    assert await _endpoints(world, labels={"status": "DELIVERED"}, keywords="404") == []
    assert await _endpoints(world, labels={"other": "x"}) == []
    assert await _endpoints(world, end_time="1000000000001") == []
    counted = await _logs(world, is_count=True, limit=2, keywords="404")
    assert (counted["count"], len(counted["logs"])) == (4, 2)
    assert (await _logs(world, limit=2))["count"] == 2
    first = (await _logs(world, limit=1))["logs"][0]["line_num"][:13]
    assert len(await _endpoints(world, start_time=int(first), end_time="9999999999999")) == 12


async def test_a_query_looks_at_so_much_and_says_so(
    world: World, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has seen by then is shown in order, whether it was found or counted."""
    for most in (1, 4, 7):
        monkeypatch.setattr("engine.control.logs._MOST", most)
        found = await _logs(world, limit=5000)
        seen = [json.loads(one["content"])["endpoint"][-3:] for one in found["logs"]]
        assert not found["isQueryComplete"]
        assert len(seen) < len(lines)
        assert seen == lines[: len(seen)]
        counted = await _logs(world, is_count=True, limit=1)
        assert (counted["isQueryComplete"], counted["count"]) == (False, len(seen))
        nothing = await _logs(world, keywords="absent")
        assert (nothing["logs"], nothing["isQueryComplete"]) == ([], False)
    monkeypatch.setattr("engine.control.logs._MOST", 100)
    found = await _logs(world, is_count=True, keywords="absent")
    assert (found["count"], found["isQueryComplete"]) == (0, True)


async def test_long_logs_are_read_in_parts(
    world: World, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found does not depend on how much is read at once."""
    monkeypatch.setattr("engine.store.delivery_log._CHUNK", 1)
    assert await _endpoints(world, limit=5000) == lines
    assert await _endpoints(world, limit=5000, is_desc=True) == lines[::-1]


BAD: list[dict[str, Any]] = [
    *({name: value} for name in ("start_time", "end_time") for value in (None, "", "x", "-1")),
    *({"limit": value} for value in (0, 5001)),
    {"limit": "5"},
    {"limit": True},
    {"keywords": 1},
    {"keywords": "a" * 1025},
    {"keywords": "\x00"},
    {"labels": {"a": 1}},
    {"labels": "a"},
    {"is_desc": "true"},
    {"is_count": 1},
    {"search_type": "sideways"},
    {"search_type": "forwards"},
    {"search_type": "backwards", "line_num": "x"},
    {"line_num": "1"},
    {"is_analysis_query": True},
    {"start_time": "9999999999999", "end_time": "1000000000000"},
]


async def test_a_bad_query_is_refused(world: World, topic: str) -> None:
    """Each answers 400 in the shape that the SDK reads, and changes nothing."""
    await _bind(world, topic)
    for changes in BAD:
        await world.refuses("POST", QUERY, EVER | changes, status=400, code="APIGW.0201")
    for body in (b"", b"[]", b"{"):
        await world.refuses("POST", QUERY, body, status=400, code="APIGW.0201")
    foreign = QUERY.replace("{project}", "0" * 32)
    await world.refuses("POST", foreign, EVER, status=403, code="SMN.0001")


async def test_a_log_is_followed(world: World, topic: str) -> None:
    """What is there comes first, with its attempts, then what ends later."""
    found = await world.engine.topics.get(topic)
    world.receiver.behave("shaky", 500, 200)
    await deliver(world, topic, ("http", world.receiver.url("shaky")))
    log: DeliveryLog = world.engine.log
    following = log.follow(found, 0)
    first = await anext(following)
    assert [attempt.code for attempt in first.attempts] == [500, 200]
    await deliver(world, topic, message="later")
    second = await anext(following)
    await following.aclose()
    assert second.message_id != first.message_id
    both = [one async for _, one in log.lines([found], Stretch(0, 9_999_999_999_999), Reading(100))]
    assert [one.message_id for one in both] == [first.message_id, second.message_id]
