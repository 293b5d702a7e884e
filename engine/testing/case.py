"""What the author of an adapter tells the conformance suite, and how it is put on a stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, Ports, TransportError
from engine.testing import hostile, outgoing
from engine.testing.fakes import InstantTransport, ManualClock, MemoryOutbox, Request
from engine.testing.outgoing import Outgoing
from engine.testing.stage import Play, Sample, Stage, World

if TYPE_CHECKING:
    from engine.adapter_settings import AdapterSettings
    from engine.ports import Adapter
    from engine.testing.stage import Judge

# What is kept of a reason or an answer: a line that fits into a log and a dead letter.
_MOST_KEPT: Final = 500
_LONGEST_WAIT_MS: Final = 604_800_000
# Redis scripts count in doubles.
_LARGEST_CODE: Final = 2**53


class Metafunc(Protocol):
    """What is used of pytest's object of that name: this package does not import pytest."""

    @property
    def fixturenames(self) -> Sequence[str]:
        """The arguments of the test."""
        ...

    def parametrize(self, argnames: str, argvalues: Sequence[object], *, ids: list[str]) -> None:
        """Run the test with each of the values."""
        ...


class AdapterCase:
    """An adapter that is to be tried: what an author gives and may override."""

    samples: ClassVar[tuple[Sample, ...]] = ()
    """Endpoints that it takes, at least one of each protocol."""
    settings: ClassVar[AdapterSettings | None] = None
    """What the adapter's settings are; None for their defaults."""
    most: ClassVar[int] = 262_144
    """Characters of a text that are sent for sure; what is beyond may be cut."""
    examples: ClassVar[int] = 60
    """How many messages are made up for the test of any text."""

    def make(self, ports: Ports) -> Adapter[Any, Any]:
        """A fresh adapter."""
        raise NotImplementedError("make(self, ports) must return the adapter")

    def answer(self, request: Request) -> Answer:
        """What a server that is well answers to a request: 200 without a body."""
        del request
        return Answer(200)

    def shown(self, text: str) -> str:
        """What a recipient reads where the message says ``text``: the text itself."""
        return text

    def readable(self, sent: Outgoing) -> str:
        """All that a recipient can read of what was sent: the texts of its JSON, form or text."""
        return outgoing.readable(sent)

    def comparable(self, sent: Outgoing) -> object:
        """What stays the same when a message is sent again: everything.

        Leave out, with `Outgoing.without`, what a protocol wants fresh, such as a signature.
        """
        return sent

    def stage(self, ports: Ports) -> AbstractAsyncContextManager[Stage]:
        """The adapter, and how to see what it sends through its ports.

        For an adapter with connections of its own: start its server, make the adapter with the
        server's address, and let ``take`` return what the server received.
        """
        return self._on_ports(ports)

    def pytest_generate_tests(self, metafunc: Metafunc) -> None:
        """Run each test that asks for a sample with each of them; pytest calls it."""
        if "sample" in metafunc.fixturenames:
            if not self.samples:
                raise ValueError(f"{type(self).__name__}.samples is empty: give at least one.")
            names = [f"{sample.protocol}-{place}" for place, sample in enumerate(self.samples)]
            metafunc.parametrize("sample", self.samples, ids=names)

    @asynccontextmanager
    async def _on_ports(self, ports: Ports) -> AsyncIterator[Stage]:
        network, outbox = ports.gateway, ports.outbox
        assert_that(
            isinstance(network, InstantTransport) and isinstance(outbox, MemoryOutbox),
            "stage() needs the ports that it was given",
        )
        adapter = self.make(ports)
        try:
            yield Stage(adapter, lambda: _taken(network, outbox))  # type: ignore[arg-type]  # see above
        finally:
            await adapter.close()

    @contextmanager
    def play(self, judge: Judge | None = None) -> Iterator[Play]:
        """A fresh adapter whose requests ``judge`` answers."""
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            world = World(judge or self.answer, self.settings)
            stage = self.stage(world.ports)
            play = Play(runner, world, runner.run(_enter(stage)))
            try:
                yield play
            finally:
                runner.run(_leave(stage))

    def answers(self, sample: Sample) -> list[bytes]:
        """What a server answers to each request of a first message when all is well.

        There are several where a token comes before the message, none without HTTP.
        """
        bodies: list[bytes] = []

        def note(request: Request) -> Answer:
            answer = self.answer(request)
            bodies.append(answer.body)
            return answer

        with self.play(note) as play:
            outcome, _ = play.send(sample)
        assert_that(
            isinstance(outcome, Delivered),
            f"the server was well, and send() returned {outcome}: does answer() say what such a"
            " server answers?",
        )
        return bodies

    def failing(self, step: int, answer: Answer | TransportError) -> Judge:
        """Good answers to so many requests, and then always this one."""

        def judge(request: Request) -> Answer:
            del request
            if isinstance(answer, TransportError):
                raise answer
            return answer

        return self._from(step, judge)

    def echoing(self, step: int, status: int, form: int) -> Judge:
        """Good answers to so many requests, and then those that repeat what was sent."""

        def judge(request: Request) -> Answer:
            sent = request.body.decode(errors="replace")
            line = f"{request.method} {request.url} {dict(request.headers)} {sent}"
            forms = hostile.echoes(self.answer(request).body, line)
            return Answer(status, None, forms[min(form, len(forms) - 1)])

        return self._from(step, judge)

    def _from(self, step: int, later: Judge) -> Judge:
        before = [step]

        def judge(request: Request) -> Answer:
            if before[0]:
                before[0] -= 1
                return self.answer(request)
            return later(request)

        return judge


def assert_that(kept: object, broken: str) -> None:
    """Fail with a sentence that says what is broken."""
    __tracebackhide__ = True
    if not kept:
        raise AssertionError(broken)


def assert_sound(
    sample: Sample, outcome: Outcome, sent: Sequence[Outgoing], clock: ManualClock
) -> None:
    """Of an attempt: one of the four outcomes, within bounds, and no secret for people to see."""
    __tracebackhide__ = True
    assert_that(
        isinstance(outcome, Delivered | Retry | Throttled | Rejected),
        f"send() returned {outcome!r}, which is no outcome",
    )
    texts: list[str] = []
    if not isinstance(outcome, Delivered):
        assert_that(outcome.reason, f"an outcome without a reason: {outcome}")
        texts.append(outcome.reason)
    if isinstance(outcome, Retry | Rejected):
        texts.append(outcome.answer)
    if isinstance(outcome, Throttled):
        wait_ms = outcome.until_ms - clock.now_ms()
        assert_that(0 < wait_ms <= _LONGEST_WAIT_MS, f"it waits {wait_ms} ms: {outcome}")
    for text in texts:
        assert_that(text.isprintable(), f"what is kept is not one printable line: {outcome}")
        assert_that(len(text) <= _MOST_KEPT, f"more than {_MOST_KEPT} characters: {outcome}")
        assert_no_secret(sample, text, f"the outcome {outcome}")
    code = outcome.code
    assert_that(type(code) is int and abs(code) < _LARGEST_CODE, f"the code is {code!r:.100}")
    for entry in sent:
        if entry.kept:
            text = f"{dict(entry.head)} {entry.body.decode()}"
            assert_no_secret(sample, text, f"the outbox: {text}")


def assert_no_secret(sample: Sample, text: str, where: str) -> None:
    """Of a text that people will see."""
    __tracebackhide__ = True
    for secret in sample.secrets:
        assert_that(secret not in text, f"the secret {secret!r} is shown by {where}")


def assert_well_formed(all_sent: Sequence[Outgoing]) -> None:
    """Of what was sent: heads of one line, and bodies that are what they are said to be."""
    __tracebackhide__ = True
    for sent in all_sent:
        fault = outgoing.fault(sent)
        assert_that(not fault, f"what was sent is broken: {fault}")


def _taken(network: InstantTransport, outbox: MemoryOutbox) -> list[Outgoing]:
    taken = [
        *map(outgoing.of_request, network.requests),
        *map(outgoing.of_entry, outbox.entries),
    ]
    network.requests.clear()
    outbox.entries.clear()
    return taken


async def _enter(stage: AbstractAsyncContextManager[Stage]) -> Stage:
    return await stage.__aenter__()


async def _leave(stage: AbstractAsyncContextManager[Stage]) -> None:
    await stage.__aexit__(None, None, None)
