"""Operations leave a record, which the trace service's list shows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.api.table import ROUTES
from engine.errors import StoreFull, StoreUnavailable
from engine.models import Actor, Operation
from engine.settings import Settings
from engine.store.audit_log import AuditLog
from tests.engines import eventually
from tests.watching import get
from tests.worlds import World, open_world

TRACES = "/v3/{project}/traces"

RECORDED: dict[str, tuple[str, str]] = {
    "ListTopics": ("listTopics", "topic"),
    "CreateTopic": ("createTopic", "topic"),
    "DeleteTopic": ("deleteTopic", "topic"),
    "UpdateTopic": ("updateTopic", "topic"),
    "ListTopicDetails": ("listTopicDetails", "topic"),
    "UpdateTopicAttribute": ("updateTopicAttribute", "topic"),
    "DeleteTopicAttributes": ("deleteTopicAttributes", "topic"),
    "DeleteTopicAttributeByName": ("deleteTopicAttributeByName", "topic"),
    "ListTopicAttributes": ("listTopicAttributes", "topic"),
    "ListTopicMessageStatistics": ("listTopicMessageStatistics", "topic"),
    "ListSubscriptions": ("listSubscriptions", "subscription"),
    "ListSubscriptionsByTopic": ("listSubscriptionsByTopic", "subscription"),
    "AddSubscription": ("subscribe", "subscription"),
    "CancelSubscription": ("delsubscribe", "subscription"),
    "DeleteSubscriptionsByTopic": ("delsubscribe", "subscription"),
    "BatchDeleteSubscriptions": ("delsubscribe", "subscription"),
    "BatchDeleteSubscriptionsByTopic": ("delsubscribe", "subscription"),
    "UpdateSubscription": ("updateSubscriberRemark", "subscription"),
    "AddSubscriptionFromSubscriptionUser": (
        "addSubscriptionFromSubscriptionUser",
        "subscription",
    ),
    "ListMessageTemplates": ("listMessageTemplates", "message_template"),
    "CreateMessageTemplate": ("createMessageTemplate", "message_template"),
    "UpdateMessageTemplate": ("updateMessageTemplate", "message_template"),
    "DeleteMessageTemplate": ("deleteMessageTemplate", "message_template"),
    "ListMessageTemplateDetails": ("listMessageTemplateDetails", "message_template"),
    "ListProjectTags": ("listProjectTags", "tag"),
    "ListResourceTags": ("listResourceTags", "tag"),
    "BatchCreateOrDeleteResourceTags": ("batchCreateTag", "tag"),
    "CreateResourceTag": ("batchCreateTag", "tag"),
    "DeleteResourceTag": ("deleteTag", "tag"),
    "CreateLogtank": ("createLogtank", "logtank"),
    "DeleteLogtank": ("deleteLogtank", "logtank"),
    "UpdateLogtank": ("updateLogtank", "logtank"),
    "BatchCreateSubscriptionsFilterPolices": ("batchCreateFilterPolices", "filter_polices"),
    "BatchDeleteSubscriptionsFilterPolices": ("batchDeleteFilterPolices", "filter_polices"),
    "BatchUpdateSubscriptionsFilterPolices": ("batchUpdateFilterPolices", "filter_polices"),
    "CreateNotifyPolicy": ("createNotifyPolicy", "notify_policy"),
    "DeleteNotifyPolicy": ("deleteNotifyPolicy", "notify_policy"),
    "UpdateNotifyPolicy": ("updateNotifyPolicy", "notify_policy"),
}
"""Operations that are recorded, with trace and resource type (SMN "Key Operations Supported by
CTS", 2025-11)."""
NEVER = {"PublishMessage", "PublishAppMessage", "PublishHttpDetect", "SendSms", "ListTraces"}


async def _traces(world: World, count: int, **query: Any) -> list[dict[str, Any]]:
    """The traces of a query once there are so many, the newest first."""

    async def found() -> Any:
        listed = (await get(world, TRACES, trace_type="system", limit=200, **query))["traces"]
        return listed if len(listed) >= count else None

    listed = await eventually(found, f"{count} traces are recorded")
    assert len(listed) == count
    return list(listed)


def test_the_contracts_operations_are_recorded() -> None:
    """Each operation is recorded under the contract's names; publishing is not."""
    known = set(RECORDED.values())
    for route in ROUTES:
        trace = route.trace
        found = None if trace is None else (trace.name, trace.resource_type)
        if route.operation in RECORDED:
            assert found == RECORDED[route.operation], route.operation
        assert found is None or found in known, route.operation
        assert found is None or route.operation not in NEVER


async def test_an_operation_is_recorded_with_its_fields(world: World) -> None:
    """Who did what to what, with which result."""
    made = await world.call("POST", "{base}/topics", {"name": "news", "display_name": "Daily"})
    (trace,) = await _traces(world, 1)
    account, now_ms = world.client.account, world.engine.clock.now_ms()
    assert now_ms - 60_000 < trace.pop("time") <= trace.pop("record_time") <= now_ms + 1000
    assert json.loads(trace.pop("request")) == {"name": "news", "display_name": "Daily"}
    assert json.loads(trace.pop("response")) == made.json
    assert len(trace.pop("trace_id")) == 36
    assert trace == {
        "trace_name": "createTopic",
        "trace_rating": "normal",
        "trace_type": "ApiCall",
        "service_type": "SMN",
        "resource_type": "topic",
        "resource_id": made.json["topic_urn"],
        "resource_name": "news",
        "operation_id": "CreateTopic",
        "api_version": "2.0",
        "source_ip": "127.0.0.1",
        "code": "201",
        "project_id": world.project,
        "request_id": made.headers["X-Request-Id"],
        "read_only": False,
        "user": {
            "id": account.user_id,
            "name": account.user_name,
            "user_name": account.user_name,
            "domain": {"id": account.domain_id, "name": account.domain_name},
            "account_id": account.domain_id,
            "access_key_id": account.access_key,
        },
    }


async def test_a_failure_is_recorded_as_a_warning(world: World) -> None:
    """A refused operation leaves its code and reason."""
    await world.call("POST", "{base}/topics", {"name": "-"})
    (trace,) = await _traces(world, 1)
    assert (trace["trace_rating"], trace["code"]) == ("warning", "400")
    assert json.loads(trace["response"])["error_code"] == "SMN.0002"


async def test_a_deletion_carries_no_request(world: World) -> None:
    """SMN's traces of deletions have none."""
    urn = (await world.call("POST", "{base}/topics", {"name": "news"})).json["topic_urn"]
    await world.call("DELETE", f"{{base}}/topics/{urn}", {"topic_urn": urn})
    trace = (await _traces(world, 2))[0]
    assert (trace["trace_name"], trace["resource_id"], trace["request"]) == ("deleteTopic", urn, "")


async def test_a_new_value_of_a_tag_is_recorded_as_a_deletion_and_a_creation(world: World) -> None:
    """One request, two traces; a tag that is new, or has the value, leaves one."""
    topic = await world.engine.create_topic("news")
    tags = f"/v2/{{project}}/smn_topic/{topic.id}/tags"
    for value in ("blue", "blue", "red"):
        await world.call("POST", tags, {"tag": {"key": "team", "value": value}})
    traces = await _traces(world, 4)
    assert [trace["trace_name"] for trace in traces] == [
        *("batchCreateTag", "deleteTag", "batchCreateTag", "batchCreateTag")
    ]
    created, deleted = traces[:2]
    assert created["request_id"] == deleted["request_id"]
    assert json.loads(created["request"]) == {"tag": {"key": "team", "value": "red"}}
    assert (deleted["request"], deleted["resource_id"]) == ("", topic.id)


async def test_a_record_holds_no_secret(world: World) -> None:
    """Neither signature nor extension secrets nor a webhook's path get into the database."""
    urn = (await world.call("POST", "{base}/topics", {"name": "news"})).json["topic_urn"]
    body = {
        "protocol": "http",
        "endpoint": "http://127.0.0.1:9/s3cret?token=s3cret",
        "extension": {"header": {"x-key": "s3cret"}, "sign_secret": "s3cret"},
    }
    await world.call("POST", f"{{base}}/topics/{urn}/subscriptions", body)
    await _traces(world, 2)
    key = world.engine.keys.project_audit(world.project)
    kept = str(await world.engine.store.call("XRANGE", key, "-", "+"))
    assert "127.0.0.1:9/***" in kept
    assert "s3cret" not in kept
    assert world.client.account.secret_key not in kept


async def test_publishing_is_not_recorded(world: World) -> None:
    """Nor is what nobody is logged in for, nor what is not proven."""
    topic = await world.engine.create_topic("news")
    assert (
        await world.call("POST", f"{{base}}/topics/{topic.urn}/publish", {"message": "m"})
    ).status == 200
    unsubscribe = f"/v2/notifications/subscriptions/unsubscribe?subscription_urn={topic.urn}:0"
    await world.call("GET", unsubscribe, sign=False)
    await world.call("GET", "{base}/topics", sign=False)
    await world.call("GET", "{base}/topics", secret_key="wrong")
    await world.call("GET", f"{{base}}/topics/{topic.urn}")  # the one that is
    (trace,) = await _traces(world, 1)
    assert trace["trace_name"] == "listTopicDetails"


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"trace_name": "createTopic"}, ["createTopic", "createTopic"]),
    ({"trace_rating": "warning"}, ["createTopic"]),
    ({"resource_type": "subscription"}, ["listSubscriptions"]),
    ({"resource_name": "news"}, ["listTopicDetails", "createTopic"]),
    ({"trace_name": "createTopic", "resource_name": "news"}, ["createTopic"]),
    ({"user": "nobody"}, []),
    ({"access_key_id": "nobody"}, []),
    ({"service_type": "ECS"}, []),
    ({"tracker_name": "other"}, []),
    ({"trace_type": "data"}, []),
    ({"from": 1, "to": 2}, []),
    ({"to": 9999999999999, "service_type": "SMN", "limit": 1}, ["listTopicDetails"]),
    ({"trace_id": "no id"}, []),
]


async def test_traces_are_filtered(world: World) -> None:
    """All filters combine."""
    urn = (await world.call("POST", "{base}/topics", {"name": "news"})).json["topic_urn"]
    await world.call("POST", "{base}/topics", {"name": "-"})
    await world.call("GET", "{base}/subscriptions")
    await world.call("GET", f"{{base}}/topics/{urn}")
    await _traces(world, 4)
    for query, names in FILTERS:
        found = (await get(world, TRACES, **query))["traces"]
        assert [trace["trace_name"] for trace in found] == names, query


async def test_pages_follow_the_marker(world: World) -> None:
    """Each page goes on behind the last; the last one has no marker."""
    for number in range(5):
        await world.call("POST", "{base}/topics", {"name": f"t{number}"})
    await _traces(world, 5)
    seen, marker, sizes = [], None, []
    while True:
        page = await get(world, TRACES, limit=2, **({"next": marker} if marker else {}))
        seen += [trace["resource_name"] for trace in page["traces"]]
        sizes.append(page["meta_data"]["count"])
        marker = page["meta_data"]["marker"]
        if marker is None:
            break
    assert (seen, sizes) == (["t4", "t3", "t2", "t1", "t0"], [2, 2, 1])


async def test_a_trace_is_found_by_its_id(world: World) -> None:
    """The id alone decides, whatever else is asked for."""
    await world.call("POST", "{base}/topics", {"name": "news"})
    (trace,) = await _traces(world, 1)
    found = await get(world, TRACES, trace_id=trace["trace_id"], trace_name="deleteTopic")
    assert found["traces"] == [trace]


async def test_a_bad_query_is_refused(world: World) -> None:
    """Each answers 400 in the shape that the SDK reads."""
    for query in (
        *("limit=0", "limit=201", "limit=x", "from=x", "to=1.5", "from=99999999999999"),
        *("trace_type=other", "trace_rating=good", "next=x"),
        "next=00000000-0000-7000-8000-000000000000",
    ):
        answer = await world.call("GET", f"{TRACES}?{query}")
        assert (answer.status, answer.json["error_code"]) == (400, "APIGW.0201"), query


async def test_another_project_stays_closed(world: World) -> None:
    """A caller sees its own project's traces only."""
    answer = await world.call("GET", f"/v3/{'0' * 32}/traces")
    assert (answer.status, answer.json["error_code"]) == (403, "SMN.0001")


def _operation(number: int) -> Operation:
    actor = Actor("u", "alice", "d", "acme")
    return Operation(
        "createTopic", "topic", "CreateTopic", "p", f"{number}", 0, 200, False, "::1", actor
    )


async def test_the_audit_is_bounded(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    """Number and age are: old records are not shown, and the key of an idle project goes."""
    async with open_world(
        redis_url, tmp_path, settings, audit_entries=200, audit_seconds=3600
    ) as world:
        log = AuditLog(
            world.engine.store, world.engine.keys, world.engine.settings, world.engine.clock
        )
        key = world.engine.keys.project_audit("p")
        await world.engine.store.call("XADD", key, "1000-0", "o", "{}")
        for start in range(0, 1000, 100):
            await log.append("p", [_operation(start + number) for number in range(100)])
        kept = await world.engine.store.call("XLEN", key)
        assert 200 <= kept <= 400
        found = await world.engine.audit.list("p", lambda _: True, limit=1000)
        assert [one.request_id for one in found.operations][:2] == ["999", "998"]
        assert len(found.operations) == kept
        assert 3_600_000 < await world.engine.store.call("PTTL", key) <= 3_720_000


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreFull("full")])
async def test_a_missing_redis_costs_only_records(
    world: World, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """What cannot be kept is counted and logged; answers do not wait for it."""

    async def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "append", fail)
        assert (await world.call("GET", "{base}/topics")).status == 200
        await eventually(lambda: world.engine.audit.lost, "the loss is counted")
    assert [one.getMessage() for one in caplog.records if one.name == "tocsin.audit"] == [
        "audit.lost"
    ]
    await world.call("GET", "{base}/topics")
    await _traces(world, 1)


async def test_a_slow_redis_fills_no_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded: what does not fit is lost, and stopping does not wait for ever."""
    monkeypatch.setattr("engine.control.audit._DRAIN_S", 0.05)

    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AuditLog, "append", hang)
    for number in range(2500):
        world.engine.audit.record(_operation(number))
    assert world.engine.audit.lost == 500
    await world.engine.audit.drain()
    assert world.engine.audit.lost == 2500


async def test_stopping_writes_what_is_noted(
    redis_url: str, tmp_path: Path, settings: Settings
) -> None:
    """The record of the last answer before the end is kept."""
    async with open_world(redis_url, tmp_path, settings) as world:
        await world.call("POST", "{base}/topics", {"name": "news"})
    async with open_world(redis_url, tmp_path, settings) as world:
        (trace,) = (await get(world, TRACES))["traces"]
        assert trace["trace_name"] == "createTopic"
