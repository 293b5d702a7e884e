"""Endpoints that behave as told and remember what arrived."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from engine.ports import Answer, TransportError

NOWHERE: Final = "http://127.0.0.1:9"
"""Base of endpoints that are reached through the transport port only."""


@dataclass(frozen=True, slots=True)
class Hang:
    """An answer that comes late: by default it never does, and ``seconds`` is the time-out."""

    seconds: float = 5.0
    answer: int | None = None


Behaviour = int | Answer | TransportError | Hang


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: which endpoint, which message, for which subscription, when (loop time)."""

    name: str
    message_id: str
    subscription_urn: str
    at: float
    body: bytes

    @property
    def text(self) -> str:
        """The message that was published."""
        return str(json.loads(self.body)["message"])


@dataclass(slots=True)
class Receiver:
    """A world of endpoints, each at a path of its own.

    Endpoints answer 200 unless scripted: a script's answers are given one after another, the
    last one from then on. It is a ``Transport`` itself, for tests that want no sockets;
    `served` puts it behind a real port.
    """

    base: str = NOWHERE
    arrivals: list[Arrival] = field(default_factory=list)
    _scripts: dict[str, list[Behaviour]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """The endpoint of that name."""
        return f"{self.base}/{name}"

    def urls(self, prefix: str, count: int) -> list[str]:
        """So many endpoints whose names begin alike."""
        return [self.url(f"{prefix}{number}") for number in range(count)]

    def behave(self, name: str, *script: Behaviour) -> str:
        """Script an endpoint from now on; returns its URL."""
        self._scripts[name] = list(script)
        return self.url(name)

    def of(self, name: str) -> list[Arrival]:
        """What arrived at one endpoint."""
        return [arrival for arrival in self.arrivals if arrival.name == name]

    def pairs(self) -> Counter[tuple[str, str]]:
        """How often each (message, subscription) arrived."""
        return Counter((a.message_id, a.subscription_urn) for a in self.arrivals)

    def names(self, message_id: str) -> list[str]:
        """Where a message arrived, in order."""
        return [a.name for a in self.arrivals if a.message_id == message_id]

    def parse(self, url: str) -> str:
        """The name in a URL."""
        return urlsplit(url).path[1:]

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        """Note and answer."""
        name = str(url)
        self.arrivals.append(
            Arrival(
                name,
                headers["X-SMN-MESSAGE-ID"],
                headers.get("X-SMN-SUBSCRIPTION-URN", ""),
                asyncio.get_running_loop().time(),
                body,
            )
        )
        script = self._scripts.get(name)
        if script is None:
            return Answer(200)
        behaviour = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(behaviour, Hang):
            await asyncio.sleep(behaviour.seconds)
            if behaviour.answer is None:
                raise TransportError("no complete answer in time")
            behaviour = behaviour.answer
        if isinstance(behaviour, TransportError):
            raise behaviour
        return Answer(behaviour) if isinstance(behaviour, int) else behaviour


@asynccontextmanager
async def served(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a real port of this machine; with a server's ``tls`` its URLs are https."""
    receiver = Receiver()

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            found = await receiver.post(request.path[1:], request.headers, body)
        except TransportError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {"Retry-After": found.retry_after} if found.retry_after is not None else {}
        return web.Response(status=found.status, headers=headers, body=found.body)

    application = web.Application()
    application.router.add_post("/{name:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.base = f"{'https' if tls else 'http'}://{host}:{port}"
        yield receiver
    finally:
        await runner.cleanup()
