"""From a publish to a function: FunctionGraph's API beside a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.errors import Refused
from engine.settings import Settings
from tests import function_gateway
from tests.engines import all_ended, open_engine, working
from tests.function_gateway import FunctionGraph, function_graph
from tests.worlds import open_world

PROJECT = "7aad83af3e8d42e99ac194e8419e2c9b"
URN = f"urn:fss:region01:{PROJECT}:function:default:resize:latest"


@pytest.fixture
async def graph() -> AsyncIterator[FunctionGraph]:
    """It knows one function and one workflow."""
    async with function_graph() as graph:
        graph.functions = {URN, "workflow-1"}
        yield graph


def configured(graph: FunctionGraph) -> dict[str, dict[str, Any]]:
    """What the file says of adapters."""
    base = f"{graph.url}/v2/{{project}}/fgs"
    return {
        "function": {
            "url": f"{base}/functions/{{urn}}/invocations-async",
            "workflow_url": f"{base}/workflows/{{id}}/executions",
            "access_key": function_gateway.ACCESS_KEY,
            "secret_key": function_gateway.SECRET_KEY,
        }
    }


async def test_functions_and_workflows_get_their_event(
    redis_url: str, tmp_path: Path, graph: FunctionGraph
) -> None:
    """Signed, each with its own text; what does not exist becomes a dead letter."""
    async with open_engine(redis_url, tmp_path, tables=configured(graph)) as engine:
        topic = await engine.create_topic("orders")
        await engine.subscribe(topic.urn, "functionstage", URN)
        await engine.subscribe(topic.urn, "functionstage", URN.replace("resize", "gone"))
        await engine.subscribe(topic.urn, "functiongraph", "workflow-1")
        structure = '{"default": "d", "functionstage": "中文 🙂", "functiongraph": "w"}'
        message_id = await engine.publish(topic.urn, subject="s", structure=structure)
        async with working(engine):
            await all_ended(engine)
        events = dict(graph.events)
        (record,) = events[URN]["record"]
        assert record["smn"]["message"] == "中文 🙂"
        assert record["smn"]["message_id"] == message_id
        assert record["event_subscription_urn"] == URN
        assert events["workflow-1"]["input"]["record"][0]["smn"]["message"] == "w"
        (dead,) = await engine.dead_letters(topic.urn)
        assert (dead.endpoint, dead.code) == (URN.replace("resize", "gone"), 404)
        assert "FSS.1051" in dead.answer


async def test_a_busy_gateway_is_asked_again_when_it_says(
    redis_url: str, tmp_path: Path, graph: FunctionGraph
) -> None:
    """A 429 with Retry-After spends no try; the same event comes later."""
    graph.answers = [
        web.Response(status=429, headers={"Retry-After": "1"}),
        web.Response(status=500),
    ]
    async with open_engine(redis_url, tmp_path, tables=configured(graph)) as engine:
        topic = await engine.create_topic("orders")
        await engine.subscribe(topic.urn, "functionstage", URN)
        await engine.publish(topic.urn, "m")
        async with working(engine):
            await all_ended(engine)
        assert len(graph.events) == 3
        assert graph.events[0] == graph.events[1] == graph.events[2]
        (*_, last) = await engine.delivery_log(topic.urn)
        assert (last.status, last.http_code) == ("DELIVERED", 202)
        assert [attempt.code for attempt in last.attempts] == [429, 500, 202]


async def test_functions_are_offered_where_they_can_be_invoked(
    redis_url: str, tmp_path: Path, settings: Settings, graph: FunctionGraph
) -> None:
    """With a gateway they are listed and can be subscribed; without one neither."""
    offered = {}
    for name, tables in (("with", configured(graph)), ("without", {})):
        async with open_world(redis_url, tmp_path, settings, tables=tables) as world:
            answer = await world.call("GET", "/v2/notifications/protocols")
            offered[name] = set(answer.json["protocols"]) & {"functionstage", "functiongraph"}
            topic = await world.engine.create_topic("orders")
            for protocol, endpoint in (("functionstage", URN), ("functiongraph", "workflow-1")):
                if tables:
                    await world.engine.subscribe(topic.urn, protocol, endpoint)
                    continue
                with pytest.raises(Refused) as refused:
                    await world.engine.subscribe(topic.urn, protocol, endpoint)
                assert refused.value.code == "SMN.0011"
    assert offered == {"with": {"functionstage", "functiongraph"}, "without": set()}
