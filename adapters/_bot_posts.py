"""What a bot shows of a message, whatever the platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters._bot_fitting import begin, plain_bytes
from engine.models import Kind, Message

_TITLE_BYTES: Final = 512  # as a subject's; a longer title comes from an object's member

_TEXTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.CONFIRMATION: {
        "en": "You are invited to subscribe to {topic}. To confirm, open within 48 hours: {link}",
        "zh": "您被邀请订阅 {topic}。请在48小时内访问以下链接确认: {link}",
    },
    Kind.CANCELLATION: {
        "en": "You have left {topic}. To subscribe again, open within 48 hours: {link}",
        "zh": "您已退订 {topic}。如需重新订阅, 请在48小时内访问: {link}",
    },
    Kind.USER_CONFIRMATION: {
        "en": "To receive messages as the subscription user {topic}, open within 48 hours: {link}",
        "zh": "如需作为订阅用户 {topic} 接收消息, 请在48小时内访问: {link}",
    },
    Kind.USER_CANCELLATION: {
        "en": "You receive messages as the subscription user {topic}. To leave, open: {link}",
        "zh": "您已成为订阅用户 {topic}。如需取消, 请访问: {link}",
    },
}


@dataclass(frozen=True, slots=True)
class At:
    """Who is mentioned."""

    everyone: bool = False
    mobiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """A message as bots show it, whatever the platform.

    ``heading`` is what the publisher put above the text, if anything; ``title`` is for what
    cannot be without one.
    """

    message_id: str
    text: str
    heading: str = ""
    title: str = ""
    markdown: bool = False
    color: str = ""
    at: At = field(default_factory=At)
    merged: bool = False

    @property
    def headed(self) -> str:
        """The text below its heading."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def compose(message: Message, protocol: str) -> Post:
    """What a message shows: its object form, its text, or an invitation with its link."""
    topic = message.display_name or message.topic_name or message.topic_urn
    texts = _TEXTS.get(message.kind)
    if texts is not None:
        chosen = texts["zh" if message.locale.lower().startswith("zh") else "en"]
        text = chosen.format(topic=topic, link=message.link or "")
        return Post(message.id, text, title=_titled(topic))
    rich = message.rich(protocol)
    if rich is None:
        heading = message.subject or ""
        return Post(message.id, message.text(protocol), heading, _titled(heading or topic))
    heading = rich.get("title") or message.subject or ""
    at = rich.get("at") or {}
    return Post(
        message.id,
        rich["content"],
        _titled(heading),
        _titled(heading or topic),
        markdown=rich["msgType"] == "markdown",
        color=rich.get("color") or "",
        at=At(
            everyone=at.get("isAtAll", False),
            mobiles=tuple(at.get("atMobiles", ())),
            users=tuple(at.get("atUserIds", ())),
        ),
    )


def merged(posts: Sequence[Post]) -> Post:
    """All texts below their headings, a blank line between them, and all who are mentioned.

    It is Markdown if one of them is.
    """
    first = posts[0]
    return Post(
        first.message_id,
        "\n\n".join(post.headed for post in posts),
        title=first.title,
        markdown=any(post.markdown for post in posts),
        color=next((post.color for post in posts if post.color), ""),
        at=At(
            everyone=any(post.at.everyone for post in posts),
            mobiles=tuple(dict.fromkeys(n for post in posts for n in post.at.mobiles)),
            users=tuple(dict.fromkeys(n for post in posts for n in post.at.users)),
        ),
        merged=True,
    )


def _titled(text: str) -> str:
    """A title of at most a subject's length."""
    return text if plain_bytes(text) <= _TITLE_BYTES else begin(text, _TITLE_BYTES - 3) + "…"
