"""The conformance suite passes a good adapter and says what is wrong with a bad one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from engine.errors import Refused
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
from engine.ports import Answer, Ports, TransportError
from engine.testing import Request
from engine.testing.conformance import AdapterConformance, Sample

Content = tuple[str, ...]


class Pager:
    """A good adapter: a token, then the message, to a gateway that answers ``{"ok": true}``."""

    protocols: tuple[str, ...] = ("pager",)
    limits = Limits(confirm=False)
    notice = ""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        if not (endpoint.isascii() and endpoint.isalnum() and len(endpoint) < 64):
            raise Refused("SMN.0012", "It must be a pager's number.")

    def peer(self, subscription: Subscription) -> str:
        return subscription.endpoint

    def prepare(self, subscription: Subscription) -> str:
        return subscription.endpoint

    def render(self, message: Message, protocol: str) -> Content:
        text = message.text(protocol)
        return (f"Open {message.link}", text) if message.link else (text,)

    def size(self, content: Content) -> int:
        return len(self.body(content))

    def body(self, content: Content) -> bytes:
        return json.dumps(content, ensure_ascii=False).encode()

    async def send(self, content: Content, prepared: str) -> Outcome:
        try:
            token = await self.ask("token", prepared, b"")
            sent = token if token.status != 200 else await self.ask("send", prepared, content)
        except TransportError as error:
            return Retry(str(error))
        return self.judge(sent)

    async def ask(self, path: str, prepared: str, content: Content | bytes) -> Answer:
        body = content if isinstance(content, bytes) else self.body(content)
        url = f"https://pager.example/{path}?key=k3y&to={prepared}"
        return await self.ports.gateway.request("POST", url, self.headers(content), body)

    def headers(self, content: Content | bytes) -> dict[str, str]:
        return {"Content-Type": "application/json"} if content else {}

    def judge(self, answer: Answer) -> Outcome:
        if answer.status >= 500:
            return Retry(f"HTTP {answer.status}", answer.status)
        if answer.status == 200 and answer.body.startswith(b'{"ok": true'):
            return Delivered(200)
        return Rejected(f"HTTP {answer.status}", answer.status)

    async def close(self) -> None: ...


class PagerCase(AdapterConformance):
    """What an author writes; the class is named so that pytest leaves it alone."""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample("pager", "1234567", {"a": "b"}, secrets=("k3y",), bad={"12-34": "SMN.0012"}),
    )
    made: Callable[[Ports], Any] = Pager

    def make(self, ports: Ports) -> Any:
        return type(self).made(ports)

    def answer(self, request: Request) -> Answer:
        return Answer(200, None, b'{"ok": true, "text": "fine"}')


class TestPager(PagerCase):
    """The good one passes."""


class Anonymous(Pager):
    def peer(self, subscription: Subscription) -> str:
        return ""


class Distinguishes(Pager):
    def peer(self, subscription: Subscription) -> str:
        return subscription.id


class Waits(Pager):
    def render(self, message: Message, protocol: str) -> Any:
        return Awaitable()


class Awaitable:
    def __await__(self) -> Any:
        raise NotImplementedError


class Changes(Pager):
    def render(self, message: Message, protocol: str) -> Any:
        return object()


class Raises(Pager):
    def judge(self, answer: Answer) -> Outcome:
        return super().judge(answer) if json.loads(answer.body) else Delivered()


class Believes(Pager):
    def judge(self, answer: Answer) -> Outcome:
        return Delivered(answer.status)


class Repeats(Pager):
    def judge(self, answer: Answer) -> Outcome:
        text = answer.body.decode(errors="replace")[:400]
        return Rejected("no", answer=text) if answer.status == 400 else super().judge(answer)


class Keeps(Pager):
    def judge(self, answer: Answer) -> Outcome:
        if answer.body.startswith(b"{"):
            return super().judge(answer)
        return Rejected("no", answer="x" * len(answer.body))


class WaitsForEver(Pager):
    def judge(self, answer: Answer) -> Outcome:
        return Throttled(2**62) if answer.retry_after else super().judge(answer)


class Remembers(Pager):
    failed = False

    def judge(self, answer: Answer) -> Outcome:
        self.failed |= answer.status == 401
        return Rejected("failed before", 401) if self.failed else super().judge(answer)


class Truncates(Pager):
    def body(self, content: Content) -> bytes:
        return super().body(tuple(text[:100] for text in content))


class Strips(Pager):
    def render(self, message: Message, protocol: str) -> Content:
        return tuple(text.strip() for text in super().render(message, protocol))


class Breaks(Pager):
    def body(self, content: Content) -> bytes:
        return b'{"text":"%s"}' % "".join(content).encode()


class Injects(Pager):
    def headers(self, content: Content | bytes) -> dict[str, str]:
        return {"X-Text": str(content[-1])} if content else {}


class Forgets(Pager):
    limits = Limits(confirm=True)

    def render(self, message: Message, protocol: str) -> Content:
        return ("welcome", message.text(protocol) if not message.link else "")


class Numbers(Pager):
    count = 0

    def headers(self, content: Content | bytes) -> dict[str, str]:
        self.count += 1
        return {"X-Count": str(self.count)}


class Tiny(Pager):
    def size(self, content: Content) -> int:
        return 1


class Swallows(Pager):
    async def send(self, content: Content, prepared: str) -> Outcome:
        try:
            return await super().send(content, prepared)
        except asyncio.CancelledError:
            return Retry("stopped")


class Leaves(Pager):
    task: asyncio.Task[None]

    async def send(self, content: Content, prepared: str) -> Outcome:
        self.task = asyncio.create_task(self.linger())
        return await super().send(content, prepared)

    async def linger(self) -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


class AcceptsAll(Pager):
    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        del endpoint


class Stumbles(Pager):
    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        int(endpoint)


class Claims(Pager):
    protocols = ("pager", "beeper")


class Shouts(Pager):
    notice = "key k3y is used\n"


class Silent(Pager):
    limits = Limits(max_bytes=0)


BROKEN: list[tuple[type[Pager], str, str]] = [
    (Claims, "test_every_protocol_has_a_sample", "beeper"),
    (Silent, "test_limits_make_sense", "max_bytes"),
    (Forgets, "test_limits_make_sense", "declare confirmations"),
    (Shouts, "test_the_notice_is_one_sentence_or_nothing", "not one line"),
    (AcceptsAll, "test_a_bad_endpoint_gets_its_code", "accepted"),
    (Stumbles, "test_a_hostile_endpoint_is_refused", "raised ValueError"),
    (Anonymous, "test_who_is_reached_has_one_name", "names nobody"),
    (Distinguishes, "test_who_is_reached_has_one_name", "not of the receiver alone"),
    (Waits, "test_render_and_prepare_are_pure", "must not be async"),
    (Changes, "test_render_and_prepare_are_pure", "equal values"),
    (Forgets, "test_every_kind_is_sent_in_every_language", "does not show its link"),
    (Strips, "test_any_text_arrives_intact_or_is_rejected", "is not in what was sent"),
    (Breaks, "test_any_text_arrives_intact_or_is_rejected", "broken"),
    (Injects, "test_any_text_arrives_intact_or_is_rejected", "not one line"),
    (Truncates, "test_the_longest_text_arrives_or_is_rejected", "is not in what was sent"),
    (Tiny, "test_size_is_what_a_send_holds", "size() says 1"),
    (Numbers, "test_another_try_sends_the_same", "another try differs"),
    (Believes, "test_a_server_out_of_order_is_tried_again", "Retry or Throttled"),
    (Raises, "test_whatever_comes_back_is_an_outcome", "raised JSONDecodeError"),
    (Keeps, "test_whatever_comes_back_is_an_outcome", "more than 500 characters"),
    (WaitsForEver, "test_whatever_comes_back_is_an_outcome", "it waits"),
    (Remembers, "test_it_recovers", "hours after"),
    (Repeats, "test_secrets_are_shown_nowhere", "the secret 'k3y' is shown"),
    (Swallows, "test_a_send_can_be_cancelled", "ended as"),
]


@pytest.mark.parametrize(
    ("adapter", "test", "says"), BROKEN, ids=[f"{one.__name__}-{test}" for one, test, _ in BROKEN]
)
def test_a_broken_promise_is_named(adapter: type[Pager], test: str, says: str) -> None:
    """Each test fails for the adapter that breaks its promise, with a sentence about it."""

    class Case(PagerCase):
        made = adapter

    case = Case()
    run = getattr(case, test)
    asks = "sample" in run.__code__.co_varnames[: run.__code__.co_argcount]
    with pytest.raises(AssertionError) as failed:
        run(*(Case.samples if asks else ()))
    assert says in str(failed.value)


def test_samples_are_asked_for() -> None:
    """A suite without samples would pass by trying nothing."""

    class Empty(PagerCase):
        samples = ()

    class Asked:
        fixturenames = ("sample",)

        def parametrize(self, *_: Any, **__: Any) -> None: ...

    with pytest.raises(ValueError, match=r"Empty\.samples is empty"):
        Empty().pytest_generate_tests(Asked())
