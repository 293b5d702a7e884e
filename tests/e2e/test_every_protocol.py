"""One publish reaches every protocol, and a dead server of one delays none of the others."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from huaweicloudsdksmn import v2 as smn

from engine.cli.attaching import attach
from engine.policy.structure import PLATFORMS
from tests import apple_push as apple
from tests import function_gateway, push_kit
from tests.apple import push_certificate
from tests.apple_push import apple_push
from tests.endpoints import certificate_for
from tests.function_gateway import function_graph
from tests.phone_gateway import phone_gateway
from tests.platforms.bots import served
from tests.platforms.every_bot import every_bot
from tests.push_kit import PushKit
from tests.relay import relay
from tests.sdk_client import build_client
from tests.serving import serve
from tests.tap import Server, Tap, tap

ARRIVAL_SECONDS = 15
# What a loaded machine may add; a server that hangs would add the five seconds of a send.
SLACK_SECONDS = 1.0
# A group's bot takes five messages a second, and keeps others waiting that are its own.
PAUSE_SECONDS = 0.3
ROUNDS = 3


@dataclass
class World:
    """A service, the official SDK as its client, and every protocol's server behind a tap.

    ``devices`` are those of mobile platforms: credentials of the application, and token.
    """

    taps: dict[str, Tap] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: dict[str, tuple[str, Mapping[str, object]]] = field(default_factory=dict)
    devices: dict[str, tuple[tuple[str, str], str]] = field(default_factory=dict)
    sdk: smn.SmnClient | None = None
    topic: str = ""
    count: int = 0

    def add(self, protocol: str, tapped: Tap, endpoint: str, **extension: object) -> None:
        """A subscriber, and how the time of arrival is told."""
        self.taps[protocol] = tapped
        self.endpoints[protocol] = endpoint, extension

    async def publish(self, but: str = "") -> dict[str, float]:
        """Publish to everybody; the seconds after which each protocol was sent it.

        Of all but one.
        """
        assert self.sdk is not None
        await asyncio.sleep(PAUSE_SECONDS)
        self.count += 1
        marks = {protocol: f"mark-{self.count}-{protocol}-end" for protocol in self.taps}
        texts: dict[str, object] = {"default": f"mark-{self.count}-default", **marks}
        texts["dingding"] = {"msgType": "markdown", "title": "t", "content": marks["dingding"]}
        texts["APNS"] = {"aps": {"alert": marks["APNS"]}}
        passing = {
            protocol: tapped.passes(marks[protocol])
            for protocol, tapped in self.taps.items()
            if protocol != but
        }
        body = smn.PublishMessageRequestBody(subject="all", message_structure=json.dumps(texts))
        request = smn.PublishMessageRequest(topic_urn=self.topic, body=body)
        began = time.perf_counter()
        await asyncio.to_thread(self.sdk.publish_message, request)
        await asyncio.wait(passing.values(), timeout=ARRIVAL_SECONDS)
        missing = [protocol for protocol, future in passing.items() if not future.done()]
        assert not missing, f"not sent within {ARRIVAL_SECONDS} s: {missing}"
        return {protocol: future.result() - began for protocol, future in passing.items()}


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Everything started, everybody subscribed."""
    made = World()
    async with AsyncExitStack() as stack:
        monkeypatch.setenv("SSL_CERT_FILE", str(await _serve_webhooks(made, stack, tmp_path)))
        await _serve_everything(made, stack)
        await _serve_phones(made, stack, tmp_path)
        tables = "".join(_toml(name, table) for name, table in made.tables.items())
        (tmp_path / "tocsin.toml").write_text(tables)
        running = await stack.enter_async_context(serve(tmp_path / "data"))
        assert running.url, running.log
        credentials = json.loads((running.data / "credentials.json").read_text())
        made.sdk = build_client(credentials)
        given = {"data": running.data, "config": tmp_path / "tocsin.toml"}
        async with attach({**given, "allow_endpoints": "127.0.0.0/8"}) as engine:
            assert set(made.endpoints) | {"application"} == set(engine.adapters)
            assert set(made.devices) == PLATFORMS - {"APNS_SANDBOX"}
            topic = await engine.create_topic("everybody")
            made.topic = topic.urn
            for platform, (secrets, token) in made.devices.items():
                urn, _, _ = await engine.applications.create(
                    topic.project_id, platform, "shop", secrets
                )
                device, _ = await engine.devices.register(topic.project_id, urn, token, "")
                await engine.subscribe(topic.urn, "application", device.urn, confirmed=True)
            for protocol, (endpoint, extension) in made.endpoints.items():
                await engine.subscribe(
                    topic.urn, protocol, endpoint, extension=extension, confirmed=True
                )
        yield made


async def _serve_webhooks(made: World, stack: AsyncExitStack, folder: Path) -> Path:
    """Servers for ``http`` and ``https``; the certificate by which the second is trusted."""

    async def hook(request: web.Request) -> web.Response:
        if request.secure:
            made.taps["https"].note(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    (folder / "webhooks").mkdir()
    certificate, key = certificate_for("127.0.0.1", folder / "webhooks")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    for protocol, (_, port) in zip(("http", "https"), runner.addresses, strict=True):
        tapped = await stack.enter_async_context(tap(port))
        made.add(protocol, tapped, f"{protocol}://127.0.0.1:{tapped.port}/")
    return certificate


async def _serve_everything(made: World, stack: AsyncExitStack) -> None:
    """A server on this machine for every other protocol, as strict as its documentation."""
    mail = await stack.enter_async_context(tap((await stack.enter_async_context(relay())).port))
    one = {"host": "127.0.0.1", "port": mail.port, "tls": "none"}
    made.tables["smtp"] = {"relays": [one], "sender": "tocsin@example.com"}
    made.add("email", mail, "somebody@example.com")

    for protocol, name in (("sms", "sms"), ("callnotify", "voice")):
        gateway = await stack.enter_async_context(phone_gateway())
        phone = await stack.enter_async_context(tap(gateway.url))
        made.tables[name] = gateway.table | {"url": f"http://127.0.0.1:{phone.port}/send"}
        made.add(protocol, phone, "+8613600000000")

    table: dict[str, Any] = {
        "access_key": function_gateway.ACCESS_KEY,
        "secret_key": function_gateway.SECRET_KEY,
    }
    for protocol, endpoint, setting, path in function_gateway.ENDPOINTS:
        graph = await stack.enter_async_context(function_graph())
        graph.functions = {endpoint}
        functions = await stack.enter_async_context(tap(graph.url))
        table[setting] = f"http://127.0.0.1:{functions.port}{path}"
        made.add(protocol, functions, endpoint)
    made.tables["function"] = table

    for known in every_bot(_now_ms):
        url = await stack.enter_async_context(served(known.platform))
        bot = await stack.enter_async_context(tap(url))
        base = f"http://127.0.0.1:{bot.port}"
        made.tables[known.adapter] = known.table(base)
        made.add(known.protocol, bot, known.endpoint(base), **known.extension)


async def _serve_phones(made: World, stack: AsyncExitStack, folder: Path) -> None:
    """The mobile platforms, each with one device."""
    url = await stack.enter_async_context(push_kit.served(PushKit()))
    hms = await stack.enter_async_context(tap(url))
    made.taps["HMS"] = hms
    made.devices["HMS"] = (push_kit.APP_ID, push_kit.APP_SECRET), push_kit.DEVICE

    service, ca_file = await stack.enter_async_context(apple_push(folder))
    apns = await stack.enter_async_context(tap(service.url))
    service.seen = apns.note
    made.taps["APNS"] = apns
    made.devices["APNS"] = push_certificate(), apple.DEVICE

    made.tables["push"] = {
        "enabled": True,
        "hms_url": f"http://127.0.0.1:{hms.port}",
        "hms_token_url": f"http://127.0.0.1:{hms.port}/oauth2/v3/token",
        "apns_url": f"https://127.0.0.1:{apns.port}",
        "apns_ca_file": str(ca_file),
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _toml(name: str, table: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}\n" for key, value in table.items()]
    return f"[adapters.{name}]\n{''.join(lines)}\n"


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(k)} = {_value(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


async def test_a_dead_server_delays_no_other_protocol(world: World) -> None:
    """All receive a message; then each server in turn hangs or is gone, and all others do.

    Compared with the slowest arrival while all were well. Who was dead a round before may be
    left alone a little longer.
    """
    recovering = ""
    well = [await world.publish() for _ in range(ROUNDS)]
    bound = max(max(round_.values()) for round_ in well[1:]) + SLACK_SECONDS
    for place, (protocol, tapped) in enumerate(world.taps.items()):
        await tapped.become(Server.HUNG if place % 2 else Server.GONE)
        took = await world.publish(but=protocol)
        took.pop(recovering, None)
        late = {name: round(seconds, 2) for name, seconds in took.items() if seconds > bound}
        assert not late, f"with {protocol} dead: {late}; all well: at most {bound:.2f} s"
        await tapped.become(Server.WELL)
        recovering = protocol
