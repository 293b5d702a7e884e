"""From a publish to phones: a supplier of SMS and calls beside a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.engines import all_ended, open_engine, working
from tests.phone_gateway import KEY, PhoneGateway, phone_gateway

NUMBER = "+8613600000000"


@pytest.fixture
async def gateway() -> AsyncIterator[PhoneGateway]:
    """A supplier."""
    async with phone_gateway() as gateway:
        yield gateway


@pytest.mark.parametrize(("protocol", "table"), [("sms", "sms"), ("callnotify", "voice")])
async def test_a_text_reaches_the_gateway_through_its_throttling(
    redis_url: str, tmp_path: Path, gateway: PhoneGateway, protocol: str, table: str
) -> None:
    """Asked to wait four times and failed once it goes with the second of three tries."""
    gateway.answers = [
        web.json_response({"code": 1001}),
        web.Response(status=429),
        web.Response(status=500),
        web.json_response({"code": 1001}, status=400),
        web.Response(status=429),
    ]
    tables = {table: gateway.table}
    async with open_engine(redis_url, tmp_path, tables=tables) as engine:
        topic = await engine.create_topic("orders")
        await engine.subscribe(topic.urn, protocol, NUMBER, confirmed=True)
        message_id = await engine.publish(topic.urn, 'disk "full" 中文 🙂')
        async with working(engine):
            await all_ended(engine)
        order = {"mobile": NUMBER[1:], "content": 'disk "full" 中文 🙂', "ref": message_id}
        assert gateway.orders == [order]
        lines = await engine.delivery_log(topic.urn)
        assert [(line.status, line.http_code) for line in lines] == [("DELIVERED", 200)]
        assert [attempt.code for attempt in lines[0].attempts] == [500, 200]


async def test_a_refusal_is_a_dead_letter_without_the_key(
    redis_url: str, tmp_path: Path, gateway: PhoneGateway
) -> None:
    """The gateway's words are kept, what it repeats of our secrets is not."""
    table = gateway.table | {"secrets": {"key": "wrong-" + KEY}}
    async with open_engine(redis_url, tmp_path, tables={"sms": table}) as engine:
        topic = await engine.create_topic("orders")
        await engine.subscribe(topic.urn, "sms", NUMBER, confirmed=True)
        await engine.publish(topic.urn, "hi")
        async with working(engine):
            await all_ended(engine)
        (dead,) = await engine.dead_letters(topic.urn)
        assert dead.answer == '{"code": 9, "key": "***"}'
