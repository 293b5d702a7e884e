"""Lark's and Feishu's group bots: protocol ``feishu``.

Bodies, signature, sizes, codes and rates are those of Lark's guide to custom bots.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

from adapters._bot_codes import PAUSE_S, Codes
from adapters._bot_fitting import fit, json_bytes, room_for
from adapters._bot_posts import Post
from adapters._bot_settings import WebhookSettings
from adapters._bot_webhooks import WebhookBot
from engine.models import Rate

if TYPE_CHECKING:
    from engine.ports import Ports

_RATES: Final = (Rate(5, 1, 0.2), Rate(100, 60, 5))
_BODY_BYTES: Final = 20_000
"""The guide says 20 KB of the whole body."""
_SIGNATURE_BYTES: Final = 128
_USER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_MENTIONS: Final = 100
_COLORS: Final = frozenset(
    {
        *("blue", "wathet", "turquoise", "green", "yellow", "orange", "red"),
        *("carmine", "violet", "purple", "indigo", "grey", "default"),
    }
)
"""What a card's header may be; another one would be refused with the whole card."""


class LarkSettings(WebhookSettings):
    """Settings of Lark's bots."""


class LarkAdapter(WebhookBot):
    """Speaks ``feishu``."""

    protocols = ("feishu",)

    OFFICIAL = ("https://open.feishu.cn", "https://open.larksuite.com")
    PATH = re.compile(r"/open-apis/bot/v2/hook/(?P<token>[A-Za-z0-9_-]{1,128})")
    EXAMPLE = "https://open.feishu.cn/open-apis/bot/v2/hook/TOKEN"
    CODES = Codes(
        member=("code", "StatusCode"),
        text=("msg", "StatusMessage"),
        wait={11232: PAUSE_S, 11233: PAUSE_S},
        often=frozenset({9499}),
        again=frozenset({-1}),
        stale={19021: ""},  # the same text where the signature itself is wrong
        meanings={
            -1: "the platform is busy",
            9499: "the platform cannot read the message",
            11232: "too often",
            11233: "too often",
            19001: "there is no such bot",
            19002: "the platform cannot read the message",
            19021: "the signature does not match",
            19022: "the sender's address is not on the bot's list",
            19024: "the bot's keyword is missing",
            19036: "too long",
        },
    )

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports, ports.configure(LarkSettings), *_RATES)

    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """Text, or a card for Markdown: the platform has no plain form of it."""
        make = _card if post.markdown else _text
        tail = _mentions(post)
        room = room_for(_BODY_BYTES, make(post, ""), json_bytes(tail), _SIGNATURE_BYTES)
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
        return [make(post, text) for text in texts]

    def signed(
        self, url: str, body: dict[str, Any], secret: str, now_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """The signature goes into the body, with the time in seconds."""
        timestamp = now_ms // 1000
        return url, body | {"timestamp": str(timestamp), "sign": sign(timestamp, secret)}


def sign(timestamp: int, secret: str) -> str:
    """The signature: of nothing, with time and secret as the key."""
    digest = hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256)
    return base64.b64encode(digest).decode()


def _text(_: Post, text: str) -> dict[str, Any]:
    return {"msg_type": "text", "content": {"text": text}}


def _card(post: Post, text: str) -> dict[str, Any]:
    header: dict[str, Any] = {"title": {"tag": "plain_text", "content": post.title}}
    if post.color.lower() in _COLORS:
        header["template"] = post.color.lower()
    return {
        "msg_type": "interactive",
        "card": {"header": header, "elements": [{"tag": "markdown", "content": text}]},
    }


def _mentions(post: Post) -> str:
    """Tags of those who are mentioned and not yet in the text, on a line of their own."""
    form = "<at id={}></at>" if post.markdown else '<at user_id="{}"></at>'
    users = [user for user in post.at.users if _USER.fullmatch(user)][:_MENTIONS]
    if post.at.everyone:
        users.append("all")
    tags = [form.format(user) for user in users]
    missing = [tag for tag in tags if tag not in post.text]
    return "\n" + " ".join(missing) if missing else ""
