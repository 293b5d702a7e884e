"""Fakes for tests of adapters and of programs that embed the engine; nothing here waits.

`fake_ports` gives an adapter everything it may ask for::

    ports = fake_ports(transport=InstantTransport(Answer(503)))
    outcome = await adapter.send(adapter.render(message, "http"), adapter.prepare(subscription))

`RecordingAdapter.of` enables protocols of the contract that nothing speaks yet::

    voice, push = recorders = RecordingAdapter.of("callnotify", "application")
    async with Engine.open(adapters=recorders) as engine:
        await engine.subscribe(topic.urn, "callnotify", "+8613600000000", confirmed=True)
        ...
        assert [sent.message.text("callnotify") for sent in voice.sent] == ["hello"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from engine.models import Delivered, Limits, Message, Outcome, Subscription, Window
from engine.policy.protocols import TABLE
from engine.ports import Answer, ClientCertificate, MobileDevice, Ports, TransportError

EPOCH_MS: Final = 1_700_000_000_000
"""What a `ManualClock` shows at first."""


class ManualClock:
    """A clock that moves when it is told to; the ``Clock`` port."""

    def __init__(self, now_ms: int = EPOCH_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._now_ms

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self._now_ms += milliseconds


@dataclass(frozen=True, slots=True)
class Request:
    """What an `InstantTransport` was asked to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    certificate: ClientCertificate | None = None


class InstantTransport:
    """Answers at once with one answer, or raises one error.

    The ``Transport``, the ``Gateway`` and the ``Http2`` port. ``answer`` may also be a function
    of the request.
    """

    def __init__(
        self, answer: Answer | TransportError | Callable[[Request], Answer] | None = None
    ) -> None:
        self.answer = Answer(200) if answer is None else answer
        self.requests: list[Request] = []

    def parse(self, url: str) -> str:
        """The URL itself."""
        return url

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        """Note the request and answer."""
        return await self.request("POST", str(url), headers, body)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
        certificate: ClientCertificate | None = None,
    ) -> Answer:
        """Note the request and answer."""
        del timeout_s
        request = Request(url, headers, body, method, certificate)
        self.requests.append(request)
        answer = self.answer
        if isinstance(answer, TransportError):
            raise answer
        return answer if isinstance(answer, Answer) else answer(request)


class OpenGuard:
    """Allows every address; the ``Guard`` port."""

    def allows(self, ip: str) -> bool:
        """Yes."""
        del ip
        return True

    def check_url(self, url: str) -> None:
        """Accept."""

    async def check_host(self, url: str) -> None:
        """Accept."""


class FakeSigner:
    """A signature that shows what was signed: its length; the ``Signer`` port."""

    certificate_url = "https://smn.example/smn/SMN_region01_00000000000000000000000000000000.pem"

    def sign(self, text: bytes) -> str:
        """The same for the same text, and no signature."""
        return f"signature-of-{len(text)}-bytes"


class FakeLinks:
    """Links to nowhere; the ``Links`` port."""

    def unsubscribe(self, subscription: Subscription) -> str:
        """A link that names the subscription."""
        return f"https://smn.example/unsubscribe?subscription_urn={subscription.urn}"


@dataclass(slots=True)
class MemoryOutbox:
    """Keeps entries in a list of (protocol, endpoint, fields); the ``Outbox`` port."""

    entries: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        """Append."""
        self.entries.append((protocol, endpoint, fields))


@dataclass(slots=True)
class KnownDevices:
    """Devices by their URNs; the ``Devices`` port."""

    known: dict[str, MobileDevice] = field(default_factory=dict)

    async def find(self, urn: str) -> MobileDevice | None:
        """What is known of it."""
        return self.known.get(urn)


def fake_ports(**given: Any) -> Ports:
    """Ports made of fakes, but for those given by name.

    ``settings=PagerSettings(url=…)`` is what the adapter's settings are.
    """
    settings = given.pop("settings", None)
    if settings is not None:
        given["configure"] = lambda _: settings
    fakes = Ports(
        clock=ManualClock(),
        transport=InstantTransport(),
        gateway=InstantTransport(),
        http2=InstantTransport(),
        guard=OpenGuard(),
        signer=FakeSigner(),
        links=FakeLinks(),
        outbox=MemoryOutbox(),
        devices=KnownDevices(),
    )
    return replace(fakes, **given)


@dataclass(frozen=True, slots=True)
class Sent:
    """One send of a `RecordingAdapter`."""

    message: Message
    subscription: Subscription


class RecordingAdapter:
    """An adapter that records what it is given; ``judge`` decides the outcome of each send.

    Without ``judge`` everything is delivered.
    """

    notice = ""

    def __init__(
        self,
        *protocols: str,
        judge: Callable[[Sent], Outcome] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.protocols = protocols or ("test",)
        self.limits = Limits(confirm=False) if limits is None else limits
        self.sent: list[Sent] = []
        self.closed = False
        self._judge = judge

    @classmethod
    def of(
        cls, *protocols: str, judge: Callable[[Sent], Outcome] | None = None
    ) -> tuple[Self, ...]:
        """One for each protocol, with the limits that the contract gives it.

        Those that must confirm are invited 10 times an hour at most.
        """
        return tuple(cls(name, judge=judge, limits=_limits(name)) for name in protocols)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Accept every endpoint."""

    def peer(self, subscription: Subscription) -> str:
        """Whoever has the endpoint."""
        return subscription.endpoint

    def prepare(self, subscription: Subscription) -> Subscription:
        """The subscription itself."""
        return subscription

    def render(self, message: Message, protocol: str) -> Message:
        """The message itself."""
        del protocol
        return message

    def size(self, content: Message) -> int:
        """Characters of the longest text."""
        return max(len(text) for text in content.content.values())

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Record, then judge."""
        sent = Sent(content, prepared)
        self.sent.append(sent)
        return Delivered() if self._judge is None else self._judge(sent)

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


def _limits(protocol: str) -> Limits:
    rule = TABLE[protocol]
    return Limits(
        confirm=rule.confirm,
        secret_endpoint=rule.secret,
        confirmations=(Window(10, 3600, 3600),) if rule.confirm else (),
    )
