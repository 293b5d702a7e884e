"""What mails say in words of our own, in English and Chinese, and how they look.

The layout is a table with the styles beside the elements: mail programs know little else. A
style sheet only adds what some of them understand, dark colours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from string import Template
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.models import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.models import Message

CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What has no place in a line of text."""
USERS: Final = {Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION}
"""Kinds that go to subscription users, whom no topic invites."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A mail with one link that does something."""

    subject: str
    text: str
    button: str
    hint: str


class Ends(NamedTuple):
    """What follows a message: text and HTML, each split where the unsubscribe link goes."""

    text: tuple[str, str]
    html: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What is said around one message; ``subject`` is for one that has none."""

    language: str
    topic: str
    subject: str
    footer: Ends
    invitation: Invitation | None


_FOOTER: Final = {
    "en": ("You receive this because you subscribed to {topic}.", "Unsubscribe"),
    "zh": ("您收到此邮件，是因为您订阅了 {topic}。", "取消订阅"),  # noqa: RUF001 - Chinese
}
_HOURS: Final = {
    "en": "The link is valid for 48 hours.",
    "zh": "此链接 48 小时内有效。",
}
_UNEXPECTED: Final = {
    "en": "If you did not expect this, ignore it and you will get nothing more.",
    "zh": "如果这不是您本人的操作，请忽略此邮件，您将不会收到其他消息。",  # noqa: RUF001 - Chinese
}
_CONFIRM: Final = {
    "en": Invitation(
        "Confirm your subscription to {topic}",
        "You are invited to subscribe to {topic}. To receive its messages, confirm:",
        "Confirm subscription",
        f"{_HOURS['en']} {_UNEXPECTED['en']}",
    ),
    "zh": Invitation(
        "请确认订阅 {topic}",
        "您被邀请订阅 {topic}。如需接收该主题的消息，请确认：",  # noqa: RUF001 - Chinese
        "确认订阅",
        f"{_HOURS['zh']}{_UNEXPECTED['zh']}",
    ),
}
_LEFT: Final = {
    "en": Invitation(
        "You have unsubscribed from {topic}",
        "You will receive no more messages of {topic}. If this was a mistake, subscribe again:",
        "Subscribe again",
        _HOURS["en"],
    ),
    "zh": Invitation(
        "您已取消订阅 {topic}",
        "您将不再收到 {topic} 的消息。如果操作有误，可以重新订阅：",  # noqa: RUF001 - Chinese
        "重新订阅",
        _HOURS["zh"],
    ),
}
_JOIN: Final = {
    "en": Invitation(
        "Confirm that you want to receive messages as {topic}",
        "To receive messages as the subscription user {topic}, confirm:",
        "Confirm",
        f"{_HOURS['en']} {_UNEXPECTED['en']}",
    ),
    "zh": Invitation(
        "请确认作为 {topic} 接收消息",
        "如需作为订阅用户 {topic} 接收消息，请确认：",  # noqa: RUF001 - Chinese
        "确认",
        f"{_HOURS['zh']}{_UNEXPECTED['zh']}",
    ),
}
_JOINED: Final = {
    "en": Invitation(
        "You receive messages as {topic}",
        "You receive messages as the subscription user {topic}. You may leave at any time:",
        "Leave",
        "Keep this mail as long as you want to be able to leave.",
    ),
    "zh": Invitation(
        "您将作为 {topic} 接收消息",
        "您已成为订阅用户 {topic}。您可以随时退出：",  # noqa: RUF001 - Chinese punctuation
        "退出",
        "请保留此邮件，以便日后退出。",  # noqa: RUF001 - Chinese punctuation
    ),
}
_INVITATIONS: Final[Mapping[Kind, Mapping[str, Invitation]]] = {
    Kind.CONFIRMATION: _CONFIRM,
    Kind.CANCELLATION: _LEFT,
    Kind.USER_CONFIRMATION: _JOIN,
    Kind.USER_CANCELLATION: _JOINED,
}

END: Final = "</td></tr></table>\n</td></tr></table>\n</body>\n</html>\n"
"""The end of an HTML mail."""

_FONT: Final = (
    "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'PingFang SC',"
    "'Microsoft YaHei',sans-serif"
)
_PAGE: Final = Template(f"""<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>$title</title>
<style>
@media (prefers-color-scheme: dark) {{
  .paper, body {{ background: #16181c !important; }}
  .card {{ background: #22252b !important; border-color: #383c44 !important; }}
  .ink {{ color: #eceef1 !important; }}
  .faint, .faint a {{ color: #a3a9b3 !important; }}
}}
</style>
</head>
<body style="margin:0;padding:0;background:#f3f4f6">
<table role="presentation" class="paper" width="100%" cellpadding="0" cellspacing="0" \
style="background:#f3f4f6">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" \
style="max-width:600px;{_FONT}">
<tr><td class="faint" style="padding:0 4px 10px;font-size:14px;line-height:20px;color:#5d6470;\
word-break:break-word">$topic</td></tr>
<tr><td class="card ink" style="padding:28px 24px;background:#ffffff;border:1px solid #e2e5ea;\
border-radius:10px;font-size:16px;line-height:25px;color:#1c2128;word-break:break-word">
$body
</td></tr>
<tr><td class="faint" style="padding:14px 4px 0;font-size:13px;line-height:20px;color:#5d6470;\
word-break:break-word">""")
_TITLE: Final = '<div style="font-size:21px;line-height:28px;font-weight:600;margin:0 0 14px">'
_BUTTON: Final = (
    '<a href="{link}" style="display:inline-block;padding:12px 22px;background:#1f5fbf;'
    'border-radius:7px;color:#ffffff;font-weight:600;text-decoration:none">{label}</a>'
)


def words(message: Message, language: str) -> Words:
    """The words around a message, in its own language if it has one."""
    locale = message.locale.lower() or language
    chosen = "zh" if locale.startswith("zh") else "en"
    topic = message.display_name or message.topic_name or message.topic_urn.rpartition(":")[2]
    topic = CONTROLS.sub(" ", topic)
    reason, leave = _FOOTER[chosen]
    reason = reason.format(topic=topic)
    colon = "：" if chosen == "zh" else ": "  # noqa: RUF001 - Chinese punctuation
    invitation = _INVITATIONS.get(message.kind, {}).get(chosen)
    return Words(
        language=chosen,
        topic=topic,
        subject=topic,
        footer=Ends(
            (f"\n-- \n{reason}\n{leave}{colon}", "\n"),
            (
                f'{escape(reason)}<br><a style="color:#5d6470" href="',
                f'">{escape(leave)}</a>{END}',
            ),
        ),
        invitation=None if invitation is None else _about(invitation, topic),
    )


def html_message(title: str, paragraph: str) -> str:
    """The body of a message, whose ``paragraph`` is HTML, below its title."""
    head = f"{_TITLE}{escape(title)}</div>\n" if title else ""
    return f'{head}<div style="white-space:pre-wrap">{paragraph}</div>'


def html_invitation(invitation: Invitation, link: str) -> str:
    """The body of a mail with one link: as a button, and to be read and copied."""
    shown = escape(link)
    button = _BUTTON.format(link=shown, label=escape(invitation.button))
    return (
        f"{_TITLE}{escape(invitation.subject)}</div>\n"
        f'<p style="margin:0 0 20px">{escape(invitation.text)}</p>\n'
        f'<p style="margin:0 0 20px">{button}</p>\n'
        f'<p class="faint" style="margin:0;font-size:13px;line-height:20px;color:#5d6470">'
        f"{escape(invitation.hint)}<br><br>"
        f'<a href="{shown}" style="color:#5d6470;word-break:break-all">{shown}</a></p>'
    )


def html_page(title: str, topic: str, body: str, language: str) -> str:
    """A mail up to where the footer begins; all arguments are HTML."""
    return _PAGE.substitute(language=language, title=title, topic=topic, body=body)


def _about(invitation: Invitation, topic: str) -> Invitation:
    return Invitation(
        invitation.subject.format(topic=topic),
        invitation.text.format(topic=topic),
        invitation.button,
        invitation.hint,
    )
