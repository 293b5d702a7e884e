"""One message through one adapter, without a service, a topic or a database.

The adapters, their settings, the guard and the transports are the service's own; what belongs to
a data set (the certificate that signs, the links) is made up and thrown away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.cli.masking import Masker, secret_members
from engine.errors import ConfigurationError, Refused
from engine.guard import AddressGuard
from engine.links import LinkMaker
from engine.models import Kind, Message, Status, Subscription
from engine.multiplex import Multiplexer
from engine.policy import protocols
from engine.ports import Answer, Ports, TransportError
from engine.registry import load_adapters
from engine.signing import CertificateSigner, make_certificate
from engine.transport import AiohttpTransport
from engine.urns import parse_endpoint
from engine.vault import Vault

if TYPE_CHECKING:
    from engine.models import Outcome
    from engine.ports import Adapter, Gateway, Http2, MobileDevice, Transport
    from engine.settings import Settings

    Find = Callable[[str], Awaitable[MobileDevice | None]]

PUBLIC_URL: Final = "https://tocsin.example"
"""What links begin with: they lead nowhere."""
_PROJECT: Final = "0" * 32
_LIFE_MS: Final = 3_600_000


@dataclass(slots=True)
class Exchange:
    """One HTTP request with its answer, or why there is none."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    answer: Answer | None = None
    error: str = ""
    took_ms: int = 0


class Line(NamedTuple):
    """What was said to a server that speaks no HTTP, or ``heard`` from it."""

    server: str
    text: str
    heard: bool


@dataclass(slots=True)
class Record:
    """All that an adapter did; the ``Outbox`` and ``Trace`` ports."""

    exchanges: list[Exchange] = field(default_factory=list)
    dialogue: list[Line] = field(default_factory=list)
    kept: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)
    signed: bool = False
    ignored: tuple[str, ...] = ()
    """Members of the extension that the protocol does not know."""

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        """What would be kept for people."""
        self.kept.append((protocol, endpoint, fields))

    def said(self, server: str, text: str) -> None:
        """What was sent to a server that speaks no HTTP."""
        self.dialogue.append(Line(server, text, heard=False))

    def heard(self, server: str, text: str) -> None:
        """What it answered."""
        self.dialogue.append(Line(server, text, heard=True))


class _Wall:
    """The machine's clock; the ``Clock`` port."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class _Devices:
    """Knows the devices of a data set, and keeps their secrets hidden; the ``Devices`` port."""

    def __init__(self, find: Find, masker: Masker) -> None:
        self._find = find
        self._masker = masker
        self._found: dict[str, MobileDevice | None] = {}

    async def find(self, urn: str) -> MobileDevice | None:
        if urn not in self._found:
            device = self._found[urn] = await self._find(urn)
            if device is not None:
                self._masker.learn(device.token, device.credential)
        return self._found[urn]


class _Recorder:
    """Notes what goes through a transport; a port for each."""

    def __init__(self, record: Record, transport: AiohttpTransport | Multiplexer) -> None:
        self._record = record
        self._transport = transport

    def parse(self, url: str) -> object:
        return url

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        return await self.request("POST", str(url), headers, body)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        **options: Any,
    ) -> Answer:
        exchange = Exchange(method, url, dict(headers), body)
        self._record.exchanges.append(exchange)
        began = time.perf_counter()
        try:
            exchange.answer = await self._transport.request(method, url, headers, body, **options)
        except TransportError as error:
            exchange.error = str(error)
            raise
        finally:
            exchange.took_ms = round((time.perf_counter() - began) * 1000)
        return exchange.answer


class _Signer:
    """A certificate of this one message's, made when it is asked for; the ``Signer`` port."""

    def __init__(self, record: Record, region: str) -> None:
        self._record = record
        self._region = region
        self._signer: CertificateSigner | None = None

    @property
    def certificate_url(self) -> str:
        return self._made().certificate_url

    def sign(self, text: bytes) -> str:
        return self._made().sign(text)

    def _made(self) -> CertificateSigner:
        if self._signer is None:
            self._record.signed = True
            self._signer = CertificateSigner(*make_certificate(self._region), PUBLIC_URL)
        return self._signer


class Trial:
    """All adapters, and what the one that is asked for does."""

    def __init__(self, ports: Ports, settings: Settings, record: Record, masker: Masker) -> None:
        self.record = record
        self.masker = masker
        self._ports = ports
        self._region = settings.region
        self._adapters = load_adapters(ports, settings.adapters, noted=self.masker.learn_settings)

    def adapter(self, protocol: str) -> Adapter[Any, Any]:
        """Who speaks the protocol; raises `ConfigurationError` if nobody does."""
        found = self._adapters.get(protocol)
        if found is None:
            enabled = ", ".join(sorted(self._adapters))
            why = (
                "is not enabled: the README's chapter Protocols says what to configure"
                if protocol in protocols.TABLE
                else "is spoken by no adapter"
            )
            raise ConfigurationError(f"The protocol {protocol!r} {why}. Enabled are {enabled}.")
        return found

    async def send(
        self,
        protocol: str,
        endpoint: str,
        extension: Mapping[str, object],
        kind: Kind,
        content: Mapping[str, str],
        subject: str | None,
    ) -> Outcome:
        """One attempt; raises `Refused` for what a subscription could not be made with."""
        adapter = self.adapter(protocol)
        self.masker.learn(*secret_members(extension))
        if adapter.limits.secret_endpoint:
            self.masker.learn_endpoint(endpoint)
        kept = protocols.check(protocol, endpoint, extension)
        self.record.ignored = tuple(sorted(extension.keys() - kept.keys()))
        await adapter.check(protocol, endpoint, kept)
        project_id = _project(endpoint)
        topic_id, topic_urn = secrets.token_hex(16), f"urn:smn:{self._region}:{project_id}:example"
        subscription = Subscription(
            id=secrets.token_hex(16),
            topic_id=topic_id,
            topic_urn=topic_urn,
            protocol=protocol,
            endpoint=endpoint,
            status=Status.CONFIRMED,
            page=0,
            seat=0,
            extension=kept,
        )
        now_ms = self._ports.clock.now_ms()
        message = Message(
            id=secrets.token_hex(16),
            topic_id=topic_id,
            topic_urn=topic_urn,
            project_id=project_id,
            kind=kind,
            content=content,
            created_ms=now_ms,
            deadline_ms=now_ms + _LIFE_MS,
            subject=subject,
            topic_name="example",
            link=None
            if kind in {Kind.NOTIFICATION, Kind.DIRECT}
            else f"{PUBLIC_URL}/smn/subscription/confirm?token={'0' * 128}",
        )
        prepared = adapter.prepare(subscription)
        return await adapter.send(adapter.render(message, protocol), prepared)

    async def close(self) -> None:
        """Release what the adapters hold."""
        for adapter in dict.fromkeys(self._adapters.values()):
            await adapter.close()


def _project(endpoint: str) -> str:
    """The project of the topic: that of the endpoint, where it has one."""
    try:
        return parse_endpoint(endpoint).application.project_id
    except Refused:
        return _PROJECT


@asynccontextmanager
async def trial(settings: Settings, find: Find) -> AsyncIterator[Trial]:
    """Everything that an adapter needs, for as long as the block lasts.

    ``find`` looks a device up by its URN.
    """
    record, masker = Record(), Masker()
    guard = AddressGuard(settings.allow_endpoints)
    guarded = AiohttpTransport(guard, timeout_s=settings.send_timeout)
    unguarded = AiohttpTransport(None, timeout_s=settings.send_timeout)
    multiplexer = Multiplexer(timeout_s=settings.send_timeout)
    transport: Transport = _Recorder(record, guarded)
    gateway: Gateway = _Recorder(record, unguarded)
    http2: Http2 = _Recorder(record, multiplexer)
    ports = Ports(
        clock=_Wall(),
        transport=transport,
        gateway=gateway,
        http2=http2,
        guard=guard,
        signer=_Signer(record, settings.region),
        links=LinkMaker(Vault(secrets.token_bytes(32)), PUBLIC_URL, settings.region),
        outbox=record,
        devices=_Devices(find, masker),
        trace=record,
    )
    try:
        found = Trial(ports, settings, record, masker)
        try:
            yield found
        finally:
            await found.close()
    finally:
        await guarded.close()
        await unguarded.close()
        await multiplexer.close()
