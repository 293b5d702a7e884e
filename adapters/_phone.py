"""What SMS and voice have in common: numbers, and words of our own in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from engine.models import Kind, Message

Language = Literal["en", "zh"]


class _Words(NamedTuple):
    """One text for those who are sent a link, one for those who are sent a code.

    Nobody types a link that was read out: what else there is to say is ``spoken``.
    """

    link: str
    code: str = ""
    spoken: str = ""


_TEXTS: Final[Mapping[Kind, Mapping[Language, _Words]]] = {
    Kind.CONFIRMATION: {
        "en": _Words(
            "You are invited to subscribe to {name}. To confirm, open within 48 hours: {link}",
            "{code} is your code to subscribe to {name}. It is valid for 48 hours.",
        ),
        "zh": _Words(
            "您被邀请订阅 {name}。请在48小时内访问以下链接确认: {link}",
            "{code} 是您订阅 {name} 的验证码, 48小时内有效。",
        ),
    },
    Kind.CANCELLATION: {
        "en": _Words(
            "You have left {name}. To subscribe again, open within 48 hours: {link}",
            spoken="You have left {name}.",
        ),
        "zh": _Words(
            "您已退订 {name}。如需重新订阅, 请在48小时内访问: {link}",
            spoken="您已退订 {name}。",
        ),
    },
    Kind.USER_CONFIRMATION: {
        "en": _Words(
            "To receive messages as the subscription user {name}, open within 48 hours: {link}",
            "{code} is your code to receive messages as the subscription user {name}."
            " It is valid for 48 hours.",
        ),
        "zh": _Words(
            "如需作为订阅用户 {name} 接收消息, 请在48小时内访问: {link}",
            "{code} 是您作为订阅用户 {name} 接收消息的验证码, 48小时内有效。",
        ),
    },
    Kind.USER_CANCELLATION: {
        "en": _Words(
            "You receive messages as the subscription user {name}. To leave, open: {link}",
            spoken="You receive messages as the subscription user {name}.",
        ),
        "zh": _Words(
            "您已成为订阅用户 {name}。如需取消, 请访问: {link}",
            spoken="您已成为订阅用户 {name}。",
        ),
    },
}
# Reserved for the signature (SMN "Publishing a Message"): a name must not pretend to be one.
BRACKETS: Final = "【】[]"
_ROUND: Final = str.maketrans(BRACKETS, "()()")
# A link of 300 characters and the words around it must still fit into a text that is sent.
_NAME_LIMIT: Final = 64


def own_text(message: Message, language: Language, *, spoken: bool = False) -> str | None:
    """What an invitation or a farewell says; None for a message that says itself what it is.

    In the message's language if it has one, else in ``language``. What is ``spoken``
    names no link, and a code's digits are set apart, so that they are read one by one.
    """
    texts = _TEXTS.get(message.kind)
    if texts is None:
        return None
    locale = message.locale.lower() or language
    words = texts["zh" if locale.startswith("zh") else "en"]
    name = topic_name(message)
    if spoken and words.spoken:
        return words.spoken.format(name=name)
    if message.link:
        return words.link.format(name=name, link=message.link)
    if message.code and words.code:
        code = ", ".join(message.code) if spoken else message.code
        return words.code.format(name=name, code=code)
    return None


def topic_name(message: Message) -> str:
    """What people know the topic, or the subscription user, by."""
    name = message.display_name or message.topic_name or message.topic_urn.rpartition(":")[2]
    return name.translate(_ROUND)[:_NAME_LIMIT]


def digits(number: str) -> str:
    """The number without its plus sign."""
    return number.removeprefix("+")
