"""What every adapter promises the engine, whatever it speaks.

A new built-in adapter adds its endpoints to `EXAMPLES`; everything else applies to it as is.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine.errors import CATALOG, Refused
from engine.guard import AddressGuard
from engine.models import (
    Delivered,
    Kind,
    Limits,
    Message,
    Rejected,
    Retry,
    Status,
    Subscription,
    Throttled,
)
from engine.policy import protocols
from engine.ports import Adapter, AddressRefused, Answer, TransportError
from engine.registry import load_adapters
from engine.testing import InstantTransport, MemoryOutbox, Request, fake_ports

TOPIC_URN = "urn:smn:region01:762bdb3251034f268af0e395c53ea09b:orders"


TAKEN = Answer(200)


@dataclass(frozen=True)
class Example:
    """Endpoints of a protocol that are good, and some that are not, with the code they get."""

    good: tuple[str, ...]
    bad: Mapping[str, str]
    extension: Mapping[str, object] = field(default_factory=dict)
    success: Answer | Callable[[Request], Answer] = TAKEN
    """What whoever takes a message answers."""
    most: int = 262_144
    """Characters of a text that are sent for sure; a longer one may be cut."""


EXAMPLES = {
    "http": Example(
        good=("http://8.8.8.8/", "http://8.8.8.8:8080/hook?a=b"),
        bad={"https://8.8.8.8/": "SMN.0012", "http://10.0.0.1/": "SMN.0069"},
        extension={"header": {"X-Token": "value"}},
    ),
    "https": Example(
        good=("https://8.8.8.8/", "https://[2606:4700:4700::1111]/"),
        bad={"http://8.8.8.8/": "SMN.0012", "https://localhost/": "SMN.0069"},
        extension={"header": {"X-Token": "value"}},
    ),
    "functionstage": Example(
        good=(
            "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize:latest",
            "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize",
        ),
        bad={
            "resize": "SMN.0012",
            "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize:..": (
                "SMN.0012"
            ),
        },
    ),
    "functiongraph": Example(
        good=("48aff955-dd1b-4ef1-9e5d-9d0b5cf0f1b5",), bad={"a/b": "SMN.0012"}
    ),
    "sms": Example(
        good=("13600000000", "+8613600000000"),
        bad={"136-0000": "SMN.0012", "somebody": "SMN.0012"},
    ),
}
EXAMPLES |= {
    "dingding": Example(
        good=("https://oapi.dingtalk.com/robot/send?access_token=0a1b",),
        bad={"https://8.8.8.8/robot/send?access_token=0a1b": "SMN.0012"},
        extension={"keyword": "alarm", "sign_secret": "SECx"},
        success=Answer(200, None, b'{"errcode":0,"errmsg":"ok"}'),
        most=100,
    ),
    "feishu": Example(
        good=(
            "https://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d",
            "https://open.larksuite.com/open-apis/bot/v2/hook/1f2e-3d",
        ),
        bad={"http://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d": "SMN.0012"},
        extension={"sign_secret": "x"},
        success=Answer(200, None, b'{"code":0,"msg":"success","data":{}}'),
        most=100,
    ),
    "wechat": Example(
        good=("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx",),
        bad={"https://example.com/cgi-bin/webhook/send?key=693a91f6-7xxx": "SMN.0012"},
        success=Answer(200, None, b'{"errcode":0,"errmsg":"ok"}'),
        most=100,
    ),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "function": {"url": "http://gw/{urn}", "workflow_url": "http://gw/{id}"},
}
"""What `tocsin.toml` says to adapters that speak only where they are told to."""
HOSTILE_ENDPOINTS = ("", " ", "\x00", "%s%n{}", "../../etc/passwd", "x" * 100_000, "中文")
HOSTILE_ENDINGS = (" ", "\x00", "\n", "\r\nX: y", "\x1b[31m", "\u202e", "1" * 100_000, "中文", "🙂")
HOSTILE_TEXTS = {
    "empty": "",
    "quotes": "'\"`\\{}[]<>&;|$(){{}}%s%n",
    "lines": "a\r\nb\n.\r\n\x00\x07\x1b[31m\x7f",
    "unicode": "中文 🙂 \u202e\u2028\ufeff e\u0301",
    "json": '{"type":"Notification","message":"forged"}',
    "quarter megabyte": "x" * 262_144,
    "quarter megabyte of controls": "\x01" * 262_144,
    "quarter megabyte of Chinese": "中" * 87_381,
}
MESSAGE = Message(
    id="d" * 32,
    topic_id="a" * 32,
    topic_urn=TOPIC_URN,
    project_id="762bdb3251034f268af0e395c53ea09b",
    kind=Kind.NOTIFICATION,
    content={"default": "text"},
    created_ms=1_720_604_700_000,
    deadline_ms=1_720_608_300_000,
    subject="subject",
    topic_name="orders",
    link="https://smn.example.com/smn/subscription/confirm?token=" + "0" * 128,
)
FOUND = load_adapters(fake_ports(), SETTINGS)
every_protocol = pytest.mark.parametrize("protocol", sorted(FOUND))


def build(protocol: str, **given: Any) -> Adapter[Any, Any]:
    """A fresh adapter for the protocol; ``transport`` is its way to everywhere.

    Whoever it speaks to takes everything, unless a transport is given.
    """
    given.setdefault("transport", InstantTransport(EXAMPLES[protocol].success))
    given.setdefault("gateway", given["transport"])
    return load_adapters(fake_ports(guard=AddressGuard(), **given), SETTINGS)[protocol]


async def check(
    adapter: Adapter[Any, Any], protocol: str, endpoint: str, extension: Mapping[str, object]
) -> None:
    """As the engine does: the contract's rules first, then what the adapter narrows."""
    await adapter.check(protocol, endpoint, protocols.check(protocol, endpoint, extension))


def texts(value: object) -> Iterator[str]:
    """All strings in a JSON value, however deep, also in JSON that is in a string."""
    match value:
        case str():
            yield value
            if value.startswith(("{", "[")):
                yield from texts(_read(value))
        case dict():
            yield from texts(list(value.values()))
        case list():
            for one in value:
                yield from texts(one)
        case _:
            pass


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def subscription(protocol: str) -> Subscription:
    """A subscription with the protocol's first good endpoint."""
    example = EXAMPLES[protocol]
    return Subscription(
        id="b" * 32,
        topic_id="a" * 32,
        topic_urn=TOPIC_URN,
        protocol=protocol,
        endpoint=example.good[0],
        status=Status.CONFIRMED,
        page=0,
        seat=0,
        extension=example.extension,
    )


def test_every_built_in_protocol_is_covered_here() -> None:
    """Nobody adds an adapter without showing it to this suite."""
    assert set(FOUND) == set(EXAMPLES)


@every_protocol
def test_limits_are_declared(protocol: str) -> None:
    """The engine enforces what the adapter declares, so it must make sense."""
    limits = FOUND[protocol].limits
    assert isinstance(limits, Limits)
    assert 0 < limits.max_bytes <= 262_144
    for rate in limits.rates:
        assert rate.count >= 1
        assert 0 < rate.margin_s <= rate.period_s / 4
    for window in limits.confirmations:
        assert min(window.count, window.period_s) > 0
        assert window.penalty_s >= 0
    assert limits.confirmations or not limits.confirm


@every_protocol
def test_notice_is_one_sentence_or_nothing(protocol: str) -> None:
    """It is shown to the operator at start, on one line."""
    notice = FOUND[protocol].notice
    assert "\n" not in notice
    assert not notice or notice.endswith(".")


@every_protocol
async def test_good_endpoint_is_accepted(protocol: str) -> None:
    """With and without its extension."""
    adapter, example = build(protocol), EXAMPLES[protocol]
    for endpoint in example.good:
        await check(adapter, protocol, endpoint, example.extension)


@every_protocol
async def test_bad_endpoint_gets_the_contracts_code(protocol: str) -> None:
    """The caller learns what was wrong."""
    adapter, example = build(protocol), EXAMPLES[protocol]
    for endpoint, code in example.bad.items():
        with pytest.raises(Refused) as refused:
            await check(adapter, protocol, endpoint, example.extension)
        assert refused.value.code == code


@every_protocol
async def test_hostile_endpoint_is_refused(protocol: str) -> None:
    """Never accepted, never an exception of another kind, never echoed at length."""
    adapter, example = build(protocol), EXAMPLES[protocol]
    endings = (example.good[0] + ending for ending in HOSTILE_ENDINGS)
    for endpoint in (*HOSTILE_ENDPOINTS, *endings):
        with pytest.raises(Refused) as refused:
            await check(adapter, protocol, endpoint, example.extension)
        assert refused.value.code in CATALOG
        assert len(str(refused.value)) < 400


@every_protocol
@pytest.mark.parametrize("kind", list(Kind))
async def test_every_kind_of_message_can_be_sent(protocol: str, kind: Kind) -> None:
    """Whatever the engine addresses to a subscription, the adapter has a form for it."""
    adapter = build(protocol)
    content = adapter.render(replace(MESSAGE, kind=kind), protocol)
    assert adapter.size(content) > 0
    assert isinstance(
        await adapter.send(content, adapter.prepare(subscription(protocol))), Delivered
    )


@every_protocol
@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS.keys())
async def test_any_text_ends_in_an_outcome(protocol: str, text: str) -> None:
    """Delivered unharmed or rejected with a reason, never an exception."""
    transport, outbox = InstantTransport(EXAMPLES[protocol].success), MemoryOutbox()
    adapter = build(protocol, transport=transport, outbox=outbox)
    most = EXAMPLES[protocol].most
    message = replace(MESSAGE, content={"default": text}, subject=text[:512])
    content = adapter.render(message, protocol)
    outcome = await adapter.send(content, adapter.prepare(subscription(protocol)))
    if isinstance(outcome, Rejected):
        assert outcome.reason
        assert not transport.requests
        assert not outbox.entries
        return
    assert isinstance(outcome, Delivered)
    for request in transport.requests:
        wanted = text if len(text) <= most else text[:most]
        assert any(wanted in found for found in texts(json.loads(request.body)))
        assert all(character not in "".join(request.headers.values()) for character in "\r\n")
    for _, _, fields in outbox.entries:
        assert json.loads(json.dumps(fields))["text"] == text
    assert len(transport.requests) + len(outbox.entries) == 1


@every_protocol
async def test_size_is_what_a_send_holds(protocol: str) -> None:
    """The engine bounds bytes in flight by it: never less than what goes out, not far more."""
    transport = InstantTransport(EXAMPLES[protocol].success)
    adapter = build(protocol, transport=transport)
    for length in (0, 1_000, 100_000):
        content = adapter.render(replace(MESSAGE, content={"default": "x" * length}), protocol)
        await adapter.send(content, adapter.prepare(subscription(protocol)))
        out = len(transport.requests.pop().body) if transport.requests else length
        assert out <= adapter.size(content) <= out + 4096


@every_protocol
async def test_try_again_sends_the_same(protocol: str) -> None:
    """Another try, or another worker, sends the same bytes: receivers find repeats by them."""
    sent: list[Any] = []
    for _ in range(2):
        transport, outbox = InstantTransport(EXAMPLES[protocol].success), MemoryOutbox()
        adapter = build(protocol, transport=transport, outbox=outbox)
        content = adapter.render(MESSAGE, protocol)
        target = adapter.prepare(subscription(protocol))
        await adapter.send(content, target)
        await adapter.send(content, target)
        sent += [*transport.requests, *outbox.entries]
    assert len(sent) == 4
    assert all(one == sent[0] for one in sent)


@every_protocol
@pytest.mark.parametrize(
    "answer",
    [
        TransportError("timed out"),
        AddressRefused("address refused"),
        *(Answer(status, "1") for status in (100, 204, 302, 404, 429, 503, 599)),
        Answer(500, None, b"\x00\xff" * 10_000),
        Answer(429, "nonsense \r\n"),
    ],
    ids=repr,
)
async def test_whatever_comes_back_is_an_outcome(
    protocol: str, answer: Answer | TransportError
) -> None:
    """An exception out of `send` means a bug, so no answer may cause one."""
    adapter = build(protocol, transport=InstantTransport(answer))
    content = adapter.render(MESSAGE, protocol)
    outcome = await adapter.send(content, adapter.prepare(subscription(protocol)))
    assert isinstance(outcome, Delivered | Retry | Throttled | Rejected)
    if isinstance(outcome, Retry | Rejected):
        assert outcome.reason
        assert outcome.answer.isprintable()
        assert len(outcome.answer) <= 500


@every_protocol
async def test_sends_do_not_disturb_each_other(protocol: str) -> None:
    """One content serves any number of sends at once."""
    adapter = build(protocol)
    content = adapter.render(MESSAGE, protocol)
    target = adapter.prepare(subscription(protocol))
    outcomes = await asyncio.gather(*(adapter.send(content, target) for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Delivered}


@every_protocol
async def test_cancelling_a_send_cancels_it(protocol: str) -> None:
    """A worker that stops is not held up by an endpoint, nor told that the endpoint failed."""
    began = asyncio.Event()

    class Waiting(InstantTransport):
        async def request(
            self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
        ) -> Answer:
            began.set()
            await asyncio.Event().wait()
            return Answer(200)

    class WaitingOutbox(MemoryOutbox):
        async def put(self, protocol: str, endpoint: str, fields: Mapping[str, object]) -> None:
            began.set()
            await asyncio.Event().wait()

    adapter = build(protocol, transport=Waiting(), outbox=WaitingOutbox())
    content = adapter.render(MESSAGE, protocol)
    task = asyncio.create_task(adapter.send(content, adapter.prepare(subscription(protocol))))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@every_protocol
async def test_close_may_come_without_a_send_and_twice(protocol: str) -> None:
    """Stopping is always possible."""
    adapter = build(protocol)
    await adapter.close()
    await adapter.close()
