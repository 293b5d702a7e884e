"""HTTP and HTTPS subscribers: signed JSON by POST (SMN "HTTP or HTTPS Message Format").

The body is built and signed once per message; a delivery only puts the subscription's own
unsubscribe link, which the signature does not cover, between two ready pieces of bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final, NamedTuple

from adapters._answers import DELIVERED, judge, timestamp
from engine.models import (
    Kind,
    Limits,
    Message,
    Outcome,
    Subscription,
    Window,
)
from engine.ports import PlainAdapter, TransportError

if TYPE_CHECKING:
    from engine.ports import Ports

_TYPES: Final[Mapping[Kind, str]] = {
    Kind.NOTIFICATION: "Notification",
    Kind.DIRECT: "Notification",
    Kind.CONFIRMATION: "SubscriptionConfirmation",
    Kind.CANCELLATION: "UnsubscribeConfirmation",
    Kind.DETECTION: "Detection",
    Kind.USER_CONFIRMATION: "HttpSubscriptionUserConfirm",
    Kind.USER_CANCELLATION: "HttpSubscriptionUserUnsubscribe",
}
# The unsubscribe link, kept as JSON text, is as long as this or a little less.
_LINK_BYTES: Final = 512

_INVITATION: Final = (
    "You are invited to subscribe to topic {urn}. To confirm, open subscribe_url within 48 hours."
)
_FAREWELL: Final = (
    "You have cancelled your subscription to topic {urn}."
    " To subscribe again, open subscribe_url within 48 hours."
)
_TEXTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.CONFIRMATION: {
        "en": _INVITATION,
        "zh": "您被邀请订阅主题 {urn}。请在48小时内访问 subscribe_url 确认订阅。",
    },
    Kind.CANCELLATION: {
        "en": _FAREWELL,
        "zh": "您已取消订阅主题 {urn}。如需重新订阅,请在48小时内访问 subscribe_url。",
    },
    Kind.USER_CONFIRMATION: {
        "en": "To receive messages as the subscription user {name},"
        " open subscribe_url within 48 hours.",
        "zh": "如需作为订阅用户 {name} 接收消息,请在48小时内访问 subscribe_url。",
    },
    Kind.USER_CANCELLATION: {
        "en": "You receive messages as the subscription user {name}."
        " To leave, open unsubscribe_url.",
        "zh": "您已成为订阅用户 {name}。如需取消,请访问 unsubscribe_url。",
    },
}
# To subscription users, whom no topic invites: their messages name none.
_USERS: Final = {Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION}


@dataclass(frozen=True, slots=True)
class Content:
    """A message on the wire, but for what is a subscription's own.

    With ``linked`` the body is prefix, link, suffix, and the headers name the subscription
    and carry its custom ones; ``named`` is for the name alone, ``custom`` for the others.
    """

    prefix: bytes
    suffix: bytes
    headers: Mapping[str, str]
    linked: bool
    named: bool
    custom: bool = False


class Target(NamedTuple):
    """What is a subscription's own: the parsed URL, its headers, its link as JSON text."""

    url: object
    named: Mapping[str, str]
    headers: Mapping[str, str]
    link: bytes


class WebhookAdapter(PlainAdapter):
    """Speaks ``http`` and ``https``."""

    protocols = ("http", "https")
    # No penalty: further invitations wait for the window's end (SMN "Traffic Control over
    # Subscription Confirmation").
    limits = Limits(max_bytes=262_144, confirm=True, confirmations=(Window(200, 600, 0),))

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._guard = ports.guard
        self._links = ports.links
        self._signer = ports.signer
        self._transport = ports.transport
        self._post = ports.transport.post

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Code: SMN.0069 for an internal address. URL and headers have been checked."""
        del protocol, extension
        await self._guard.check_host(endpoint)

    def prepare(self, subscription: Subscription) -> Target:
        """Parse the URL and make the link, once per cached page."""
        named = {"X-SMN-SUBSCRIPTION-URN": subscription.urn}
        custom = _custom_headers(subscription)
        link = self._links.unsubscribe(subscription)
        return Target(
            url=self._transport.parse(subscription.endpoint),
            named=named,
            headers=named | custom if custom else named,
            link=encode_basestring_ascii(link)[1:-1].encode(),
        )

    def render(self, message: Message, protocol: str) -> Content:
        """Build and sign the body."""
        kind = message.kind
        linked = kind in {Kind.NOTIFICATION, Kind.DIRECT}
        signed = self._signed_fields(message, protocol)
        text = string_to_sign(sorted(signed.items()))
        fields = signed | {
            "signature": self._signer.sign(text),
            "signature_version": "v1",
            "signing_cert_url": self._signer.certificate_url,
        }
        if kind is Kind.USER_CANCELLATION:
            fields["unsubscribe_url"] = message.link or ""
        body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json;charset=UTF-8",
            "X-SMN-MESSAGE-TYPE": signed["type"],
            "X-SMN-MESSAGE-ID": message.id,
        }
        if kind not in _USERS:
            headers["X-SMN-TOPIC-URN"] = message.topic_urn
        return Content(
            prefix=body[:-1] + b',"unsubscribe_url":"' if linked else body,
            suffix=b'"}' if linked else b"",
            headers=headers,
            linked=linked,
            named=kind is Kind.CANCELLATION,
            custom=kind is Kind.DETECTION,
        )

    def size(self, content: Content) -> int:
        """Bytes of one body."""
        return len(content.prefix) + len(content.suffix) + (_LINK_BYTES if content.linked else 0)

    async def send(self, content: Content, prepared: Target) -> Outcome:
        """POST once and judge the answer."""
        body = content.prefix
        headers = content.headers
        if content.linked:
            body = b"".join((body, prepared.link, content.suffix))
            headers = {**headers, **prepared.headers}
        elif content.named:
            headers = {**headers, **prepared.named}
        elif content.custom:
            own = prepared.headers.items() - prepared.named.items()
            headers = {**headers, **dict(own)}
        try:
            answer = await self._post(prepared.url, headers, body)
        except TransportError as error:
            return error.outcome
        delivered = DELIVERED.get(answer.status)
        return delivered or judge(answer, self._clock.now_ms(), _secrets(prepared))

    def _signed_fields(self, message: Message, protocol: str) -> dict[str, str]:
        """The fields that the signature covers (SMN "Message Signature Verification")."""
        kind = message.kind
        fields = {
            "type": _TYPES[kind],
            "message_id": message.id,
            "timestamp": timestamp(message.created_ms),
        }
        if kind not in _USERS:
            fields["topic_urn"] = message.topic_urn
        if kind in _TEXTS:
            texts = _TEXTS[kind]
            text = texts["zh" if message.locale.lower().startswith("zh") else "en"]
            fields["message"] = text.format(urn=message.topic_urn, name=message.topic_name)
            if kind is not Kind.USER_CANCELLATION:
                fields["subscribe_url"] = message.link or ""
        else:
            fields["message"] = message.text(protocol)
            if message.subject:
                fields["subject"] = message.subject
        return fields


def string_to_sign(fields: Iterable[tuple[str, str]]) -> bytes:
    """``key LF value LF`` for each field, in the order given, as UTF-8 (SMN "Sample Code").

    The order is alphabetical in the contract; the values are the decoded JSON strings.
    """
    return "".join(f"{key}\n{value}\n" for key, value in fields).encode()


def _secrets(target: Target) -> list[str]:
    """What custom headers say: they are where an endpoint's credentials go."""
    return [value for name, value in target.headers.items() if name not in target.named]


def _custom_headers(subscription: Subscription) -> dict[str, str]:
    """What ``extension.header`` adds to each message; checked before it was stored."""
    header = subscription.extension.get("header")
    return (
        {str(name): str(value) for name, value in header.items()}
        if isinstance(header, Mapping)
        else {}
    )
