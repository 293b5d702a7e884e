"""A supplier of SMS and calls by HTTP, the way many of them are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "example-key-1"


@dataclass
class PhoneGateway:
    """What it was asked for, and how it answers next.

    With one of ``answers``, else with 200 and what ``judge`` makes of the order: success.
    """

    url: str = ""
    orders: list[dict[str, str]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    judge: Callable[[dict[str, str]], Awaitable[dict[str, Any]]] | None = None

    @property
    def table(self) -> dict[str, Any]:
        """The settings that speak to it."""
        return {
            "url": f"{self.url}/send",
            "headers": {"X-Key": "{key}"},
            "secrets": {"key": KEY},
            "body": '{"mobile": "{digits}", "content": "{text}", "ref": "{message_id}"}',
            "success_json": {"code": 0},
            "throttled_json": {"code": 1001},
            "throttle_seconds": 0.05,
        }

    async def send(self, request: web.Request) -> web.Response:
        """POST /send."""
        if request.headers["X-Key"] != KEY:
            return web.json_response({"code": 9, "key": request.headers["X-Key"]})
        if self.answers:
            return self.answers.pop(0)
        order = await request.json()
        self.orders.append(order)
        return web.json_response(await self.judge(order) if self.judge else {"code": 0})


@asynccontextmanager
async def phone_gateway() -> AsyncIterator[PhoneGateway]:
    """One on a free port."""
    gateway = PhoneGateway()
    application = web.Application()
    application.router.add_post("/send", gateway.send)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield gateway
    finally:
        await runner.cleanup()
