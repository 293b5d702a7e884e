"""Huawei's Push Kit, as strict as its documentation: tokens, then messages to devices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from engine.ports import Answer
from engine.testing import Request

BASE: Final = "https://push-api.cloud.huawei.com"
TOKEN_URL: Final = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
APP_ID: Final = "100200300"
APP_SECRET: Final = "5ecre75ecre75ecre75ecre75ecre75e"
DEVICE: Final = "IQAAAACy0kYwAADWsJ-Xc5q9ZyTnbM7"

_MESSAGE: Final = {"data", "notification", "android", "token"}
_ANDROID: Final = {"ttl", "bi_tag", "notification"}
_CLICKS: Final = {1: {"type", "intent"}, 2: {"type", "url"}, 3: {"type"}}


@dataclass
class PushKit:
    """What arrived, what was handed out, and what is answered next instead of the truth."""

    applications: dict[str, str] = field(default_factory=lambda: {APP_ID: APP_SECRET})
    devices: set[str] = field(default_factory=lambda: {DEVICE})
    messages: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    expires_in: int = 3600
    valid: set[str] = field(default_factory=set)
    token_answers: list[Answer] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        """Answer any request, by its path."""
        if request.url.endswith("/oauth2/v3/token"):
            return self._token(request)
        return self._send(request)

    def _token(self, request: Request) -> Answer:
        if self.token_answers:
            return self.token_answers.pop(0)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        good = (
            request.headers.get("Content-Type") == "application/x-www-form-urlencoded"
            and form.get("grant_type") == "client_credentials"
            and form.get("client_secret") == self.applications.get(form.get("client_id", ""), "")
        )
        if not good:
            return _json(400, {"error": 1101, "error_description": f"invalid client {form}"})
        token = f"CF3/{len(self.tokens)}+={form['client_id']}"
        self.tokens.append(token)
        self.valid.add(token)
        return _json(200, {"access_token": token, "expires_in": self.expires_in})

    def _send(self, request: Request) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        fault = self._refusal(request) or self._fault(request)
        if fault:
            return _code(401 if fault.startswith("802") else 400, fault)
        self.messages.append(json.loads(request.body)["message"])
        return _code(200, "80000000")

    def _refusal(self, request: Request) -> str:
        """The code for a token that is not the application's, or not any more."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        target = f"/v1/{token.partition('=')[2]}/messages:send"
        if scheme != "Bearer" or token not in self.tokens or not request.url.endswith(target):
            return "80200001"
        return "" if token in self.valid else "80200003"

    def _fault(self, request: Request) -> str:
        """The code for a message that is not one, or not for a device of theirs."""
        message = json.loads(request.body)["message"]
        if not _sound(message):
            return "80100003"
        if len(request.body) - len(DEVICE) > 4096:
            return "80300008"
        return "" if set(message["token"]) <= self.devices else "80300007"


def takes_all(request: Request) -> Answer:
    """A service without memory: one token, and any message is sent."""
    if request.url == TOKEN_URL:
        return _json(200, {"access_token": "token", "expires_in": 3600})
    return _code(200, "80000000")


def _sound(message: dict[str, Any]) -> bool:
    """Whether a message has the documented shape, with exactly one device."""
    android = message.get("android", {})
    ttl = android.get("ttl", "")
    good = (
        set(message) <= _MESSAGE
        and set(android) <= _ANDROID
        and len(message.get("token", ())) == 1
        and ttl.endswith("s")
        and 1 <= int(ttl[:-1]) <= 1_296_000
        and ("notification" in message or "data" in message)
        and isinstance(message.get("data", ""), str)
    )
    if good and "notification" in message:
        shown = message["notification"]
        click = android["notification"]["click_action"]
        good = (
            {"title", "body"} <= set(shown) <= {"title", "body", "image"}
            and all(isinstance(value, str) for value in shown.values())
            and set(click) == _CLICKS[click["type"]]
        )
    return good


def _json(status: int, value: object) -> Answer:
    return Answer(status, body=json.dumps(value).encode())


def _code(status: int, code: str) -> Answer:
    return _json(status, {"code": code, "msg": "said", "requestId": "157440955549500001002006"})


@asynccontextmanager
async def served(kit: PushKit) -> AsyncIterator[str]:
    """The service on this machine; yields its URL."""

    async def answer(request: web.Request) -> web.Response:
        given = Request(
            str(request.url), dict(request.headers), await request.read(), request.method
        )
        found = kit(given)
        headers = {} if found.retry_after is None else {"Retry-After": found.retry_after}
        return web.Response(status=found.status, body=found.body, headers=headers)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
