"""The commands that look into a running service."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from engine.cli.demo_world import Client
from tests.serving import serve


class Subscriber:
    """An HTTP endpoint that confirms, and answers 400 to notifications while ``broken``."""

    def __init__(self) -> None:
        self.broken = True
        self.confirmed = asyncio.Event()
        self.arrived = asyncio.Event()
        self.refused = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        message = json.loads(await request.read())
        if message["type"] == "SubscriptionConfirmation":
            async with aiohttp.ClientSession() as session:
                await (await session.get(message["subscribe_url"])).read()
            self.confirmed.set()
        elif self.broken:
            self.refused.set()
            return web.Response(status=400)
        else:
            self.arrived.set()
        return web.Response()


@pytest_asyncio.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    """A subscriber that refuses, on a free port."""
    found = Subscriber()
    app = web.Application()
    app.router.add_post("/", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield found
    await runner.cleanup()


async def _tocsin(data: Path, *arguments: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", *arguments, "--data", str(data), "--json"),
        cwd=data.parent,
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


async def _until(
    data: Path, *arguments: str, seen: Callable[[list[dict[str, Any]]], object]
) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while not seen(found := await _tocsin(data, *arguments)):
            pass
    return found


@pytest.mark.parametrize("redriven", [True, False], ids=["redrive", "drop"])
async def test_dead_letters_have_a_second_chance_or_an_end(
    tmp_path: Path, subscriber: Subscriber, redriven: bool
) -> None:
    """A refused delivery is listed with its reason; redriven it arrives, dropped it is gone."""
    data = tmp_path / "data"
    async with serve(data), aiohttp.ClientSession() as session:
        client = Client(session, data)
        await client.log_in()
        topic = await client.create_topic("orders")
        await client.subscribe(topic, subscriber.url)
        await subscriber.confirmed.wait()
        message = await client.publish(topic, "subject", "message")
        await subscriber.refused.wait()
        (letter,) = await _until(data, "dead", "list", "--topic", topic, seen=bool)
        assert (letter["topic_urn"], letter["message_id"]) == (topic, message)
        assert letter["endpoint"] == subscriber.url
        assert letter["code"] == 400
        subscriber.broken = False
        if redriven:
            assert await _tocsin(data, "dead", "redrive", "--all") == [{"redriven": 1}]
            await subscriber.arrived.wait()
        else:
            only = ("--topic", "orders", "--message", message)
            assert await _tocsin(data, "dead", "drop", *only) == [{"dropped": 1}]
        assert await _tocsin(data, "dead", "list") == []


async def test_the_outbox_shows_what_sms_would_have_sent(tmp_path: Path) -> None:
    """A subscription by SMS puts its invitation into the outbox, which the command reads."""
    data = tmp_path / "data"
    async with serve(data), aiohttp.ClientSession() as session:
        client = Client(session, data)
        await client.log_in()
        topic = await client.create_topic("alarms")
        await client.subscribe(topic, "+8613600000000", "sms")
        (entry,) = await _until(data, "outbox", "--protocol", "sms", seen=bool)
        assert entry["endpoint"] == "+8613600000000"
        assert await _tocsin(data, "outbox", "--protocol", "email") == []


async def test_the_log_of_direct_texts_is_shown(tmp_path: Path) -> None:
    """Texts to numbers have no topic: their home's URN finds them."""
    data = tmp_path / "data"
    async with serve(data), aiohttp.ClientSession() as session:
        client = Client(session, data)
        await client.log_in()
        topic = await client.create_topic("alarms")
        await client._post("sms", {"endpoint": "+8613600000000", "message": "hello"})
        home = topic.replace(":alarms", ":sms:direct")
        (line,) = await _until(data, "logs", home, seen=bool)
        assert (line["topic_urn"], line["endpoint"]) == (home, "+8613600000000")
        assert line["kind"] == "direct"
