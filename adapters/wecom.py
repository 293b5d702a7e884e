"""WeCom's group bots: protocol ``wechat``.

Bodies, sizes, codes and the rate are those of WeCom's guide to group robots. The key in the URL
is the bot's only credential.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from adapters._bot_codes import PAUSE_S, Codes
from adapters._bot_fitting import fit, plain_bytes
from adapters._bot_posts import Post
from adapters._bot_settings import WebhookSettings
from adapters._bot_webhooks import WebhookBot
from engine.models import Rate

if TYPE_CHECKING:
    from engine.ports import Ports

_RATES: Final = (Rate(20, 60, 5),)
_TEXT_BYTES: Final = 2048
_MARKDOWN_BYTES: Final = 4096
_MENTIONS: Final = 100
"""Members mentioned by a message; the platform names no limit, and its texts are short."""
_USER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


class WecomSettings(WebhookSettings):
    """Settings of WeCom's bots."""


class WecomAdapter(WebhookBot):
    """Speaks ``wechat``."""

    protocols = ("wechat",)

    OFFICIAL = ("https://qyapi.weixin.qq.com",)
    PATH = re.compile(r"/cgi-bin/webhook/send\?key=(?P<token>[A-Za-z0-9._~-]{1,128})")
    DIGEST_BYTES = _TEXT_BYTES
    EXAMPLE = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=KEY"
    CODES = Codes(
        member=("errcode",),
        text=("errmsg",),
        wait={45009: PAUSE_S},
        again=frozenset({-1}),
        meanings={
            -1: "the platform is busy",
            45009: "too often",
            93000: "there is no such bot",
            40008: "message type not supported",
            40058: "the platform does not take the message",
            45002: "too long",
            44004: "nothing in it",
        },
    )

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports, ports.configure(WecomSettings), *_RATES)

    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """Text with mentioned members beside it, or Markdown with them in it."""
        at, pieces = post.at, self._settings.pieces
        users = [user for user in at.users if _USER.fullmatch(user)][:_MENTIONS]
        if post.markdown:
            missing = [f"<@{user}>" for user in users if f"<@{user}>" not in post.text]
            tail = _fitting(missing, _MARKDOWN_BYTES // 2)
            texts = fit(post.headed, _MARKDOWN_BYTES, pieces=pieces, keyword=keyword, tail=tail)
            return [{"msgtype": "markdown", "markdown": {"content": text}} for text in texts]
        texts = fit(post.headed, _TEXT_BYTES, pieces=pieces, keyword=keyword)
        found: list[dict[str, Any]] = [
            {"msgtype": "text", "text": {"content": text}} for text in texts
        ]
        everyone = ["@all"] if at.everyone else []
        # With the first part alone: nobody is to be called several times.
        if everyone or users:
            found[0]["text"]["mentioned_list"] = [*users, *everyone]
        if at.mobiles:
            found[0]["text"]["mentioned_mobile_list"] = list(at.mobiles[:_MENTIONS])
        return found


def _fitting(mentions: list[str], room: int) -> str:
    """As many mentions as fit, on a line of their own."""
    line = ""
    for mention in mentions:
        longer = f"{line} {mention}" if line else f"\n{mention}"
        if plain_bytes(longer) > room:
            break
        line = longer
    return line
