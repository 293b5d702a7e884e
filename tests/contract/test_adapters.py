"""What every built-in adapter promises the engine: `engine.testing.conformance`, one table.

A new adapter adds a class with its endpoints; everything else applies to it as is.
"""

from importlib.metadata import distribution
from typing import ClassVar

from pydantic import SecretStr

from adapters.dingtalk import DingTalkAdapter
from adapters.function import FunctionAdapter, FunctionSettings
from adapters.lark import LarkAdapter
from adapters.sms import SmsAdapter
from adapters.webhook import WebhookAdapter
from adapters.wecom import WecomAdapter
from engine.ports import Answer, Ports
from engine.registry import GROUP
from engine.testing import Request, fake_ports
from engine.testing.conformance import AdapterConformance, Sample

FUNCTION = "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize"


class TestWebhook(AdapterConformance):
    samples = (
        Sample(
            "http",
            "http://8.8.8.8/",
            extension={"header": {"Authorization": 'Bearer "t0ken"'}},
            secrets=("t0ken",),
            others=("http://8.8.8.8:8080/hook?a=b",),
            bad={"https://8.8.8.8/": "SMN.0012", "http://10.0.0.1/": "SMN.0069"},
        ),
        Sample(
            "https",
            "https://8.8.8.8/",
            others=("https://[2606:4700:4700::1111]/",),
            bad={"http://8.8.8.8/": "SMN.0012", "https://localhost/": "SMN.0069"},
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
    "callnotify": Example(
        good=("13600000000", "+8613600000000"),
        bad={"136-0000": "SMN.0012", "somebody": "SMN.0012"},
        extension={"verification_code_enabled": True},
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
    "voice": {"url": "https://gateway.example/call"},
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

    def make(self, ports: Ports) -> WebhookAdapter:
        return WebhookAdapter(ports)


class TestFunction(AdapterConformance):
    settings = FunctionSettings(
        url="http://gateway.example/{urn}",
        workflow_url="http://gateway.example/{id}",
        access_key="AKEXAMPLE",
        secret_key=SecretStr("s3cr3t-key"),
        headers={"X-Auth-Token": SecretStr("t0ken")},
    )
    samples = (
        Sample(
            "functionstage",
            f"{FUNCTION}:latest",
            others=(FUNCTION,),
            secrets=("s3cr3t-key", "t0ken"),
            bad={"resize": "SMN.0012", f"{FUNCTION}:..": "SMN.0012"},
        ),
        Sample(
            "functiongraph",
            "48aff955-dd1b-4ef1-9e5d-9d0b5cf0f1b5",
            secrets=("s3cr3t-key", "t0ken"),
            bad={"a/b": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> FunctionAdapter:
        return FunctionAdapter(ports)


class BotConformance(AdapterConformance):
    """Bots' platforms answer with a code in the body, and take short messages."""

    good: ClassVar[bytes]
    most = 400

    def answer(self, request: Request) -> Answer:
        return Answer(200, None, self.good)


class TestDingTalk(BotConformance):
    good = b'{"errcode":0,"errmsg":"ok"}'
    samples = (
        Sample(
            "dingding",
            "https://oapi.dingtalk.com/robot/send?access_token=0a1b2c3d",
            {"keyword": "alarm", "sign_secret": "SECx0y1z2"},
            secrets=("0a1b2c3d", "SECx0y1z2"),
            bad={"https://8.8.8.8/robot/send?access_token=0a1b2c3d": "SMN.0012"},
        ),
        Sample("dingding", "https://oapi.dingtalk.com/robot/send?access_token=0a1b2c3d"),
    )

    def make(self, ports: Ports) -> DingTalkAdapter:
        return DingTalkAdapter(ports)


class TestLark(BotConformance):
    good = b'{"code":0,"msg":"success","data":{}}'
    samples = (
        Sample(
            "feishu",
            "https://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d4c",
            {"sign_secret": "x0y1z2"},
            secrets=("1f2e-3d4c", "x0y1z2"),
            others=("https://open.larksuite.com/open-apis/bot/v2/hook/1f2e-3d4c",),
            bad={"http://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d4c": "SMN.0012"},
        ),
        Sample(
            "feishu",
            "https://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d4c",
            {"keyword": "alarm"},
            secrets=("1f2e-3d4c",),
        ),
    )

    def make(self, ports: Ports) -> LarkAdapter:
        return LarkAdapter(ports)


class TestWecom(BotConformance):
    good = b'{"errcode":0,"errmsg":"ok"}'
    samples = (
        Sample(
            "wechat",
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx",
            secrets=("693a91f6-7xxx",),
            bad={"https://example.com/cgi-bin/webhook/send?key=693a91f6-7xxx": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> WecomAdapter:
        return WecomAdapter(ports)


class TestSms(AdapterConformance):
    samples = (
        Sample(
            "sms",
            "13600000000",
            extension={"verification_code_enabled": True},
            others=("+8613600000000",),
            bad={"136-0000": "SMN.0012", "somebody": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> SmsAdapter:
        return SmsAdapter(ports)
    class Waiting(InstantTransport):
        async def request(
            self,
            method: str,
            url: str,
            headers: Mapping[str, str],
            body: bytes = b"",
            *,
            timeout_s: float | None = None,
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


def test_every_adapter_is_in_this_table() -> None:
    """Nobody adds an adapter without showing it to the suite."""
    built_in = distribution("tocsin").entry_points.select(group=GROUP)
    suites = [one for name, one in globals().items() if name.startswith("Test")]
    tried = {type(suite().make(fake_ports(settings=suite.settings))) for suite in suites}
    assert {point.load() for point in built_in} - tried == set()
