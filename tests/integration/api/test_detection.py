"""HTTP detection: a real probe, and what the contract calls its result."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.control.detection import LIMITS
from engine.ports import Answer, TransportError
from engine.settings import Settings
from engine.testing import InstantTransport
from tests.api_client import Client, serving
from tests.engines import all_ended, eventually, open_engine, snapshot, unfinished, working
from tests.receiver import Behaviour, Hang, Receiver

MISSING = "0" * 32


@dataclass
class World:
    """A running API with a topic."""

    engine: Engine
    client: Client
    receiver: Receiver
    topic: str

    @property
    def target(self) -> str:
        return f"/v2/{self.client.account.project_id}/notifications/topics/{self.topic}/detection"

    async def start(self, endpoint: str, **extension: Any) -> str:
        body: dict[str, Any] = {"protocol": "http", "endpoint": endpoint}
        if extension:
            body |= {"extension": extension}
        answer = await self.client.call("POST", self.target, body)
        assert answer.status == 200, answer.raw
        return str(answer.json["task_id"])

    async def result(self, task: str) -> tuple[int, Any]:
        answer = await self.client.call("GET", f"{self.target}/{task}")
        assert answer.status == 200, answer.raw
        return answer.json["status"], answer.json["detail"]

    async def found(self, task: str) -> tuple[int, Any]:
        """The result, once there is one."""

        async def known() -> bool:
            return (await self.result(task))[0] != 1

        await eventually(known, "the probe has a result")
        return await self.result(task)

    async def refuses(self, body: Any, status: int, code: str) -> None:
        before = await snapshot(self.engine.store)
        answer = await self.client.call("POST", self.target, body)
        assert (answer.status, answer.json["code"]) == (status, code), (body, answer.raw)
        assert await snapshot(self.engine.store) == before, body


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings that a test may change."""
    return {"retry_delays": (0.05, 0.05), "blacklist_failures": 3}


@pytest.fixture
async def world(
    redis_url: str, tmp_path: Path, settings: Settings, receiver: Receiver, options: dict[str, Any]
) -> AsyncIterator[World]:
    """No worker runs unless a test starts one."""
    async with open_engine(redis_url, tmp_path, receiver, **options) as engine:
        account = await engine.accounts.bootstrap()
        topic = await engine.create_topic("demo")
        async with serving(engine, settings, account) as (client, _):
            yield World(engine, client, receiver, topic.urn)


async def test_a_probe_is_pending_until_a_worker_has_sent_it(world: World) -> None:
    """Status 1 and no detail; then the endpoint's answer."""
    task = await world.start(world.receiver.url("one"))
    assert await world.result(task) == (1, None)
    async with working(world.engine):
        status, detail = await world.found(task)
    assert (status, detail["httpCode"]) == (0, 200)
    assert detail["httpResponse"]
    assert len(world.receiver.of("one")) == 1


@pytest.mark.parametrize(
    ("behaviour", "code", "text"),
    [
        (Answer(404, body=b"no such page"), 404, "no such page"),
        (Answer(302, body=b"elsewhere"), 302, "elsewhere"),
        (Answer(500, body=b"oh no"), 500, "oh no"),
        (Answer(429, retry_after="60"), 429, ""),
        (TransportError("refused"), -1, "refused"),
        (Hang(0.05), -1, "no complete answer in time"),
    ],
)
async def test_an_unusable_endpoint_is_tried_once(
    world: World, behaviour: Behaviour, code: int, text: str
) -> None:
    """Its status or -1, what it said, no second try and no dead letter."""
    task = await world.start(world.receiver.behave("one", behaviour))
    async with working(world.engine):
        status, detail = await world.found(task)
        await all_ended(world.engine)
    assert (status, detail["httpCode"]) == (2, code)
    assert text in detail["httpResponse"]
    assert len(world.receiver.of("one")) == 1
    assert not await world.engine.dead_letters()


async def test_a_parked_endpoint_is_not_probed(world: World) -> None:
    """Its result is 0."""
    endpoint = world.receiver.behave("one", 500)
    async with working(world.engine):
        for _ in range(3):
            await world.found(await world.start(endpoint))

        async def parked() -> Any:
            return (await world.found(await world.start(endpoint)))[1]["httpCode"] == 0

        await eventually(parked, "the endpoint is parked")
        sent = len(world.receiver.of("one"))
        status, detail = await world.found(await world.start(endpoint))
    assert (status, detail["httpCode"]) == (2, 0)
    assert len(world.receiver.of("one")) == sent


@pytest.mark.parametrize("options", [{"in_flight": 2}])
async def test_a_probe_does_not_wait_for_a_place(world: World, options: dict[str, Any]) -> None:
    """Where others are in its way its result is -2."""
    slow = world.receiver.behave("slow", Hang(0.5, 200))
    await world.engine.subscribe(world.topic, "http", slow, confirmed=True)
    async with working(world.engine):
        await world.engine.publish(world.topic, "hello")
        await eventually(lambda: world.receiver.of("slow"), "the only place is taken")
        found = [await world.start(world.receiver.url(f"p{number}")) for number in range(2)]
        results = [(await world.found(task))[1]["httpCode"] for task in found]
    assert set(results) <= {-2, 200}
    assert -2 in results


async def test_a_probe_that_nobody_sends_in_time_was_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It expires as any message, with -2."""
    monkeypatch.setattr("engine.control.detection._TTL_S", 1)
    task = await world.start(world.receiver.url("one"))
    monkeypatch.setattr(world.engine.clock, "_offset_ms", world.engine.clock._offset_ms + 5_000)
    async with working(world.engine):
        status, detail = await world.found(task)
    assert (status, detail["httpCode"]) == (2, -2)
    assert not world.receiver.arrivals


async def test_a_probe_looks_as_itself_and_carries_the_headers(world: World) -> None:
    """A type of its own, the caller's headers, and no subscription, since there is none."""
    transport = InstantTransport()
    adapter: Any = world.engine.adapters["http"]
    adapter._post = transport.post
    await world.start(world.receiver.url("one"), header={"x-abc": "v"})
    async with working(world.engine):
        await eventually(lambda: transport.requests, "the probe is sent")
    (request,) = transport.requests
    assert request.headers["x-abc"] == "v"
    assert request.headers["X-SMN-MESSAGE-TYPE"] == "Detection"
    assert "X-SMN-SUBSCRIPTION-URN" not in request.headers
    body = json.loads(request.body)
    assert (body["type"], body["topic_urn"]) == ("Detection", world.topic)
    assert body["signature"]
    assert "unsubscribe_url" not in body


async def test_bad_probes_change_nothing(world: World) -> None:
    """Each answers its code."""
    good = {"protocol": "http", "endpoint": "http://127.0.0.1:9/x"}
    for protocol in ("email", "sms", "", None, 7, "HTTP"):
        await world.refuses(good | {"protocol": protocol}, 400, "SMN.0011")
    for endpoint in ("", None, 7, "ftp://a/", "https://127.0.0.1/", "http://a/" + "x" * 2048):
        await world.refuses(good | {"endpoint": endpoint}, 400, "SMN.0012")
    await world.refuses(good | {"endpoint": "http://10.0.0.1/"}, 403, "SMN.0069")
    extensions: tuple[Any, ...] = ("x", {"header": {"x-smn-a": "b"}}, {"header": {"a": 7}})
    for extension in extensions:
        await world.refuses(good | {"extension": extension}, 400, "SMN.0043")
    await world.refuses(b"{", 400, "APIGW.0201")
    world.topic += "x"
    await world.refuses(good, 404, "SMN.0006")


async def test_an_unknown_task_has_its_code(world: World) -> None:
    """As clients look for it; another topic's task is unknown too."""
    task = await world.start(world.receiver.url("one"))
    other = await world.engine.create_topic("other")
    for tail in (f"/{MISSING}", "/nonsense"):
        answer = await world.client.call("GET", world.target + tail)
        assert (answer.status, answer.json["error_code"]) == (400, "SMN.00013030")
    world.topic = other.urn
    answer = await world.client.call("GET", f"{world.target}/{task}")
    assert (answer.status, answer.json["error_code"]) == (400, "SMN.00013030")


async def test_probes_are_throttled(world: World) -> None:
    """One more than allowed answers 429 and is not sent."""
    for _ in range(LIMITS[0].count):
        await world.engine.detection.start(world.topic, "http", world.receiver.url("one"), {})
    sent = await unfinished(world.engine)
    body = {"protocol": "http", "endpoint": world.receiver.url("one")}
    answer = await world.client.call("POST", world.target, body)
    assert (answer.status, answer.json["code"]) == (429, "APIGW.0308")
    assert int(answer.headers["Retry-After"]) >= 1
    assert await unfinished(world.engine) == sent == LIMITS[0].count


async def test_a_result_is_kept_for_a_day(world: World) -> None:
    """It expires by itself; the message is gone at once."""
    topic = await world.engine.topics.get(world.topic)
    task = await world.start(world.receiver.url("one"))
    async with working(world.engine):
        await world.found(task)
        await all_ended(world.engine)
    key = world.engine.keys.detection(topic.id, task)
    assert 86_000 < await world.engine.store.call("TTL", key) <= 86_400
    (line,) = await world.engine.delivery_log(world.topic)
    assert (line.status, line.subscriber_urn) == ("DELIVERED", f"{world.topic}:{task}")


async def test_what_is_not_accepted_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full memory refuses probes as it refuses messages."""

    async def full() -> bool:
        return True

    monkeypatch.setattr(world.engine.publisher, "_memory_is_full", full)
    body = {"protocol": "http", "endpoint": world.receiver.url("one")}
    answer = await world.client.call("POST", world.target, body)
    assert (answer.status, answer.json["code"]) == (429, "APIGW.0308")
    topic = await world.engine.topics.get(world.topic)
    found = await world.engine.store.call("KEYS", f"*detect:{topic.id}*", key="x")
    assert not found
