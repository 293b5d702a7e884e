"""One adapter on its stage: what the conformance suite asks of it, and what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Refused
from engine.guard import AddressGuard
from engine.models import Kind, Message, Outcome, Status, Subscription
from engine.policy import protocols
from engine.ports import Answer
from engine.testing.fakes import (
    EPOCH_MS,
    InstantTransport,
    ManualClock,
    MemoryOutbox,
    Request,
    fake_ports,
)

if TYPE_CHECKING:
    from engine.adapter_settings import AdapterSettings
    from engine.ports import Adapter
    from engine.testing.outgoing import Outgoing

Judge = Callable[[Request], Answer]
"""Answers a request, or raises a `TransportError`."""

TOPIC_URN: Final = "urn:smn:region01:762bdb3251034f268af0e395c53ea09b:orders"
LINK: Final = "https://smn.example.com/smn/subscription/confirm?token=" + "0" * 128
"""What addressed messages carry."""
MESSAGE: Final = Message(
    id="d" * 32,
    topic_id="a" * 32,
    topic_urn=TOPIC_URN,
    project_id="762bdb3251034f268af0e395c53ea09b",
    kind=Kind.NOTIFICATION,
    content={"default": "text"},
    created_ms=EPOCH_MS,
    deadline_ms=EPOCH_MS + 3_600_000,
    subject="subject",
    topic_name="orders",
    link=LINK,
)
"""What is sent, with other texts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An endpoint that the adapter takes, with what belongs to it.

    ``secrets`` are the texts in endpoint, extension and settings that may be shown nowhere;
    ``others`` more good endpoints; ``bad`` those that it must refuse, with the code. There may
    be several samples of one protocol, such as with and without an extension.
    """

    protocol: str
    endpoint: str
    extension: Mapping[str, object] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    bad: Mapping[str, str] = field(default_factory=dict)

    def subscription(self) -> Subscription:
        """A confirmed subscription of the endpoint; raises `Refused` as the contract does."""
        return Subscription(
            id="b" * 32,
            topic_id="a" * 32,
            topic_urn=TOPIC_URN,
            protocol=self.protocol,
            endpoint=self.endpoint,
            status=Status.CONFIRMED,
            page=0,
            seat=0,
            extension=protocols.check(self.protocol, self.endpoint, self.extension),
        )


class Network(InstantTransport):
    """All of the ports that send; once it is ``hung`` nothing comes back."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge)
        self.hung = False
        self.waiting = asyncio.Event()

    async def request(self, *what: Any, **how: Any) -> Answer:
        """Note the request and answer it."""
        await self.wait_if_hung()
        return await super().request(*what, **how)

    async def wait_if_hung(self) -> None:
        """Wait for ever."""
        if self.hung:
            self.waiting.set()
            await asyncio.Event().wait()


class _Outbox(MemoryOutbox):
    """An outbox that hangs with the network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
        await self._network.wait_if_hung()
        await super().put(protocol, endpoint, fields)


class _TextGuard(AddressGuard):
    """Judges the text of a URL alone: a test looks up no names."""

    async def check_host(self, url: str) -> None:
        self.check_url(url)


class World:
    """The ports of one adapter, as fakes that show what happened to them."""

    def __init__(self, judge: Judge, settings: AdapterSettings | None) -> None:
        self.network = Network(judge)
        self.clock = ManualClock()
        self.outbox: MemoryOutbox = _Outbox(self.network)
        self.ports = fake_ports(
            clock=self.clock,
            transport=self.network,
            gateway=self.network,
            http2=self.network,
            guard=_TextGuard(),
            outbox=self.outbox,
            settings=settings,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """An adapter in its surroundings; ``take`` returns what has left it since the last call."""

    adapter: Adapter[Any, Any]
    take: Callable[[], list[Outgoing]]


class Play:
    """One adapter with a loop of its own, which runs while something is asked of it."""

    def __init__(self, runner: asyncio.Runner, world: World, stage: Stage) -> None:
        self._runner = runner
        self.world = world
        self.adapter = stage.adapter
        self.take = stage.take

    def check(self, sample: Sample) -> Refused | None:
        """As the engine does: the contract's rules, then the adapter's; what passes is prepared."""

        async def ask() -> None:
            await self.adapter.check(
                sample.protocol, sample.endpoint, sample.subscription().extension
            )

        shown = f"{sample.endpoint[:100]!r} with {str(sample.extension)[:100]}"
        try:
            self._runner.run(ask())
        except Refused as refused:
            return refused
        except Exception as error:
            raise AssertionError(
                f"check() of {shown} raised {error!r}; it may raise nothing but Refused"
            ) from error
        try:
            self.adapter.prepare(sample.subscription())
        except Exception as error:
            raise AssertionError(
                f"check() accepted {shown}, and prepare() raised {error!r}"
            ) from error
        return None

    def send(self, sample: Sample, message: Message = MESSAGE) -> tuple[Outcome, list[Outgoing]]:
        """One attempt, and what left the adapter by it."""

        async def attempt() -> Outcome:
            content = self.adapter.render(message, sample.protocol)
            return await self.adapter.send(content, self.adapter.prepare(sample.subscription()))

        try:
            outcome = self._runner.run(attempt())
        except Exception as error:
            raise AssertionError(
                f"sending {shown(message)} raised {error!r}; send() may only return an outcome"
            ) from error
        return outcome, self.take()

    def send_at_once(self, sample: Sample, count: int) -> list[Outcome]:
        """So many attempts with one content."""

        async def attempts() -> list[Outcome]:
            content = self.adapter.render(MESSAGE, sample.protocol)
            target = self.adapter.prepare(sample.subscription())
            return await asyncio.gather(*(self.adapter.send(content, target) for _ in range(count)))

        return self._runner.run(attempts())

    def send_and_cancel(self, sample: Sample) -> str:
        """What is wrong with a send that is cancelled while it waits for the network."""

        async def attempt() -> str:
            self.world.network.hung = True
            content = self.adapter.render(MESSAGE, sample.protocol)
            target = self.adapter.prepare(sample.subscription())
            sending = asyncio.ensure_future(self.adapter.send(content, target))
            waiting = asyncio.ensure_future(self.world.network.waiting.wait())
            await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            sending.cancel()
            await asyncio.wait({sending}, timeout=5)
            if not sending.done():
                return "it goes on"
            return "" if sending.cancelled() else f"it ended as {sending}"

        return self._runner.run(attempt())


def shown(message: Message) -> str:
    """A message in a sentence."""
    return (
        f"a {message.kind} of {str(dict(message.content))[:300]}, subject"
        f" {(message.subject or '')[:100]!r}, locale {message.locale!r},"
        f" display name {message.display_name!r}, topic {message.topic_name!r}"
    )
