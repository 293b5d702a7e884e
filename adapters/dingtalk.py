"""DingTalk: group bots (``dingding``) and the robots of applications.

A group's bot has a webhook and, for its protection, a keyword or a signature; rules and codes
are those of DingTalk's guide to custom robots. A ``dingding`` endpoint may also be the
openConversationId of a group that an application's robot is in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from adapters._bots import (
    PAUSE_S,
    Codes,
    Post,
    WebhookBot,
    WebhookSettings,
    fit,
    json_bytes,
    room_for,
)
from engine.models import Rate

if TYPE_CHECKING:
    from engine.ports import Ports

_RATES: Final = (Rate(20, 60, 5),)
_BODY_BYTES: Final = 20_000
_BLOCK_S: Final = 600
"""How long a bot that was too fast is shut out."""
_MENTIONS: Final = 100
"""Members mentioned by a message; the platform names no limit."""


class DingTalkSettings(WebhookSettings):
    """Settings of DingTalk's group bots."""


class DingTalkAdapter(WebhookBot):
    """Speaks ``dingding``."""

    protocols = ("dingding",)

    OFFICIAL = ("https://oapi.dingtalk.com",)
    PATH = re.compile(r"/robot/send\?access_token=(?P<token>[A-Za-z0-9_-]{1,256})")
    EXAMPLE = "https://oapi.dingtalk.com/robot/send?access_token=TOKEN"
    CODES = Codes(
        member=("errcode",),
        text=("errmsg",),
        wait={130101: _BLOCK_S, 410100: PAUSE_S},
        again=frozenset({-1}),
        meanings={
            -1: "the platform is busy",
            130101: "too often",
            410100: "too often",
            310000: "the bot's protection: keyword, signature or address",
            300001: "there is no such bot",
            300005: "there is no such bot",
            400101: "there is no such bot",
            400013: "the group was dissolved",
            400102: "the bot was stopped",
            400105: "message type not supported",
            400106: "the bot is not in the group",
            40035: "the platform cannot read the message",
            43002: "not a POST",
            43004: "wrong content type",
            430101: "unsafe link",
            430102: "unsafe text",
            430103: "unsafe picture",
            430104: "unsafe content",
            460101: "too long",
        },
    )

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports, ports.configure(DingTalkSettings), *_RATES)

    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """Text or Markdown; who is mentioned must also be in the text, and is called once."""
        names = _names(post)
        missing = [f"@{name}" for name in names if f"@{name}" not in post.text]
        tail = "\n" + " ".join(missing) if missing else ""
        room = room_for(_BODY_BYTES, _body(post, "", names), json_bytes(tail))
        if not room:
            return []
        texts = fit(
            post.text if post.markdown else post.headed,
            room + json_bytes(tail),
            measure=json_bytes,
            pieces=self._settings.pieces,
            keyword=keyword,
            tail=tail,
        )
        found = []
        for text in texts:
            found.append(_body(post, text, [name for name in names if f"@{name}" in text]))
            names = [name for name in names if f"@{name}" not in text]
            post = replace(post, at=replace(post.at, everyone=False))
        return found

    def signed(
        self, url: str, body: dict[str, Any], secret: str, now_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """The signature goes into the query, with the time in milliseconds."""
        return f"{url}&timestamp={now_ms}&sign={quote(sign(now_ms, secret), safe='')}", body


def sign(timestamp_ms: int, secret: str) -> str:
    """The signature: of time and secret, with the secret as the key."""
    digest = hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def _names(post: Post) -> list[str]:
    """Whom the message mentions, by number or id."""
    return [*post.at.mobiles, *post.at.users][:_MENTIONS]


def _body(post: Post, text: str, names: Collection[str]) -> dict[str, Any]:
    """One part; it mentions those of its members who are named."""
    if post.markdown:
        body: dict[str, Any] = {
            "msgtype": "markdown",
            "markdown": {"title": post.title, "text": text},
        }
    else:
        body = {"msgtype": "text", "text": {"content": text}}
    if names or post.at.everyone:
        body["at"] = {
            "atMobiles": [name for name in post.at.mobiles if name in names],
            "atUserIds": [name for name in post.at.users if name in names],
            "isAtAll": post.at.everyone,
        }
    return body
