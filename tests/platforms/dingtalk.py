"""A stand-in for DingTalk: group bots behind webhooks ("Custom robot access")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.testing import Request
from tests.platforms.bots import (
    HOUR_MS,
    MINUTE_MS,
    Bot,
    Pace,
    Platform,
    Refusal,
    Shown,
    read_object,
    read_text,
)

MOST_BYTES = 20_000
BAD_BODY = Refusal(40035, "缺少参数 json")


class DingTalk(Platform):
    """Group bots; one that speaks more than 20 times a minute is shut out for ten."""

    def paces(self) -> list[Pace]:
        return [Pace(20, MINUTE_MS, 10 * MINUTE_MS)]

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        return {"errcode": refusal.code, "errmsg": refusal.text}

    def take(self, request: Request) -> dict[str, Any]:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/robot/send":
            raise Refusal(22, "no such API", 404)
        if request.method != "POST":
            raise Refusal(43002, "require POST")
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            raise Refusal(43004, "wrong Content-Type")
        bot = self.bots.get(query.get("access_token", ""))
        if bot is None:
            raise Refusal(300005, "token is not exist")
        if not all(pace.allows(self.now_ms()) for pace in bot.paces):
            raise Refusal(130101, "send too fast, exceed 20 times per minute")
        if bot.trouble is not None:
            raise bot.trouble
        if len(request.body) > MOST_BYTES:
            raise Refusal(460101, "message too long, exceed 20000 bytes")
        body = read_object(request.body, BAD_BODY)
        shown = self._read(body)
        if bot.secret:
            self._check_signature(bot, query)
        bot.check_keyword(
            f"{shown.title}\n{shown.text}", Refusal(310000, "keywords not in content")
        )
        bot.shown.append(shown)
        return {"errcode": 0, "errmsg": "ok"}

    def _read(self, body: dict[str, Any]) -> Shown:
        kind = body.get("msgtype")
        if kind not in {"text", "markdown"}:
            raise Refusal(400105, "unsupported msgtype")
        member = "content" if kind == "text" else "text"
        text = read_text(body.get(kind), member, BAD_BODY)
        title = "" if kind == "text" else read_text(body[kind], "title", BAD_BODY)
        at = body.get("at", {})
        named = [*at.get("atMobiles", []), *at.get("atUserIds", [])]
        # Who is listed but not named in the text is not called.
        mentions = [name for name in named if f"@{name}" in text]
        if at.get("isAtAll"):
            mentions.append("all")
        return Shown(self.now_ms(), text, title, kind == "markdown", tuple(mentions))

    def _check_signature(self, bot: Bot, query: dict[str, str]) -> None:
        timestamp = query.get("timestamp", "")
        if not timestamp.isdigit() or abs(int(timestamp) - self.now_ms()) > HOUR_MS:
            raise Refusal(310000, "invalid timestamp")
        digest = hmac.new(
            bot.secret.encode(), f"{timestamp}\n{bot.secret}".encode(), hashlib.sha256
        ).digest()
        if base64.b64encode(digest).decode() != query.get("sign"):
            raise Refusal(310000, "sign not match")
