"""Publishing in its three forms, and what a message says beside its text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.models import Message
from engine.settings import Settings
from engine.store import messages
from tests.api_client import Client, serving
from tests.engines import open_engine, snapshot
from tests.receiver import Receiver


@dataclass
class World:
    """A running API with a topic and an HTTP subscriber; no worker runs."""

    engine: Engine
    client: Client
    topic: str

    @property
    def target(self) -> str:
        return f"/v2/{self.client.account.project_id}/notifications/topics/{self.topic}/publish"

    async def publish(self, **body: Any) -> Message:
        """The message as it was stored."""
        answer = await self.client.call("POST", self.target, body)
        assert answer.status == 200, answer.raw
        return await self.stored(answer.json["message_id"])

    async def stored(self, message_id: str) -> Message:
        topic = await self.engine.topics.get(self.topic)
        key = self.engine.keys.message(topic.id, message_id)
        found = await self.engine.store.call("HGET", key, "b")
        return messages.decode(message_id, topic.id, found)

    async def refuses(self, status: int, code: str, **body: Any) -> None:
        before = await snapshot(self.engine.store)
        answer = await self.client.call("POST", self.target, body)
        said = f"{str(body)[:100]}: {answer.raw[:200]!r}"
        assert (answer.status, answer.json["code"]) == (status, code), said
        assert await snapshot(self.engine.store) == before, said

    async def template(self, name: str, content: str, protocol: str = "default") -> str:
        project = self.client.account.project_id
        return await self.engine.templates.create(project, name, protocol, content)


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """Messages stay in their lanes, where they can be looked at."""
    async with open_engine(redis_url, tmp_path, Receiver()) as engine:
        account = await engine.accounts.bootstrap()
        topic = await engine.create_topic("demo")
        await engine.subscribe(topic.urn, "http", "http://127.0.0.1:9/x", confirmed=True)
        async with serving(engine, settings, account) as (client, _):
            yield World(engine, client, topic.urn)


def structure(**members: Any) -> str:
    """With a default."""
    return json.dumps({"default": "d"} | members)


async def test_a_structure_is_resolved_when_accepted(world: World) -> None:
    """Each protocol has its text; a bot may have more."""
    bot = {"msgType": "markdown", "title": "t", "content": "c"}
    message = await world.publish(message_structure=structure(http="h", dingding=bot))
    assert [message.text(protocol) for protocol in ("http", "sms", "dingding")] == ["h", "d", "c"]
    assert message.rich("dingding") == bot


async def test_a_template_is_resolved_when_accepted(world: World) -> None:
    """Each protocol has its own template's text or the default's, with values filled in."""
    await world.template("t", "Dear {name}")
    identifier = await world.template("t", "{name}{missing}!", "sms")
    message = await world.publish(message_template_name="t", tags={"name": "Ann", "x": "y"})
    project = world.client.account.project_id
    await world.engine.templates.update(project, identifier, "changed later")
    message = await world.stored(message.id)
    assert (message.text("http"), message.text("sms")) == ("Dear Ann", "Ann!")


async def test_the_forms_have_an_order(world: World) -> None:
    """Structure before template before message; what is passed over is not even looked at."""
    await world.template("t", "from the template")
    body = {"message": "m", "message_template_name": "t", "tags": {}}
    found = await world.publish(message_structure=structure(), **body)
    assert found.text("http") == "d"
    assert (await world.publish(**body)).text("http") == "from the template"
    assert (await world.publish(message="m", tags=7)).text("http") == "m"
    gone = {"message_template_name": "gone", "tags": 7}
    assert (await world.publish(message_structure=structure(), **gone)).text("http") == "d"


async def test_attributes_and_locale_are_stored(world: World) -> None:
    """In the checked form."""
    given: list[dict[str, Any]] = [
        {"name": "company", "type": "STRING", "value": "group_a"},
        {"name": "smn_protocol", "type": "PROTOCOL", "value": ["http"]},
    ]
    message = await world.publish(message="m", message_attributes=given, locale="zh-cn")
    assert message.locale == "zh-cn"
    assert message.attributes == (given[0] | {"value": ["group_a"]}, given[1])


@pytest.mark.parametrize("ttl", ["60", 60])
async def test_the_time_to_live_is_text_or_number(world: World, ttl: object) -> None:
    """In seconds."""
    message = await world.publish(message="m", time_to_live=ttl)
    assert message.deadline_ms - message.created_ms == 60_000


async def test_bad_messages_change_nothing(world: World) -> None:
    """Each answers its code."""
    for text in ("", "x", "[]", '{"http": "x"}', structure(pigeon="coo"), structure(sms=7)):
        await world.refuses(400, "SMN.0021", message="m", message_structure=text)
    await world.refuses(400, "SMN.0021", message_structure={"default": "x"})
    await world.refuses(403, "SMN.0009", message_structure=structure(http="x" * 262_144))
    await world.template("t", "{a}")
    await world.template("big", "{a}" * 256 + "x" * 261_000)
    await world.template("sms-only", "x", "sms")
    for name in ("", "-", "a b", "a" * 65, "ä"):
        await world.refuses(400, "SMN.0042", message_template_name=name, tags={})
    await world.refuses(400, "SMN.0042", message_template_name=7, tags={})
    no_tags: tuple[Any, ...] = (None, "x", [], {"a": 7}, {"a" * 22: "x"}, {"a": "x" * 1025})
    for tags in no_tags:
        await world.refuses(400, "SMN.0038", message_template_name="t", tags=tags)
    await world.refuses(400, "SMN.0038", message_template_name="t", message="m")
    for name in ("gone", "sms-only"):
        await world.refuses(404, "SMN.0076", message_template_name=name, tags={})
    await world.refuses(403, "SMN.0009", message_template_name="t", tags={})
    await world.template("partly", "{a}")
    await world.template("partly", "{b}", "sms")
    await world.refuses(403, "SMN.0009", message_template_name="partly", tags={"a": "x"})
    await world.refuses(403, "SMN.0009", message_template_name="big", tags={"a": "x" * 1024})
    wrong: tuple[Any, ...] = ([{}], "x", {}, [{"name": "a", "type": "STRING", "value": 1}])
    for attributes in wrong:
        await world.refuses(400, "SMN.0043", message="m", message_attributes=attributes)
    await world.refuses(400, "APIGW.0201", message="m", locale="x" * 33)
    await world.refuses(403, "SMN.0009")


async def test_a_library_publishes_as_the_api_does(world: World) -> None:
    """Structure, template and attributes, with the same refusals."""
    engine, urn = world.engine, world.topic
    await world.template("t", "Dear {name}")
    message_id = await engine.publish(urn, template="t", tags={"name": "Ann"})
    assert (await world.stored(message_id)).text("http") == "Dear Ann"
    attributes: list[dict[str, Any]] = [{"name": "a", "type": "STRING", "value": "x"}]
    message_id = await engine.publish(urn, structure=structure(), attributes=attributes)
    assert (await world.stored(message_id)).attributes == (attributes[0] | {"value": ["x"]},)
    with pytest.raises(Refused, match=r"SMN\.0043"):
        await engine.publish(urn, "m", attributes=[{"name": "A"}])
    with pytest.raises(Refused, match=r"SMN\.0038"):
        await engine.publish(urn, template="t")


async def test_a_plain_message_costs_one_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other forms are not paid for by those who do not use them."""
    await world.engine.publish(world.topic, "warm")
    calls = []
    run, call = world.engine.store.run, world.engine.store.call

    async def counted_run(*args: Any, **how: Any) -> Any:
        calls.append(args)
        return await run(*args, **how)

    async def counted_call(*args: Any, **how: Any) -> Any:
        calls.append(args)
        return await call(*args, **how)

    monkeypatch.setattr(world.engine.store, "run", counted_run)
    monkeypatch.setattr(world.engine.store, "call", counted_call)
    await world.engine.publish(world.topic, "hello")
    assert len(calls) == 1
