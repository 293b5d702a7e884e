"""Stand-ins for the platforms of group bots: they enforce the documented rules, and remember.

A stand-in answers requests with the time of a clock that it is given; `served` puts it behind
a port on loopback, and its `answer` serves an `InstantTransport`, for tests that want no sockets
or no real time.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from engine.ports import Answer
from engine.testing import Request

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as the members of a group see it."""

    at_ms: int
    text: str
    title: str = ""
    markdown: bool = False
    mentions: tuple[str, ...] = ()
    color: str = ""


class Refusal(Exception):
    """What a platform does not do, by its code."""

    def __init__(self, code: int | str, text: str, status: int = 200) -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text, self.status = code, text, status


@dataclass(slots=True)
class Pace:
    """At most ``count`` calls in any ``period_ms``; one more shuts out for ``penalty_ms``."""

    count: int
    period_ms: int
    penalty_ms: int = 0
    calls: list[int] = field(default_factory=list)
    until_ms: int = 0

    def allows(self, now_ms: int) -> bool:
        """Count a call, if it is allowed."""
        if now_ms < self.until_ms:
            return False
        self.calls = [at for at in self.calls if at > now_ms - self.period_ms]
        if len(self.calls) >= self.count:
            self.until_ms = now_ms + self.penalty_ms
            return False
        self.calls.append(now_ms)
        return True


@dataclass(slots=True)
class Bot:
    """A group's bot: what protects it, and what it has shown.

    ``trouble`` is what it refuses everything with.
    """

    secret: str = ""
    keywords: tuple[str, ...] = ()
    trouble: Refusal | None = None
    shown: list[Shown] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)

    def check_keyword(self, text: str, refusal: Refusal) -> None:
        """Refuse a text that holds none of the keywords, if there are any."""
        if self.keywords and not any(keyword in text for keyword in self.keywords):
            raise refusal


class Platform(ABC):
    """What all have in common: bots by their tokens, and codes in answers."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.bots: dict[str, Bot] = {}
        self.refusals: list[int | str] = []

    def add(self, token: str, bot: Bot | None = None) -> Bot:
        """A bot with that token."""
        found = self.bots[token] = Bot() if bot is None else bot
        found.paces = self.paces()
        return found

    def answer(self, request: Request) -> Answer:
        """What the platform answers to a request."""
        try:
            return _json(200, self.take(request))
        except Refusal as refusal:
            self.refusals.append(refusal.code)
            return _json(refusal.status, self.refused(refusal))

    @abstractmethod
    def paces(self) -> list[Pace]:
        """How often a bot may speak."""

    @abstractmethod
    def take(self, request: Request) -> dict[str, Any]:
        """Do as asked; raises `Refusal`."""

    @abstractmethod
    def refused(self, refusal: Refusal) -> dict[str, Any]:
        """The answer to what is refused."""


def read_object(body: bytes, refusal: Refusal) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        found = json.loads(body.decode())
    except ValueError:
        raise refusal from None
    if not isinstance(found, dict):
        raise refusal
    return found


def read_text(value: object, name: str, refusal: Refusal) -> str:
    """A member that must be a text and not empty."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, str) or not found:
        raise refusal
    return found


@asynccontextmanager
async def served(platform: Platform) -> AsyncIterator[str]:
    """The platform behind a port on loopback; its base URL."""

    async def handle(request: web.Request) -> web.Response:
        url = f"{request.scheme}://{request.host}{request.raw_path}"
        asked = Request(url, request.headers, await request.read(), request.method)
        answer = platform.answer(asked)
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, None, json.dumps(body).encode())
