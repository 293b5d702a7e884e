"""Metrics come from the counters of deliveries, in the shape of the monitoring service."""

from __future__ import annotations

from typing import Any

import pytest

from engine.policy.metrics import METRICS, RAW_MS
from tests.watching import deliver, get
from tests.worlds import World

LIST = "/V1.0/{project}/metrics"
SHOW = "/V1.0/{project}/metric-data"
BATCH = "/V1.0/{project}/batch-query-metric-data"


def _asked(world: World, **changes: Any) -> dict[str, Any]:
    now_ms = world.engine.clock.now_ms()
    return {
        "namespace": "SYS.SMN",
        "metric_name": "http_total_count",
        "dim.0": f"topic_id,{'0' * 32}",
        "filter": "sum",
        "period": 3600,
        "from": now_ms - RAW_MS,
        "to": now_ms + 1000,
    } | changes


async def _total(world: World, topic_id: str, name: str, aggregate: str = "sum") -> float:
    asked = _asked(world, **{"dim.0": f"topic_id,{topic_id}", "filter": aggregate})
    found = await get(world, SHOW, **(asked | {"metric_name": name}))
    assert found["metric_name"] == name
    assert {point["unit"] for point in found["datapoints"]} == {METRICS[name].unit}
    assert all(point["timestamp"] % 3_600_000 == 0 for point in found["datapoints"])
    values = [point[aggregate] for point in found["datapoints"]]
    return float(sum(values) if aggregate == "sum" else max(values))


async def test_a_metric_tells_what_was_sent(world: World) -> None:
    """Attempts, shares and classes of answers, of that topic alone."""
    topic, other = [await world.engine.create_topic(name) for name in ("news", "other")]
    endpoints = [
        ("http", world.receiver.url("good")),
        ("https", world.receiver.url("fine").replace("http:", "https:")),
        ("http", world.receiver.behave("gone", 410)),
        ("http", world.receiver.behave("broken", 500)),
        ("sms", "13600000000"),
    ]
    await deliver(world, topic.urn, *endpoints)
    totals = {name: await _total(world, topic.id, name) for name in METRICS if "count" in name}
    assert totals == {
        "http_total_count": 6,
        "http_4xx_count": 1,
        "http_5xx_count": 3,
        "sms_total_count": 1,
        "email_total_count": 0,
    }
    assert await _total(world, topic.id, "sms_success_rate", "max") == 100
    assert await _total(world, topic.id, "http_success_rate", "max") == pytest.approx(100 / 3, 0.01)
    assert await _total(world, other.id, "http_total_count") == 0


async def test_a_topic_without_data_reports_0(world: World) -> None:
    """For each raw period of the asked time, as far as it has come."""
    topic = await world.engine.create_topic("news")
    now_ms = world.engine.clock.now_ms() // RAW_MS * RAW_MS
    asked = _asked(world, **{"dim.0": f"topic_id,{topic.id}", "period": 300, "filter": "average"})
    asked |= {"from": now_ms - 6 * RAW_MS + 1, "to": now_ms}
    found = await get(world, SHOW, **asked)
    assert [(one["timestamp"], one["average"]) for one in found["datapoints"]] == [
        (now_ms - number * RAW_MS, 0) for number in range(6, 0, -1)
    ]


async def test_what_does_not_exist_has_no_points(world: World) -> None:
    """As the monitoring service answers for what has not reported."""
    topic = await world.engine.create_topic("news")
    for changes in (
        {"namespace": "SYS.ECS"},
        {"metric_name": "cpu_util"},
        {"dim.0": "instance_id,x"},
        {"dim.0": "topic_id,x"},
        {"dim.0": f"topic_id,{'0' * 32}"},
        {"dim.1": "other,x"},
        {"from": 9_999_999_999_000, "to": 9_999_999_999_999},
    ):
        asked = _asked(world, **({"dim.0": f"topic_id,{topic.id}"} | changes))
        assert (await get(world, SHOW, **asked))["datapoints"] == [], changes


async def test_another_projects_topic_has_no_points(world: World) -> None:
    """Nobody learns from its id whether it exists."""
    foreign = await world.engine.create_topic("news", project_id="b" * 32)
    asked = _asked(world, **{"dim.0": f"topic_id,{foreign.id}"})
    assert (await get(world, SHOW, **asked))["datapoints"] == []
    assert (await get(world, LIST, **{"dim.0": f"topic_id,{foreign.id}"}))["metrics"] == []


async def test_many_series_are_read_at_once(world: World) -> None:
    """Each in its place, with its names."""
    topic = await world.engine.create_topic("news")
    await deliver(world, topic.urn, ("http", world.receiver.url("good")), ("sms", "13600000000"))
    now_ms = world.engine.clock.now_ms()
    names = ["sms_total_count", "nonsense", "http_total_count", "email_total_count"]
    series = [
        {
            "namespace": "SYS.SMN",
            "metric_name": name,
            "dimensions": [{"name": "topic_id", "value": topic.id}],
        }
        for name in names
    ]
    body = {
        "metrics": series,
        "period": "300",
        "filter": "max",
        "from": now_ms - 1000,
        "to": now_ms + 1000,
    }
    answer = await world.call("POST", BATCH, body)
    assert answer.status == 200
    found = answer.json["metrics"]
    assert [{name: one[name] for name in series[0]} for one in found] == series
    assert [one["unit"] for one in found] == ["count", "", "count", "count"]
    most = [max((point["max"] for point in one["datapoints"]), default=None) for one in found]
    assert most == [1, None, 1, 0]


async def test_the_series_of_a_project_are_listed(world: World) -> None:
    """Eight of each topic, the oldest topic first unless told otherwise."""
    ids = [(await world.engine.create_topic(name)).id for name in "abc"]
    await world.engine.create_topic("foreign", project_id="b" * 32)
    found = await get(world, LIST)
    assert found["meta_data"] == {"count": 24, "total": 24, "marker": ""}
    assert [one["dimensions"][0]["value"] for one in found["metrics"]][::8] == ids
    assert {one["metric_name"] for one in found["metrics"]} == set(METRICS)
    found = await get(world, LIST, metric_name="http_4xx_count", order="desc", namespace="SYS.SMN")
    assert [one["dimensions"][0]["value"] for one in found["metrics"]] == ids[::-1]
    found = await get(world, LIST, **{"dim.0": f"topic_id,{ids[1]}"})
    assert {one["dimensions"][0]["value"] for one in found["metrics"]} == {ids[1]}
    for query in ({"namespace": "SYS.ECS"}, {"metric_name": "x"}, {"dim.0": "id,x"}):
        assert (await get(world, LIST, **query))["metrics"] == []


async def test_a_list_goes_on_at_its_marker(world: World) -> None:
    """Pages together are the whole, once each, whatever their size."""
    for name in "abc":
        await world.engine.create_topic(name)
    for query in ({}, {"order": "desc"}, {"metric_name": "sms_total_count"}):
        whole = (await get(world, LIST, **query))["metrics"]
        for limit in (1, 3, 8, 11, 24):
            assert await _paged(world, limit, query) == whole, (query, limit)


async def _paged(world: World, limit: int, query: dict[str, str]) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    marker = ""
    while True:
        page = await get(world, LIST, limit=limit, start=marker, **query)
        assert len(page["metrics"]) <= limit
        seen += page["metrics"]
        marker = page["meta_data"]["marker"]
        if not marker:
            return seen


BAD_LISTS = [
    *("limit=0", "limit=1001", "order=up", "namespace=x", "metric_name=-", "dim.0=topic_id"),
    *("start=x", "start=SYS.SMN.x.topic_id:1"),
    f"start=SYS.SMN.sms_total_count.topic_id:{'0' * 32}",
]
BAD_QUESTIONS: list[dict[str, Any]] = [
    *({name: ""} for name in ("namespace", "metric_name", "dim.0", "filter", "period")),
    *({name: ""} for name in ("from", "to")),
    *({"period": value} for value in ("0", "301", "x", "-1")),
    *({"filter": value} for value in ("median", "SUM")),
    *({"from": value} for value in ("x", "1", "-1", "99999999999999", "9999999999999")),
    {"dim.0": "topic_id"},
    {"metric_name": "a%20b"},
    {"namespace": "SMN"},
    {"namespace": "SYS." + "x" * 32},
]
_NO_DIMENSION = {"namespace": "SYS.SMN", "metric_name": "a", "dimensions": []}
BAD_BODIES: list[dict[str, Any]] = [
    {"metrics": None},
    {"metrics": {}},
    {"metrics": []},
    {"metrics": [1]},
    {"metrics": [{}]},
    {"metrics": [_NO_DIMENSION]},
    {"period": None},
    {"period": True},
    {"period": 1.5},
    {"period": "1.0"},
    {"period": [300]},
    {"filter": None},
    {"filter": 1},
    {"filter": "median"},
    *({"from": value} for value in ("x", 9_999_999_999_999)),
    {"from": None},
    {"from": True},
    {"from": 1.5},
]


async def test_a_bad_question_is_refused(world: World) -> None:
    """Whatever is wrong with it, in a query or a body, it is 400 in the shape the SDK reads."""
    refused = [await world.call("GET", f"{LIST}?{query}") for query in BAD_LISTS]
    for changes in BAD_QUESTIONS:
        query = "&".join(f"{name}={value}" for name, value in _asked(world, **changes).items())
        refused.append(await world.call("GET", f"{SHOW}?{query}"))
    dimension = {"name": "topic_id", "value": "0" * 32}
    series = {"namespace": "SYS.SMN", "metric_name": "x", "dimensions": [dimension]}
    good: dict[str, Any] = {"metrics": [series], "period": "300", "filter": "sum"}
    good |= {"from": 1_764_000_000_000, "to": 1_764_000_300_000}
    assert (await world.call("POST", BATCH, good)).status == 200
    refused += [await world.call("POST", BATCH, good | changes) for changes in BAD_BODIES]
    said = [(answer.status, answer.json["error_code"]) for answer in refused]
    assert said == [(400, "APIGW.0201")] * len(said)


async def test_another_project_stays_closed(world: World) -> None:
    """The project in the path must be the caller's."""
    for method, path in (("GET", LIST), ("GET", SHOW), ("POST", BATCH)):
        answer = await world.call(method, path.replace("{project}", "0" * 32))
        assert (answer.status, answer.json["error_code"]) == (403, "SMN.0001")
