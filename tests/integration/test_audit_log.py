"""The audit and the delivery log read alike on every kind of server."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import Actor, Operation
from engine.store.delivery_log import Reading, Stretch
from tests.engines import all_ended, open_engine, working
from tests.receiver import Receiver

PROJECT = "a" * 32


@pytest.fixture(params=["valkey", "cluster", "redis 6.2"])
def anywhere(request: pytest.FixtureRequest) -> str:
    """The URL of an empty server of each kind that Tocsin runs on."""
    match request.param:
        case "valkey":
            return str(request.getfixturevalue("redis_url"))
        case "cluster":
            return str(request.getfixturevalue("cluster").url)
        case _:
            return str(request.getfixturevalue("redis62"))


def _operation(number: int, project_id: str = PROJECT) -> Operation:
    return Operation(
        trace_name="createTopic",
        resource_type="topic",
        operation="CreateTopic",
        project_id=project_id,
        request_id=str(number),
        at_ms=number,
        code=201,
        read_only=False,
        source_ip="127.0.0.1",
        actor=Actor("u", "alice", "d", "acme"),
    )


async def test_operations_are_kept_and_found(
    anywhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, page by page however much is read at once, by id, and as they come."""
    monkeypatch.setattr("engine.store.audit_log._CHUNK", 3)
    async with open_engine(anywhere, tmp_path) as engine:
        audit, begun_ms = engine.audit, engine.clock.now_ms()
        for number in range(10):
            audit.record(_operation(number))
            audit.record(_operation(number, "b" * 32))
        await audit.drain()
        whole = await audit.list(PROJECT, lambda _: True, limit=100)
        assert [one.request_id for one in whole.operations] == [*"9876543210"]
        assert not whole.more
        page = await audit.list(PROJECT, lambda _: True, limit=4)
        assert (page.operations, page.more) == (whole.operations[:4], True)
        last = page.operations[-1]
        rest = await audit.list(PROJECT, lambda _: True, limit=100, below=last.id)
        assert rest.operations == whole.operations[4:]
        assert await audit.find(PROJECT, last.id) == last
        assert await audit.find("b" * 32, last.id) is None
        following = audit.follow(PROJECT, last, begun_ms)
        assert [(await anext(following)).request_id for _ in range(3)] == ["7", "8", "9"]
        audit.record(_operation(10))
        assert (await anext(following)).request_id == "10"
        since = audit.follow(PROJECT, None, begun_ms - 1000)
        assert (await anext(since)).request_id == "0"


async def test_lines_of_topics_are_merged(anywhere: str, tmp_path: Path) -> None:
    """By the time of their recording, over all shards and masters, in both orders."""
    receiver = Receiver()
    async with open_engine(anywhere, tmp_path, receiver) as engine, working(engine):
        topics = [await engine.create_topic(f"t{number}") for number in range(6)]
        sent = []
        for topic in topics:
            await engine.subscribe(topic.urn, "http", receiver.url(topic.name), confirmed=True)
        for topic in (*topics, *topics[::-1]):
            sent.append(await engine.publish(topic.urn, "m"))
            await all_ended(engine)
        stretch = Stretch(0, 9_999_999_999_999)
        found = [
            line.message_id async for _, line in engine.log.lines(topics, stretch, Reading(100))
        ]
        assert found == sent
        back = stretch._replace(newest_first=True)
        lines = engine.log.lines(topics, back, Reading(100))
        found = [line.message_id async for _, line in lines]
        assert found == sent[::-1]
