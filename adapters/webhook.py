"""HTTP and HTTPS subscribers: signed JSON by POST (SMN "HTTP or HTTPS Message Format").

The body is built and signed once per message; a delivery only puts the subscription's own
unsubscribe link, which the signature does not cover, between two ready pieces of bytes.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import Refused
from engine.models import (
    Delivered,
    Kind,
    Limits,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
    Window,
)
from engine.ports import AddressRefused, Answer, TransportError

if TYPE_CHECKING:
    from engine.ports import Ports

_DELIVERED: Final = {status: Delivered(status) for status in range(200, 300)}
_TYPES: Final[Mapping[Kind, str]] = {
    Kind.NOTIFICATION: "Notification",
    Kind.DIRECT: "Notification",
    Kind.CONFIRMATION: "SubscriptionConfirmation",
    Kind.CANCELLATION: "UnsubscribeConfirmation",
    Kind.DETECTION: "Detection",
}
# The contract names no limit; browsers, proxies and servers in use agree on about 2,000.
_ENDPOINT_LIMIT: Final = 2048
# Userinfo is left out on purpose: see check().
_ENDPOINT: Final = re.compile(
    r"(https?)://"
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?)"
    r"(?::([0-9]{1,5}))?"
    r"(?:[/?][!$-;=?-\[\]_a-z~%]*)?"
)
# A host whose last label is a number is an IPv4 address or nothing (WHATWG URL §3.5).
_NUMERIC_HOST: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[Xx][0-9A-Fa-f]*)\.?")
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")
_HEADER_VALUE: Final = re.compile(r"[ -~]*")
_HEADERS_MAX: Final = 10
_HEADERS_LENGTH: Final = 1024
# What frames or describes the request itself: a caller who sets it can smuggle one request
# inside another (RFC 9112 §11.2) or break the connection for those that share it.
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# A wait that an endpoint asks for is kept within reason: not at once again, not beyond the
# longest time to live.
_WAIT_MS: Final = (1_000, 604_800_000)
_SNIPPET: Final = 200
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
}


@dataclass(frozen=True, slots=True)
class Content:
    """A message on the wire, but for what is a subscription's own.

    With ``linked`` the body is prefix, link, suffix, and the headers name the subscription
    and carry its custom ones; ``named`` is for the name alone.
    """

    prefix: bytes
    suffix: bytes
    headers: Mapping[str, str]
    linked: bool
    named: bool


class Target(NamedTuple):
    """What is a subscription's own: the parsed URL, its headers, its link as JSON text."""

    url: object
    named: Mapping[str, str]
    headers: Mapping[str, str]
    link: bytes


class WebhookAdapter:
    """Speaks ``http`` and ``https``."""

    protocols = ("http", "https")
    # No penalty: further invitations wait for the window's end (SMN "Traffic Control over
    # Subscription Confirmation").
    limits = Limits(max_bytes=262_144, confirm=True, confirmations=(Window(200, 600, 0),))
    notice = ""

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._guard = ports.guard
        self._links = ports.links
        self._signer = ports.signer
        self._transport = ports.transport
        self._post = ports.transport.post

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Codes: SMN.0012 not a URL of the protocol, SMN.0043 headers, SMN.0069 internal.

        At most 2,048 characters, as they will be sent: ASCII, percent-encoded, a host name in
        its ASCII form. No fragment, which is never sent. No user and password, because the
        endpoint is shown in lists and logs: ``extension.header`` takes an Authorization.
        """
        found = _ENDPOINT.fullmatch(endpoint)
        if found is None or len(endpoint) > _ENDPOINT_LIMIT:
            raise Refused("SMN.0012", "It must be a URL such as https://example.com/path?query.")
        scheme, host, port = found.groups()
        if scheme != protocol:
            raise Refused("SMN.0012", f"It must begin with {protocol}://.")
        if not _is_host(host):
            raise Refused("SMN.0012", "The host is neither a name nor a plain IP address.")
        if port is not None and not 1 <= int(port) <= 65_535:
            raise Refused("SMN.0012", "The port must be 1 to 65535.")
        _custom_headers(extension)
        await self._guard.check_host(endpoint)

    def prepare(self, subscription: Subscription) -> Target:
        """Parse the URL and make the link, once per cached page."""
        named = {"X-SMN-SUBSCRIPTION-URN": subscription.urn}
        custom = _custom_headers(subscription.extension)
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
        body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        return Content(
            prefix=body[:-1] + b',"unsubscribe_url":"' if linked else body,
            suffix=b'"}' if linked else b"",
            headers={
                "Content-Type": "application/json;charset=UTF-8",
                "X-SMN-MESSAGE-TYPE": signed["type"],
                "X-SMN-MESSAGE-ID": message.id,
                "X-SMN-TOPIC-URN": message.topic_urn,
            },
            linked=linked,
            named=kind is Kind.CANCELLATION,
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
        try:
            answer = await self._post(prepared.url, headers, body)
        except AddressRefused as error:
            return Rejected(str(error))
        except TransportError as error:
            return Retry(str(error))
        return _DELIVERED.get(answer.status) or _judge(answer, self._clock.now_ms())

    async def close(self) -> None:
        """Nothing of its own: the transport is the engine's."""

    def _signed_fields(self, message: Message, protocol: str) -> dict[str, str]:
        """The fields that the signature covers (SMN "Message Signature Verification")."""
        kind = message.kind
        fields = {
            "type": _TYPES[kind],
            "topic_urn": message.topic_urn,
            "message_id": message.id,
            "timestamp": _timestamp(message.created_ms),
        }
        if kind in _TEXTS:
            texts = _TEXTS[kind]
            text = texts["zh" if message.locale.lower().startswith("zh") else "en"]
            fields["message"] = text.format(urn=message.topic_urn)
            fields["subscribe_url"] = message.link or ""
        else:
            fields["message"] = message.text(protocol)
            if message.subject:
                fields["subject"] = message.subject
        return fields


def _is_host(text: str) -> bool:
    """Whether the URL's host is a name, or an address in the one spelling of its kind."""
    try:
        if text.startswith("["):
            ipaddress.IPv6Address(text[1:-1])
        elif _NUMERIC_HOST.fullmatch(text):
            ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return ".." not in text


def string_to_sign(fields: Iterable[tuple[str, str]]) -> bytes:
    """``key LF value LF`` for each field, in the order given, as UTF-8 (SMN "Sample Code").

    The order is alphabetical in the contract; the values are the decoded JSON strings.
    """
    return "".join(f"{key}\n{value}\n" for key, value in fields).encode()


def _judge(answer: Answer, now_ms: int) -> Outcome:
    """What an answer other than 2xx means."""
    status = answer.status
    if status in {429, 503} and answer.retry_after is not None:
        wait_ms = _wait_ms(answer.retry_after, now_ms)
        if wait_ms is not None:
            return Throttled(now_ms + wait_ms, f"HTTP {status}", status)
    if status >= 500:
        return Retry(f"HTTP {status}", status, answer=_snippet(answer.body))
    return Rejected(f"HTTP {status}", status, _snippet(answer.body))


def _wait_ms(retry_after: str, now_ms: int) -> int | None:
    """What ``Retry-After`` says (RFC 9110 §10.2.3), bounded; None if it says nothing."""
    text = retry_after.strip()
    least, most = _WAIT_MS
    if re.fullmatch("[0-9]{1,9}", text):
        return min(max(int(text) * 1000, least), most)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000": UTC without saying so
            date = date.replace(tzinfo=dt.UTC)
        return min(max(int(date.timestamp() * 1000) - now_ms, least), most)
    except (ValueError, OverflowError):
        return None


def _snippet(body: bytes) -> str:
    """The first words of an answer, as one printable line."""
    text = body[: 4 * _SNIPPET].decode(errors="replace")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_SNIPPET]


def _timestamp(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _custom_headers(extension: Mapping[str, object]) -> dict[str, str]:
    """``extension.header``, checked; raises `Refused` ``SMN.0043`` (SMN "Adding a Subscription").

    Names need no ``x-`` in front, as in the newer text of the contract.
    """
    given = extension.get("header")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise Refused("SMN.0043", "extension.header must be an object.")
    if len(given) > _HEADERS_MAX:
        raise Refused("SMN.0043", f"extension.header has more than {_HEADERS_MAX} headers.")
    headers = dict(_custom_header(name, value) for name, value in given.items())
    if len({name.lower() for name in headers}) != len(headers):
        raise Refused("SMN.0043", "Header names must differ in more than case.")
    if sum(len(name) + len(value) for name, value in headers.items()) > _HEADERS_LENGTH:
        raise Refused("SMN.0043", f"The headers exceed {_HEADERS_LENGTH} characters in all.")
    return headers


def _custom_header(name: object, value: object) -> tuple[str, str]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise Refused("SMN.0043", "A header's name and value must be strings.")
    if _HEADER_NAME.fullmatch(name) is None:
        raise Refused("SMN.0043", f"The header name {name[:64]!r} is malformed.")
    if name.lower().startswith("x-smn") or name.lower() in _RESERVED_HEADERS:
        raise Refused("SMN.0043", f"The header name {name[:64]!r} is reserved.")
    if _HEADER_VALUE.fullmatch(value) is None:
        raise Refused("SMN.0043", f"The value of header {name[:64]!r} is not printable ASCII.")
    return name, value
