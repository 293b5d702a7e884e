"""What the demo plays with: a service of its own, a client of its API, a host of subscribers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from engine import credentials
from engine.errors import TocsinError

_START_SECONDS: Final = 60.0
_RETRY_DELAYS: Final = "0.5,1,2,4"
_LOG_TAIL: Final = 2000
_AT_ONCE: Final = 16


class DemoError(TocsinError):
    """The demo could not go on."""


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[str]:
    """A real ``tocsin serve`` on a free port; yields its URL, stops it at the end."""
    log = folder / "serve.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "serve", "--data", str(folder / "data")),
            *("--host", "127.0.0.1", "--port", "0", "--allow-endpoints", "127.0.0.0/8"),
            *("--parent", str(os.getpid())),
            env={**os.environ, "TOCSIN_RETRY_DELAYS": _RETRY_DELAYS},
            stdin=PIPE,  # its end tells the service that the demo is gone
            stdout=PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C ends the demo, which then stops the service
        )
    try:
        yield await _ready(process, log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(process: Process, log: Path) -> str:
    assert process.stdout is not None  # noqa: S101 - asked for with PIPE
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        line = ""
    if not line.startswith("ready "):
        text = await asyncio.to_thread(log.read_text, errors="replace")
        tail = text[-_LOG_TAIL:]
        raise DemoError(f"the service did not start; its log ends with\n{tail}")
    return line.split()[1]


class Client:
    """The few API calls that the demo makes, with a token."""

    def __init__(self, session: aiohttp.ClientSession, folder: Path) -> None:
        self._session = session
        self._account = credentials.read(folder)
        self._base = f"{self._account['endpoint']}/v2/{self._account['project_id']}/notifications"

    async def log_in(self) -> None:
        """Get a token by name and password."""
        account = self._account
        user = {
            "name": account["user_name"],
            "password": account["password"],
            "domain": {"name": account["domain_name"]},
        }
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"id": account["project_id"]}},
            }
        }
        url = f"{account['iam_endpoint']}/v3/auth/tokens"
        async with self._session.post(url, json=body) as answer:
            await _check(answer)
            self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    async def create_topic(self, name: str) -> str:
        """Returns the topic's URN."""
        return str((await self._post("topics", {"name": name}))["topic_urn"])

    async def subscribe(self, topic: str, endpoint: str, protocol: str = "http") -> None:
        """Subscribe an endpoint, which is then asked to confirm."""
        await self._post(
            f"topics/{topic}/subscriptions", {"protocol": protocol, "endpoint": endpoint}
        )

    async def subscribe_all(self, topic: str, endpoints: list[str]) -> None:
        """Subscribe many endpoints, a few at once."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(endpoint: str) -> None:
            async with places:
                await self.subscribe(topic, endpoint)

        async with asyncio.TaskGroup() as group:
            for endpoint in endpoints:
                group.create_task(one(endpoint))

    async def publish(self, topic: str, subject: str, message: str) -> str:
        """Returns the message id."""
        body = {"subject": subject, "message": message}
        return str((await self._post(f"topics/{topic}/publish", body))["message_id"])

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        async with self._session.post(f"{self._base}/{path}", json=body) as answer:
            await _check(answer)
            found: dict[str, Any] = await answer.json()
            return found


async def _check(answer: aiohttp.ClientResponse) -> None:
    if not answer.ok:
        raise DemoError(f"{answer.url} answered {answer.status}: {await answer.text()}")


class Subscribers:
    """An HTTP server with one path per subscriber.

    It confirms each subscription through the link it is sent. Every ``flaky``-th subscriber
    answers 503 to its first notification. Times are `time.perf_counter` seconds; ``extra``
    counts notifications that came after a success.
    """

    def __init__(self, count: int, flaky: int) -> None:
        self.count = count
        self.confirmed: set[int] = set()
        self.arrived: dict[int, float] = {}
        self.first_tries: list[float] = []
        self.failed: set[int] = set()
        self.extra = 0
        self.sample: dict[str, Any] = {}
        self.endpoints: list[str] = []
        self._flaky = flaky
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Serve on a free port; fills ``endpoints``."""
        app = web.Application()
        app.router.add_post("/subscriber/{number}", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            self.endpoints = [
                f"http://127.0.0.1:{port}/subscriber/{number}" for number in range(self.count)
            ]
            async with aiohttp.ClientSession() as self._session:
                yield
        finally:
            await runner.cleanup()

    async def changed(self) -> None:
        """Wait for the next arrival of anything."""
        self._changed.clear()
        await self._changed.wait()

    async def _take(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        message = json.loads(await request.read())
        if message["type"] == "SubscriptionConfirmation":
            async with self._session.get(message["subscribe_url"]) as answer:
                await _check(answer)
            self.confirmed.add(number)
        elif message["type"] == "Notification":
            return self._notified(number, message)
        self._changed.set()
        return web.Response()

    def _notified(self, number: int, message: dict[str, Any]) -> web.Response:
        now = time.perf_counter()
        if number in self.arrived:
            self.extra += 1
            return web.Response()
        if number not in self.failed:
            self.first_tries.append(now)
            if number % self._flaky == self._flaky - 1:
                self.failed.add(number)
                return web.Response(status=503)
        self.arrived[number] = now
        self.sample = message
        self._changed.set()
        return web.Response()
