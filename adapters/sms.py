"""SMS: a stub. It checks numbers, counts parts, and writes to the outbox what it would send.

Numbers, parts and limits are the contract's (SMN "Restrictions on SMS", FAQ); what carries
the text to a phone is for another adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.models import (
    Delivered,
    Kind,
    Limits,
    Message,
    Outcome,
    Rejected,
    Subscription,
    Window,
)

if TYPE_CHECKING:
    from engine.ports import Ports

# Longer texts cannot be sent (SMN "Notes and Constraints").
_TEXT_LIMIT: Final = 1000

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR

# The GSM 7-bit default alphabet and the characters that take an escape before them
# (3GPP TS 23.038 §6.2.1 and §6.2.1.1).
_GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
# Units in a single message, and in each of several (the rest is the header that joins them).
_GSM_PART: Final = (160, 153)
_UNICODE_PART: Final = (70, 67)

_TEXTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.CONFIRMATION: {
        "en": "You are invited to subscribe to {topic}. To confirm, open within 48 hours: {link}",
        "zh": "您被邀请订阅 {topic}。请在48小时内访问以下链接确认: {link}",
    },
    Kind.CANCELLATION: {
        "en": "You have left {topic}. To subscribe again, open within 48 hours: {link}",
        "zh": "您已退订 {topic}。如需重新订阅, 请在48小时内访问: {link}",
    },
}


@dataclass(frozen=True, slots=True)
class Text:
    """One message as an SMS."""

    message_id: str
    kind: Kind
    text: str
    parts: int


class SmsAdapter:
    """Speaks ``sms`` to the outbox."""

    protocols = ("sms",)
    limits = Limits(
        confirm=True,
        confirmations=(Window(10, _HOUR, _HOUR), Window(20, 2 * _DAY, 7 * _DAY)),
    )
    notice = "SMS is a stub: nothing is sent; what would be is in the outbox (tocsin outbox)."

    def __init__(self, ports: Ports) -> None:
        self._outbox = ports.outbox

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Nothing to narrow: any number may be tried."""

    def prepare(self, subscription: Subscription) -> str:
        """The number as it was given: national numbers stay national."""
        return subscription.endpoint

    def render(self, message: Message, protocol: str) -> Text:
        """The text, without subject or unsubscribe link, as the contract wants it."""
        texts = _TEXTS.get(message.kind)
        if texts is None or not message.link:
            # An invitation without a link is the text that holds its code.
            text = message.text(protocol)
        else:
            chosen = texts["zh" if message.locale.lower().startswith("zh") else "en"]
            topic = message.display_name or message.topic_name or message.topic_urn
            text = chosen.format(topic=topic, link=message.link or "")
        return Text(message.id, message.kind, text, count_parts(text))

    def size(self, content: Text) -> int:
        """Bytes of the text."""
        return len(content.text.encode())

    async def send(self, content: Text, prepared: str) -> Outcome:
        """Put it in the outbox; longer than 1,000 characters cannot be sent."""
        if len(content.text) > _TEXT_LIMIT:
            return Rejected(f"the text is longer than {_TEXT_LIMIT} characters")
        fields = {
            "number": prepared,
            "text": content.text,
            "parts": content.parts,
            "kind": content.kind.value,
            "message_id": content.message_id,
        }
        await self._outbox.put("sms", prepared, fields)
        return Delivered()

    async def close(self) -> None:
        """Nothing to release."""


def count_parts(text: str) -> int:
    """How many messages the text takes, as carriers count and bill them."""
    if all(character in _GSM_BASIC or character in _GSM_EXTENDED for character in text):
        single, several = _GSM_PART
        units = [2 if character in _GSM_EXTENDED else 1 for character in text]
    else:
        single, several = _UNICODE_PART
        units = [2 if ord(character) > 0xFFFF else 1 for character in text]
    if sum(units) <= single:
        return 1
    parts, room = 1, several
    for unit in units:
        # Neither an escape sequence nor a surrogate pair is split between two parts.
        if unit > room:
            parts, room = parts + 1, several
        room -= unit
    return parts
