"""SMS: to the outbox until a gateway or a link to a carrier is configured.

Parts, lengths and reserved brackets are the contract's (SMN "Restrictions on SMS", FAQ), looked
at here and not when a message is accepted, since most messages go to other protocols as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import Field

from adapters import _parts
from adapters._http_gateway import HttpGateway, HttpGatewaySettings
from adapters._phone import BRACKETS, Language, own_text
from adapters._smpp_settings import SmppSettings
from engine.errors import ConfigurationError
from engine.models import Delivered, Limits, Message, Outcome, Rejected, Subscription, Window
from engine.ports import PlainAdapter

if TYPE_CHECKING:
    from engine.ports import Outbox, Ports

# What the contract lets publishers count on, and what no carrier takes (SMN "Notes and
# Constraints"). Both count the signature.
_SAFE_LIMIT: Final = 490
_TEXT_LIMIT: Final = 1000

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


class SmsSettings(SmppSettings, HttpGatewaySettings):
    """Where SMS go and which rules hold for them."""

    url: str = Field(
        "",
        description="`https://…` of a gateway, `smpp://system_id@host:port` or `smpps://…` of an"
        " SMPP link; default: nothing is sent, the outbox takes it",
    )
    signature: str = Field(
        "",
        max_length=32,
        pattern=f"^[^{BRACKETS[:2]}\\[\\]]*$",
        description="name that stands before each text as `【name】`",
    )
    brackets: Literal["reject", "allow"] = Field(
        "reject", description="what becomes of texts with `【`, `】`, `[` or `]`"
    )
    long: Literal["send", "cut", "reject"] = Field(
        "send", description="what becomes of texts longer than 490 characters; over 1,000 none go"
    )
    language: Language = Field(
        "en", description="`en` or `zh`: of invitations that name no language"
    )


class Form(Protocol):
    """One message as a carrier sends it, shared by all recipients."""

    @property
    def size(self) -> int:
        """Bytes that one send takes."""
        ...


class Carrier(Protocol):
    """A way that texts take."""

    def render(self, message: Message, text: str) -> Form:
        """What all recipients share."""
        ...

    async def send(self, form: Any, number: str) -> Outcome:  # noqa: ANN401 - its own form
        """One attempt."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A text that no carrier is given, and why."""

    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What the outbox shows, but for the number."""

    fields: Mapping[str, object]
    size: int


class ToOutbox:
    """Keeps for the operator to see what would be sent."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def render(self, message: Message, text: str) -> Entry:
        """The text and its parts."""
        fields = {
            "text": text,
            "parts": _parts.count(text),
            "kind": message.kind.value,
            "message_id": message.id,
        }
        return Entry(fields, len(text.encode()))

    async def send(self, form: Entry, number: str) -> Outcome:
        """Put it there."""
        await self._outbox.put("sms", number, {"number": number, **form.fields})
        return Delivered()

    async def close(self) -> None:
        """Nothing to release."""


class SmsAdapter(PlainAdapter):
    """Speaks ``sms``."""

    protocols = ("sms",)
    limits = Limits(
        confirm=True,
        confirmations=(Window(10, _HOUR, _HOUR), Window(20, 2 * _DAY, 7 * _DAY)),
    )

    def __init__(self, ports: Ports) -> None:
        self._settings = ports.configure(SmsSettings)
        self._carrier = _carrier(self._settings, ports)
        if not self._settings.url:
            self.notice = (
                "SMS is a stub: nothing is sent; what would be is in the outbox (tocsin outbox)."
            )

    def prepare(self, subscription: Subscription) -> str:
        """The number as it was given: national numbers stay national."""
        return subscription.endpoint

    def render(self, message: Message, protocol: str) -> Form:
        """The text, without subject or unsubscribe link, as the contract wants it."""
        settings = self._settings
        own = own_text(message, settings.language)
        text = message.text(protocol) if own is None else own
        fault = ""
        if own is None and settings.brackets == "reject" and set(text) & set(BRACKETS):
            fault = f"the text has one of {BRACKETS}, which are reserved for signatures"
        if settings.signature:
            text = f"【{settings.signature}】{text}"
        # An invitation that is cut has no link any more.
        limit = _TEXT_LIMIT if own is not None or settings.long == "send" else _SAFE_LIMIT
        if settings.long == "cut" and own is None:
            text = text[:limit]
        if len(text) > limit:
            fault = fault or f"the text is longer than {limit} characters"
        if fault:
            return Unsendable(fault, len(text.encode()))
        return self._carrier.render(message, text)

    def size(self, content: Form) -> int:
        """Bytes of one request."""
        return content.size

    async def send(self, content: Form, prepared: str) -> Outcome:
        """Hand it to the carrier, if it can be sent."""
        if isinstance(content, Unsendable):
            return Rejected(content.reason)
        return await self._carrier.send(content, prepared)

    async def close(self) -> None:
        """Release the carrier's connections."""
        await self._carrier.close()


def _carrier(settings: SmsSettings, ports: Ports) -> Carrier:
    """The carrier that the URL names."""
    if not settings.url:
        return ToOutbox(ports.outbox)
    if urlsplit(settings.url).scheme in {"smpp", "smpps"}:
        from adapters._smpp import SmppLink  # noqa: PLC0415 - its library is for links alone

        return SmppLink(settings, ports.clock, ports.trace)
    if not settings.speaks_http:
        raise ConfigurationError("Setting 'adapters.sms.url' is no URL of HTTP or SMPP.")
    return HttpGateway(settings, ports.gateway, ports.clock)
