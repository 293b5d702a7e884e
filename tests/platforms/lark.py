"""A stand-in for Lark ("Custom bot usage guide")."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any
from urllib.parse import urlsplit

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

MOST_BYTES = 20_480
BAD_BODY = Refusal(9499, "Bad Request")
COLORS = {
    *("blue", "wathet", "turquoise", "green", "yellow", "orange", "red"),
    *("carmine", "violet", "purple", "indigo", "grey", "default"),
}


class Lark(Platform):
    """Custom bots; one may speak 5 times a second and 100 times a minute."""

    def paces(self) -> list[Pace]:
        return [Pace(5, 1000), Pace(100, MINUTE_MS)]

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        return {"code": refusal.code, "msg": refusal.text, "data": {}}

    def take(self, request: Request) -> dict[str, Any]:
        prefix, _, token = urlsplit(request.url).path.rpartition("/")
        if prefix != "/open-apis/bot/v2/hook" or request.method != "POST":
            raise Refusal(404, "404 page not found", 404)
        bot = self.bots.get(token)
        if bot is None:
            raise Refusal(19001, "param invalid: incoming webhook access token invalid")
        if not all(pace.allows(self.now_ms()) for pace in bot.paces):
            raise Refusal(11232, "frequency limited")
        if bot.trouble is not None:
            raise bot.trouble
        if len(request.body) > MOST_BYTES:
            raise BAD_BODY
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            raise BAD_BODY
        body = read_object(request.body, BAD_BODY)
        if bot.secret:
            self._check_signature(bot, body)
        shown = self._read(body)
        bot.check_keyword(f"{shown.title}\n{shown.text}", Refusal(19024, "Key Words Not Found"))
        bot.shown.append(shown)
        return {"StatusCode": 0, "StatusMessage": "success", "code": 0, "msg": "success"}

    def _read(self, body: dict[str, Any]) -> Shown:
        match body.get("msg_type"):
            case "text":
                text = read_text(body.get("content"), "text", BAD_BODY)
                mentions = re.findall(r'<at user_id="([^"]+)">', text)
                return Shown(self.now_ms(), text, mentions=tuple(mentions))
            case "interactive":
                return self._card(body.get("card"))
            case _:
                raise BAD_BODY

    def _card(self, card: Any) -> Shown:
        header = card.get("header", {}) if isinstance(card, dict) else {}
        title = read_text(header.get("title"), "content", BAD_BODY)
        color = header.get("template", "")
        if color and color not in COLORS:
            raise BAD_BODY
        elements = card.get("elements")
        if not isinstance(elements, list) or len(elements) != 1:
            raise BAD_BODY
        if elements[0].get("tag") != "markdown" or header["title"].get("tag") != "plain_text":
            raise BAD_BODY
        text = read_text(elements[0], "content", BAD_BODY)
        mentions = re.findall(r"<at id=([^>]+)>", text)
        return Shown(self.now_ms(), text, title, True, tuple(mentions), color)

    def _check_signature(self, bot: Bot, body: dict[str, Any]) -> None:
        timestamp, mismatch = body.get("timestamp"), Refusal(19021, "sign match fail")
        if not isinstance(timestamp, str) or not timestamp.isdigit():
            raise mismatch
        if abs(int(timestamp) * 1000 - self.now_ms()) > HOUR_MS:
            raise mismatch
        key = f"{timestamp}\n{bot.secret}".encode()
        digest = hmac.new(key, b"", hashlib.sha256).digest()
        if base64.b64encode(digest).decode() != body.get("sign"):
            raise mismatch
