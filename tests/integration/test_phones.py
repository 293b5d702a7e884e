"""From a publish to phones: a supplier of SMS and calls beside a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.engines import all_ended, open_engine, working
from tests.phone_gateway import KEY, PhoneGateway, phone_gateway
from tests.smsc import DROP, PASSWORD, smsc

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
        codes = [attempt.code for attempt in lines[0].attempts]
        assert codes == [200, 429, 500, 400, 429, 200]


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


async def test_a_text_reaches_a_phone_through_a_busy_message_centre(
    redis_url: str, tmp_path: Path
) -> None:
    """Throttled, full, failing, then cut between two parts: shown once, with the third try."""
    text = "disk full 中文 🙂 " * 10
    async with smsc() as centre:
        centre.answers.extend([0x58, 0x14, 0x08, 0x58, 0, DROP])
        table = {
            "url": centre.url,
            "smpp_password": PASSWORD,
            "smpp_throttle_seconds": 0.05,
            "signature": "Tocsin",
        }
        async with open_engine(redis_url, tmp_path, tables={"sms": table}) as engine:
            topic = await engine.create_topic("orders")
            await engine.subscribe(topic.urn, "sms", NUMBER, confirmed=True)
            await engine.publish(topic.urn, text)
            async with working(engine):
                await all_ended(engine)
            lines = await engine.delivery_log(topic.urn)
        assert centre.shown(NUMBER[1:]) == [f"【Tocsin】{text}"]
        assert [line.status for line in lines] == ["DELIVERED"]
        assert [attempt.reason for attempt in lines[0].attempts] == [
            "ESME_RSYSERR (0x00000008)",
            "the connection was lost",
            "",
        ]
        assert centre.binds == 2


async def test_every_number_of_a_topic_gets_its_text_from_a_slow_centre(
    redis_url: str, tmp_path: Path
) -> None:
    """A third of the submits are throttled; all arrive, each once, within the window."""
    async with smsc() as centre:
        centre.answers.extend(0x58 if number % 3 == 0 else 0 for number in range(90))
        table = {"url": centre.url, "smpp_password": PASSWORD, "smpp_throttle_seconds": 0.02}
        async with open_engine(redis_url, tmp_path, tables={"sms": table}) as engine:
            topic = await engine.create_topic("orders")
            numbers = [f"86136{number:08}" for number in range(100)]
            for number in numbers:
                await engine.subscribe(topic.urn, "sms", f"+{number}", confirmed=True)
            await engine.publish(topic.urn, "hi")
            async with working(engine):
                await all_ended(engine)
            assert len(await engine.delivery_log(topic.urn)) == 100
        assert [centre.shown(number) for number in numbers] == [["hi"]] * 100
        assert centre.most_open <= 10
