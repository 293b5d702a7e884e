"""Mail: messages as text and HTML by the operator's relays, or to the outbox without one.

The reply of a relay decides: 4xx is tried again, 5xx is not (RFC 5321 §4.2.1). What a relay
refuses because of our own settings says nothing about the mail and is tried again, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from adapters import _mail, _relays
from adapters._answers import snippet
from adapters._dkim import DkimSigner
from adapters._mail import Mail, Own
from adapters._relay_faults import ENHANCED, Busy, Unavailable, Uncertain
from adapters._relays import Reply
from engine.adapter_settings import AdapterSettings
from engine.errors import ConfigurationError
from engine.models import (
    Delivered,
    Limits,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
    Window,
)
from engine.ports import PlainAdapter

if TYPE_CHECKING:
    from engine.ports import Ports

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
# To, Message-ID, links and footers of one mail, beside what is shared.
_OWN_BYTES: Final = 2048
# What could end a command or a header, or leave the angle brackets, is in no address.
_ADDRESS: Final = r"[!#-'*+\-/-9=?A-Z^-~.]+@[A-Za-z0-9.-]+"
_RECIPIENT: Final = re.compile(_ADDRESS)
# A server that asks to come back later means it: sooner is a wasted try.
_GREYLIST_MS: Final = 60_000
_DELIVERED: Final = Delivered(250)

# RFC 3463 §3, as far as it tells more than the code.
_DETAILS: Final[Mapping[str, str]] = {
    "1.1": "no such mailbox",
    "1.2": "no such domain",
    "1.3": "not a mail address",
    "1.6": "the mailbox has moved",
    "1.8": "the sender's domain is unknown",
    "1.10": "the domain takes no mail",
    "2.1": "the mailbox is disabled",
    "2.2": "the mailbox is full",
    "2.3": "the mail is too large for the mailbox",
    "3.4": "the mail is too large",
    "4.4": "the domain cannot be reached",
    "4.6": "the mail loops",
    "7.0": "refused by policy",
    "7.1": "refused by policy",
    "7.23": "refused by policy: SPF",
    "7.20": "refused by policy: DKIM",
    "7.25": "refused by policy: reverse DNS",
    "7.26": "refused by policy: authentication of the sender",
}


class Tls(StrEnum):
    """How a connection to a relay is encrypted."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


_PORTS: Final = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}


class Relay(BaseModel):
    """A relay; certificates are always checked, by the system's authorities or ``ca_file``.

    ``timeout`` is for connecting, and then for each half of a mail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(0, ge=0, le=65_535)
    tls: Tls = Tls.STARTTLS
    username: str = ""
    password: SecretStr = SecretStr("")
    connections: int = Field(8, ge=1, le=1000)
    ca_file: Path | None = None
    timeout: float = Field(30.0, gt=0, le=600)

    @field_validator("host")
    @classmethod
    def _can_be_looked_up(cls, host: str) -> str:
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ValueError("not a host name") from error
        return host

    @model_validator(mode="after")
    def _password_is_encrypted(self) -> Self:
        if self.username and self.tls is Tls.NONE:
            raise ValueError("a password is sent only with tls 'starttls' or 'implicit'")
        return self


class SmtpSettings(AdapterSettings):
    """Relays, and what mails say of their sender."""

    relays: tuple[Relay, ...] = Field(
        (), description="mail relays, the first that is up is used; see above"
    )
    sender: str = Field("", pattern=rf"^({_ADDRESS})?$", description="address that mails come from")
    message_id_domain: str = Field(
        "", pattern=r"^[A-Za-z0-9.-]*$", description="right side of Message-IDs; default: sender's"
    )
    ehlo: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.:\[\]-]*$",
        description="name given to relays; default: the host's",
    )
    language: str = Field(
        "en", pattern="^(en|zh)$", description="of confirmations and footers: `en` or `zh`"
    )

    dkim_domain: str = Field(
        "", pattern=r"^[A-Za-z0-9.-]*$", description="signs mails with DKIM; needs `tocsin[dkim]`"
    )
    dkim_selector: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]*$", description="names the key in the domain's DNS"
    )
    dkim_key_file: Path | None = Field(None, description="the private key, RSA in PEM")

    @model_validator(mode="after")
    def _signatures_are_whole(self) -> Self:
        given = (self.dkim_domain, self.dkim_selector, self.dkim_key_file)
        if any(given) and not all(given):
            raise ValueError("'dkim_domain', 'dkim_selector' and 'dkim_key_file' go together")
        return self

    @model_validator(mode="after")
    def _sender_is_known(self) -> Self:
        if self.relays and not self.sender:
            raise ValueError("'sender' is needed with relays")
        return self


class SmtpAdapter(PlainAdapter):
    """Speaks ``email``."""

    protocols = ("email",)
    limits = Limits(
        max_bytes=262_144,
        confirm=True,
        confirmations=(Window(20, _HOUR, _HOUR), Window(40, 2 * _DAY, 7 * _DAY)),
    )

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._links = ports.links
        self._outbox = ports.outbox
        settings = ports.configure(SmtpSettings)
        self._language = settings.language
        self._sender = settings.sender or "noreply@localhost"
        self._domain = settings.message_id_domain or self._sender.partition("@")[2]
        self._signer: DkimSigner | None = None
        if settings.dkim_key_file is not None:
            self._signer = DkimSigner(
                settings.dkim_domain, settings.dkim_selector, settings.dkim_key_file
            )
        relays = [_address(relay, settings.ehlo) for relay in settings.relays]
        self._relays = _relays.Relays(relays, ports.trace) if relays else None
        if not relays:
            self.notice = (
                "No mail relay is set (TOCSIN_SMTP_RELAYS): mails are not sent;"
                " what would be is in the outbox (tocsin outbox)."
            )

    def prepare(self, subscription: Subscription) -> Own:
        """Make the link, once per cached page."""
        link = self._links.unsubscribe(subscription)
        return Own(subscription.endpoint, subscription.id, link)

    def render(self, message: Message, protocol: str) -> Mail:
        """All of the mail that its recipients share."""
        return _mail.compose(message, protocol, self._sender, self._language)

    def size(self, content: Mail) -> int:
        """Bytes of one mail, or of one entry of the outbox."""
        if self._relays is None:
            return len(content.text.encode("utf-8", "replace")) + _OWN_BYTES
        return content.size + _OWN_BYTES

    async def send(self, content: Mail, prepared: Own) -> Outcome:
        """Hand one mail to a relay and judge the reply."""
        if not _RECIPIENT.fullmatch(prepared.address):
            return Rejected("not a mail address")
        if self._relays is None:
            await self._keep(content, prepared)
            return Delivered()
        return await self._hand_over(self._relays, content, prepared)

    async def _hand_over(self, relays: _relays.Relays, content: Mail, own: Own) -> Outcome:
        # The same for every try: receivers find repeats by it.
        data = content.to(own, f"{content.id}.{own.subscription_id}@{self._domain}")
        if self._signer is not None:
            data = await self._signer.sign(data)
        envelope = _relays.Envelope(
            sender=self._sender.encode(),
            recipient=own.address.encode(),
            data=_relays.stuffed(data),
        )
        try:
            reply = await relays.send(envelope)
        except Busy as busy:
            return Throttled(self._clock.now_ms() + int(busy.wait_s * 1000) + 1, str(busy))
        except Uncertain as error:
            return Retry(f"{error} after the mail was handed over; it may have arrived")
        except Unavailable as error:
            return Retry(str(error))
        return judge(reply)

    async def close(self) -> None:
        """Say goodbye to the relays."""
        if self._signer is not None:
            self._signer.close()
        if self._relays is not None:
            await self._relays.close()

    async def _keep(self, content: Mail, own: Own) -> None:
        fields: dict[str, object] = {
            "from": self._sender,
            "to": own.address,
            "subject": content.subject,
            "text": content.text,
            "kind": content.kind.value,
            "message_id": content.id,
        }
        if content.linked:
            fields["unsubscribe_url"] = own.link
        await self._outbox.put("email", own.address, fields)


def judge(reply: Reply) -> Outcome:
    """What a relay's reply to a mail means."""
    command, code, text = reply
    if command == "content" and 200 <= code < 300:
        return _DELIVERED if code == 250 else Delivered(code)
    enhanced = ENHANCED.match(text)
    detail = enhanced[2] if enhanced else ""
    status = f"SMTP {code} {enhanced[0]}" if enhanced else f"SMTP {code}"
    words = _DETAILS.get(detail, "")
    reason = f"{status}: {words}" if words else status
    answer = snippet(text.encode(errors="replace"))
    if 500 <= code < 600:
        return Rejected(reason, code, answer)
    greylisted = code in {450, 451} and (detail.startswith("7.") or "grey" in text.lower())
    return Retry(reason, code, _GREYLIST_MS if greylisted else 0, answer)


def _address(relay: Relay, ehlo: str) -> _relays.Address:
    try:
        tls = None if relay.tls is Tls.NONE else _relays.trusting(relay.ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"Setting 'adapters.smtp.relays': {relay.ca_file} holds no certificates."
        ) from error
    return _relays.Address(
        host=relay.host,
        port=relay.port or _PORTS[relay.tls],
        tls=tls,
        implicit=relay.tls is Tls.IMPLICIT,
        username=relay.username,
        password=relay.password.get_secret_value(),
        connections=relay.connections,
        timeout_s=relay.timeout,
        ehlo=ehlo,
    )
