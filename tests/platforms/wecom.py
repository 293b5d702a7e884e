"""A stand-in for WeCom ("Group robot configuration")."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.testing import Request
from tests.platforms.bots import (
    MINUTE_MS,
    Pace,
    Platform,
    Refusal,
    Shown,
    read_object,
    read_text,
)

BAD_BODY = Refusal(40058, "invalid parameter")
MOST_BYTES = {"text": 2048, "markdown": 4096}


class WeCom(Platform):
    """Group robots; one may speak 20 times a minute."""

    def paces(self) -> list[Pace]:
        return [Pace(20, MINUTE_MS)]

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        return {"errcode": refusal.code, "errmsg": refusal.text}

    def take(self, request: Request) -> dict[str, Any]:
        parts = urlsplit(request.url)
        if parts.path != "/cgi-bin/webhook/send" or request.method != "POST":
            raise Refusal(404, "not found", 404)
        bot = self.bots.get(parse_qs(parts.query).get("key", [""])[0])
        if bot is None:
            raise Refusal(93000, "invalid webhook url")
        if bot.trouble is not None:
            raise bot.trouble
        if not all(pace.allows(self.now_ms()) for pace in bot.paces):
            raise Refusal(45009, "api freq out of limit")
        body = read_object(request.body, BAD_BODY)
        kind = body.get("msgtype")
        if kind not in MOST_BYTES:
            raise Refusal(40008, "invalid message type")
        text = read_text(body.get(kind), "content", Refusal(44004, "content size out of limit"))
        if len(text.encode()) > MOST_BYTES[kind]:
            raise Refusal(40058, f"{kind}.content exceed max length {MOST_BYTES[kind]}")
        if kind == "markdown":
            mentions = re.findall(r"<@([^>]+)>", text)
        else:
            mentions = [
                *body[kind].get("mentioned_list", []),
                *body[kind].get("mentioned_mobile_list", []),
            ]
        bot.shown.append(Shown(self.now_ms(), text, "", kind == "markdown", tuple(mentions)))
        return {"errcode": 0, "errmsg": "ok"}
