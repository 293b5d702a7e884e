"""What the engine needs from outside, and what it lends to adapters.

An adapter is built by the composition root from a `Ports`: it takes what it asks for and
knows nothing else of the engine.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from engine.adapter_settings import AdapterSettings
from engine.models import (
    Delivered,
    Limits,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
)

Content = TypeVar("Content")
Prepared = TypeVar("Prepared")
Own = TypeVar("Own", bound=AdapterSettings)

# A wait that an endpoint asks for is kept within reason: not at once again, not beyond the
# longest time to live.
_LEAST_WAIT_MS: Final = 1_000
_LONGEST_WAIT_MS: Final = 604_800_000
_USUAL_WAIT_MS: Final = 60_000
"""Where "too often" comes without a time: most servers count by the minute."""


class Clock(Protocol):
    """The one time everything agrees on: Redis's."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...


class Answer(NamedTuple):
    """What an HTTP endpoint answered.

    ``retry_after`` is the raw header, ``body`` at most the transport's bound in bytes.
    """

    status: int
    retry_after: str | None = None
    body: bytes = b""

    def wait_ms(self, now_ms: int) -> int | None:
        """How long ``Retry-After`` says to wait (RFC 9110 §10.2.3), bounded; None: nothing."""
        text = (self.retry_after or "").strip()
        if re.fullmatch("[0-9]{1,9}", text):
            wait_ms = int(text) * 1000
        else:
            try:
                date = parsedate_to_datetime(text)
                if date.tzinfo is None:  # "-0000": UTC without saying so
                    date = date.replace(tzinfo=dt.UTC)
                wait_ms = int(date.timestamp() * 1000) - now_ms
            except (ValueError, OverflowError):
                return None
        return min(max(wait_ms, _LEAST_WAIT_MS), _LONGEST_WAIT_MS)

    def outcome(self, now_ms: int, said: str = "") -> Outcome:
        """What the status means where nothing else is agreed.

        2xx took it; 429, and 503 that says for how long, ask to wait; 5xx may do better later;
        all else is final. ``said`` is what is kept of the body: one printable line, no secrets.
        """
        status, wait_ms = self.status, self.wait_ms(now_ms)
        if 200 <= status < 300:
            return Delivered(status)
        if status == 429 or (status == 503 and wait_ms is not None):
            wait_ms = _USUAL_WAIT_MS if wait_ms is None else wait_ms
            return Throttled(now_ms + wait_ms, f"HTTP {status}", status)
        if status >= 500:
            return Retry(f"HTTP {status}", status, answer=said)
        return Rejected(f"HTTP {status}", status, said)


class TransportError(Exception):
    """No complete answer: refused, reset, timed out, unresolvable, bad TLS, not HTTP.

    The text is safe to show: it holds no address that the guard hides and no secret.
    """

    @property
    def outcome(self) -> Outcome:
        """What it means for a delivery: another try is due."""
        return Retry(str(self))


class AddressRefused(TransportError):
    """The address that would be connected to is an internal one and is not allowed."""

    @property
    def outcome(self) -> Outcome:
        """Nobody will be connected to it."""
        return Rejected(str(self))


class Unsent(TransportError):
    """The server has certainly done nothing with the request.

    Before ``wait_s`` seconds have passed another one is not even tried.
    """

    def __init__(self, text: str, wait_s: float = 1.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class CertificateRefused(TransportError):
    """TLS cannot use the client's certificate, or the server does not accept it."""


class Transport(Protocol):
    """Sends one HTTP request: no cookies, no redirects, bounded answer, guarded address."""

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST and return the answer; raises `TransportError`.

        ``url`` is what `parse` returned for the endpoint.
        """
        ...

    def parse(self, url: str) -> object:
        """The transport's own form of a URL, so that parsing is paid once."""
        ...


class Gateway(Protocol):
    """Sends one HTTP request to an address that the operator configured: no guard asks.

    Otherwise as `Transport`: bounded in time and answer, no cookies, no redirects.
    """

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send and return the answer; raises `TransportError`.

        ``timeout_s`` is for gateways that take longer than endpoints may.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client shows who it is with: certificates, its own first, and key, PEM or DER.

    ``ca_file`` holds the authorities that servers are trusted by; None: the system's.
    """

    chain: bytes
    key: bytes = field(repr=False)
    ca_file: Path | None = None


class Http2(Protocol):
    """Sends HTTP requests as `Gateway` does, many at once over one kept HTTP/2 connection.

    There is one for each origin and certificate.
    """

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        certificate: ClientCertificate,
    ) -> Answer:
        """Send and return the answer; raises `TransportError`.

        `Unsent` and `CertificateRefused` where it is known that nobody has the request.
        """
        ...


class Configure(Protocol):
    """Reads an adapter's own settings."""

    def __call__(self, kind: type[Own]) -> Own:
        """The settings from environment and file; raises `ConfigurationError`."""
        ...


class Guard(Protocol):
    """Decides which addresses callers may make the engine talk to."""

    def check_url(self, url: str) -> None:
        """Raise `Refused` ``SMN.0069`` if the host is an internal name or address.

        Looks only at the text; `check_host` also resolves.
        """
        ...

    async def check_host(self, url: str) -> None:
        """As `check_url`, also for what the name resolves to; an unknown name passes."""
        ...


class Signer(Protocol):
    """Signs what HTTP subscribers verify (SMN "Message Signature Verification")."""

    @property
    def certificate_url(self) -> str:
        """Where receivers fetch the certificate."""
        ...

    def sign(self, text: bytes) -> str:
        """Base64 of the RSA PKCS#1 v1.5 SHA-256 signature."""
        ...


class Links(Protocol):
    """Makes the links that messages carry."""

    def unsubscribe(self, subscription: Subscription) -> str:
        """The link by which the holder cancels a subscription."""
        ...


class Outbox(Protocol):
    """Takes what stubs and unconfigured relays would send."""

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        """Keep one would-be message; ``fields`` is JSON-serialisable."""
        ...


class Trace(Protocol):
    """Listens to what an adapter exchanges with a server that speaks no HTTP.

    What is said is fit to read, which costs time: an adapter prepares it only if somebody listens.
    It never holds a password.
    """

    def said(self, server: str, text: str) -> None:
        """What the adapter sent to ``server``, ``host:port``; lines end in LF."""
        ...

    def heard(self, server: str, text: str) -> None:
        """What it answered, or why there is no answer."""
        ...


@dataclass(frozen=True, slots=True)
class MobileDevice:
    """A device that a mobile platform can reach, and how its application is known there.

    ``principal`` and ``credential`` are as `engine.control.applications` has checked them.
    """

    platform: str
    token: str = field(repr=False)
    enabled: bool
    principal: str = field(repr=False)
    credential: str = field(repr=False)


class Devices(Protocol):
    """Knows the endpoints of applications."""

    async def find(self, urn: str) -> MobileDevice | None:
        """The device with this URN, None if there is none; raises `StoreError`.

        A change of a device is seen at once, one of its application within seconds.
        """
        ...


def by_default(kind: type[Own]) -> Own:
    """What an adapter that no entry point names is configured with; the ``Configure`` port."""
    return kind()


@dataclass(frozen=True, slots=True)
class Ports:
    """All that an adapter may ask for; nobody listens by ``trace`` while messages are delivered."""

    clock: Clock
    transport: Transport
    gateway: Gateway
    http2: Http2
    guard: Guard
    signer: Signer
    links: Links
    outbox: Outbox
    devices: Devices
    configure: Configure = by_default
    trace: Trace | None = None


class Adapter(Protocol[Content, Prepared]):
    """Speaks one wire format for one or more protocols.

    A confirmation has a ``link``, or, for protocols whose subscribers may ask for one, a ``code``;
    its text holds either.
    An instance is built by ``AdapterClass(ports)``; `PlainAdapter` has what most say alike.
    ``prepare`` and ``render`` never wait; ``send`` does and returns what happened as a value. One
    whose settings do not enable it claims no ``protocols``.
    """

    @property
    def protocols(self) -> tuple[str, ...]:
        """The names that it answers to."""
        ...

    @property
    def limits(self) -> Limits:
        """What the engine is to enforce for each of them."""
        ...

    @property
    def notice(self) -> str:
        """One sentence shown to the operator at start, empty if there is nothing to say."""
        ...

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Raise `Refused` (SMN.0012, SMN.0043, SMN.0069) for an endpoint it cannot serve.

        What the contract says of the protocol (`engine.policy.protocols`) has been checked
        before, and only that part of the extension is there.
        """
        ...

    def peer(self, subscription: Subscription) -> str:
        """Who is reached, in the same words for all subscriptions that reach the same.

        What is known of how it is, its room and its rates are kept by it, for each adapter.
        """
        ...

    def prepare(self, subscription: Subscription) -> Prepared:
        """What every send to this subscription needs; computed once per cached page."""
        ...

    def render(self, message: Message, protocol: str) -> Content:
        """The wire form shared by all recipients; computed once per message and worker."""
        ...

    def size(self, content: Content) -> int:
        """Bytes that one send of the content holds in memory."""
        ...

    async def send(self, content: Content, prepared: Prepared) -> Outcome:
        """One attempt. Only a bug raises."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class PlainAdapter:
    """What most adapters need not say; derive from it and leave it out.

    Every endpoint that the contract takes is good and a receiver of its own, there is nothing to
    tell the operator, the content is bytes, and there are no connections to release.
    """

    notice = ""

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Take it."""

    def peer(self, subscription: Subscription) -> str:
        """Whoever has the endpoint."""
        return subscription.endpoint

    def size(self, content: Any) -> int:  # noqa: ANN401 - derived classes have contents of their own
        """Bytes of the content."""
        return len(content)

    async def close(self) -> None:
        """Nothing to release: the transport is the engine's."""


class Merging(Adapter[Content, Prepared], Protocol[Content, Prepared]):
    """An adapter that can make one message of several; ``limits.digest`` says that it shall.

    It needs rates: what has to wait for them shares the next free turn.
    """

    def merge(self, contents: Sequence[Content]) -> Content:
        """One content that says all that these say, in their order; there are two at least.

        It leaves nothing out: where its `size` is above ``limits.max_bytes`` the engine asks
        again for fewer of them.
        """
        ...
