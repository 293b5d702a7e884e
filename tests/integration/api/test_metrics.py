"""Metrics come from the counters of deliveries, in the shape of the monitoring service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.policy.metrics import METRICS, RAW_MS
from engine.settings import Settings
from tests.watching import Watched, watching

LIST = "/V1.0/{p}/metrics"
SHOW = "/V1.0/{p}/metric-data"
BATCH = "/V1.0/{p}/batch-query-metric-data"


@pytest.fixture
async def api(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[Watched]:
    """An API with an account."""
    async with watching(redis_url, tmp_path, settings) as watched:
        yield watched


def _asked(api: Watched, **changes: Any) -> dict[str, Any]:
    now_ms = api.engine.clock.now_ms()
    return {
        "namespace": "SYS.SMN",
        "metric_name": "http_total_count",
        "dim.0": f"topic_id,{'0' * 32}",
        "filter": "sum",
        "period": 3600,
        "from": now_ms - RAW_MS,
        "to": now_ms + 1000,
    } | changes


async def _total(api: Watched, topic_id: str, name: str, aggregate: str = "sum") -> float:
    asked = _asked(api, **{"dim.0": f"topic_id,{topic_id}", "filter": aggregate})
    found = await api.get(SHOW, **(asked | {"metric_name": name}))
    assert found["metric_name"] == name
    assert {point["unit"] for point in found["datapoints"]} == {METRICS[name].unit}
    assert all(point["timestamp"] % 3_600_000 == 0 for point in found["datapoints"])
    values = [point[aggregate] for point in found["datapoints"]]
    return float(sum(values) if aggregate == "sum" else max(values))


async def test_a_metric_tells_what_was_sent(api: Watched) -> None:
    """Attempts, shares and classes of answers, of that topic alone."""
    topic, other = [await api.engine.create_topic(name) for name in ("news", "other")]
    endpoints = [
        ("http", api.receiver.url("good")),
        ("https", api.receiver.url("fine").replace("http:", "https:")),
        ("http", api.receiver.behave("gone", 410)),
        ("http", api.receiver.behave("broken", 500)),
        ("sms", "13600000000"),
    ]
    await api.deliver(topic.urn, *endpoints)
    totals = {name: await _total(api, topic.id, name) for name in METRICS if "count" in name}
    assert totals == {
        "http_total_count": 6,
        "http_4xx_count": 1,
        "http_5xx_count": 3,
        "sms_total_count": 1,
        "email_total_count": 0,
    }
    assert await _total(api, topic.id, "sms_success_rate", "max") == 100
    assert await _total(api, topic.id, "http_success_rate", "max") == pytest.approx(100 / 3, 0.01)
    assert await _total(api, other.id, "http_total_count") == 0


async def test_a_topic_without_data_reports_0(api: Watched) -> None:
    """For each raw period of the asked time, as far as it has come."""
    topic = await api.engine.create_topic("news")
    now_ms = api.engine.clock.now_ms() // RAW_MS * RAW_MS
    asked = _asked(api, **{"dim.0": f"topic_id,{topic.id}", "period": 300, "filter": "average"})
    asked |= {"from": now_ms - 6 * RAW_MS + 1, "to": now_ms}
    found = await api.get(SHOW, **asked)
    assert [(one["timestamp"], one["average"]) for one in found["datapoints"]] == [
        (now_ms - number * RAW_MS, 0) for number in range(6, 0, -1)
    ]


async def test_what_does_not_exist_has_no_points(api: Watched) -> None:
    """As the monitoring service answers for what has not reported."""
    topic = await api.engine.create_topic("news")
    for changes in (
        {"namespace": "SYS.ECS"},
        {"metric_name": "cpu_util"},
        {"dim.0": "instance_id,x"},
        {"dim.0": "topic_id,x"},
        {"dim.0": f"topic_id,{'0' * 32}"},
        {"dim.1": "other,x"},
        {"from": 9_999_999_999_000, "to": 9_999_999_999_999},
    ):
        asked = _asked(api, **({"dim.0": f"topic_id,{topic.id}"} | changes))
        assert (await api.get(SHOW, **asked))["datapoints"] == [], changes


async def test_another_projects_topic_has_no_points(api: Watched) -> None:
    """Nobody learns from its id whether it exists."""
    foreign = await api.engine.create_topic("news", project_id="b" * 32)
    asked = _asked(api, **{"dim.0": f"topic_id,{foreign.id}"})
    assert (await api.get(SHOW, **asked))["datapoints"] == []
    assert (await api.get(LIST, **{"dim.0": f"topic_id,{foreign.id}"}))["metrics"] == []


async def test_many_series_are_read_at_once(api: Watched) -> None:
    """Each in its place, with its names."""
    topic = await api.engine.create_topic("news")
    await api.deliver(topic.urn, ("http", api.receiver.url("good")), ("sms", "13600000000"))
    now_ms = api.engine.clock.now_ms()
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
    answer = await api.call("POST", BATCH, body)
    assert answer.status == 200
    found = answer.json["metrics"]
    assert [{name: one[name] for name in series[0]} for one in found] == series
    assert [one["unit"] for one in found] == ["count", "", "count", "count"]
    most = [max((point["max"] for point in one["datapoints"]), default=None) for one in found]
    assert most == [1, None, 1, 0]


async def test_the_series_of_a_project_are_listed(api: Watched) -> None:
    """Eight of each topic, the oldest topic first unless told otherwise."""
    ids = [(await api.engine.create_topic(name)).id for name in "abc"]
    await api.engine.create_topic("foreign", project_id="b" * 32)
    found = await api.get(LIST)
    assert found["meta_data"] == {"count": 24, "total": 24, "marker": ""}
    assert [one["dimensions"][0]["value"] for one in found["metrics"]][::8] == ids
    assert {one["metric_name"] for one in found["metrics"]} == set(METRICS)
    found = await api.get(LIST, metric_name="http_4xx_count", order="desc", namespace="SYS.SMN")
    assert [one["dimensions"][0]["value"] for one in found["metrics"]] == ids[::-1]
    found = await api.get(LIST, **{"dim.0": f"topic_id,{ids[1]}"})
    assert {one["dimensions"][0]["value"] for one in found["metrics"]} == {ids[1]}
    for query in ({"namespace": "SYS.ECS"}, {"metric_name": "x"}, {"dim.0": "id,x"}):
        assert (await api.get(LIST, **query))["metrics"] == []


async def test_a_list_goes_on_at_its_marker(api: Watched) -> None:
    """Pages together are the whole, once each, whatever their size."""
    for name in "abc":
        await api.engine.create_topic(name)
    for query in ({}, {"order": "desc"}, {"metric_name": "sms_total_count"}):
        whole = (await api.get(LIST, **query))["metrics"]
        for limit in (1, 3, 8, 11, 24):
            assert await _paged(api, limit, query) == whole, (query, limit)


async def _paged(api: Watched, limit: int, query: dict[str, str]) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    marker = ""
    while True:
        page = await api.get(LIST, limit=limit, start=marker, **query)
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


async def test_a_bad_question_is_refused(api: Watched) -> None:
    """Whatever is wrong with it, in a query or a body, it is 400 in the shape the SDK reads."""
    refused = [await api.call("GET", f"{LIST}?{query}") for query in BAD_LISTS]
    for changes in BAD_QUESTIONS:
        query = "&".join(f"{name}={value}" for name, value in _asked(api, **changes).items())
        refused.append(await api.call("GET", f"{SHOW}?{query}"))
    dimension = {"name": "topic_id", "value": "0" * 32}
    series = {"namespace": "SYS.SMN", "metric_name": "x", "dimensions": [dimension]}
    good: dict[str, Any] = {"metrics": [series], "period": "300", "filter": "sum"}
    good |= {"from": 1_764_000_000_000, "to": 1_764_000_300_000}
    assert (await api.call("POST", BATCH, good)).status == 200
    refused += [await api.call("POST", BATCH, good | changes) for changes in BAD_BODIES]
    said = [(answer.status, answer.json["error_code"]) for answer in refused]
    assert said == [(400, "APIGW.0201")] * len(said)


async def test_another_project_stays_closed(api: Watched) -> None:
    """The project in the path must be the caller's."""
    for method, path in (("GET", LIST), ("GET", SHOW), ("POST", BATCH)):
        answer = await api.call(method, path.replace("{p}", "0" * 32))
        assert (answer.status, answer.json["error_code"]) == (403, "SMN.0001")
