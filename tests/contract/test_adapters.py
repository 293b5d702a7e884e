"""What every built-in adapter promises the engine: `engine.testing.conformance`, one table.

A new adapter adds a class with its endpoints; everything else applies to it as is.
"""

import json
import re
from dataclasses import replace
from importlib.metadata import distribution
from typing import ClassVar

from pydantic import SecretStr

from adapters.dingtalk import DingTalkAdapter, DingTalkBotAdapter
from adapters.function import FunctionAdapter, FunctionSettings
from adapters.lark import LarkAdapter
from adapters.push import Push, PushAdapter, PushSettings
from adapters.sms import SmsAdapter, SmsSettings
from adapters.smtp import SmtpAdapter
from adapters.voice import VoiceAdapter, VoiceSettings
from adapters.webhook import WebhookAdapter
from adapters.wecom import WecomAdapter
from adapters.welink import WelinkAdapter
from engine.models import Message
from engine.ports import Answer, MobileDevice, Ports
from engine.registry import GROUP
from engine.testing import KnownDevices, Request, fake_ports
from engine.testing.conformance import AdapterConformance, Outgoing, Sample
from tests import apple_push, push_kit
from tests.apple import push_certificate
from tests.platforms.apps import shown_text

PHONE = f"urn:smn:region01:762bdb3251034f268af0e395c53ea09b:endpoint:HMS:shop:{'e' * 32}"
IPHONE = PHONE.replace(":HMS:", ":APNS:")
APPLE = push_certificate()
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


APP = {"app_key": "dingkey", "app_secret": "hush-hush", "robot_code": "dingkey"}


class TestDingTalkGroup(BotConformance):
    """A group without a webhook, which an application's robot speaks to."""

    good = b'{"accessToken":"t0ken","expireIn":7200,"processQueryKey":"p"}'
    samples = (
        Sample(
            "dingding",
            "cidAbc0123==",
            APP,
            secrets=("hush-hush", "t0ken"),
            bad={"cid Abc": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> DingTalkAdapter:
        return DingTalkAdapter(ports)


class TestDingTalkBot(BotConformance):
    good = b'{"accessToken":"t0ken","expireIn":7200,"processQueryKey":"p"}'
    samples = (
        Sample(
            "dingTalkBot",
            "manager1234",
            APP,
            secrets=("hush-hush", "t0ken"),
            bad={"somebody else": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> DingTalkBotAdapter:
        return DingTalkBotAdapter(ports)


class TestWelink(BotConformance):
    good = b'{"code":"0","access_token":"t0ken","expires_in":7200}'
    samples = (
        Sample(
            "welink",
            "123456789",
            {"client_id": "20190828", "client_secret": "hush-hush"},
            secrets=("hush-hush", "t0ken"),
            bad={"group": "SMN.0012"},
        ),
    )

    def shown(self, text: str) -> str:
        """XML has one form of line ends, and no other control characters."""
        text = re.sub(r"\r\n?", "\n", text)
        return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)

    def readable(self, sent: Outgoing) -> str:
        """The text in the XML that is text in XML."""
        content = json.loads(sent.body).get("content")
        return "" if content is None else shown_text(content)

    def make(self, ports: Ports) -> WelinkAdapter:
        return WelinkAdapter(ports)


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


class TestSmsGateway(AdapterConformance):
    settings = SmsSettings(
        url="https://sms.example.com/send?user={user}",
        headers={"Authorization": SecretStr("Bearer {key}"), "X-Id": SecretStr("{message_id}")},
        secrets={"key": SecretStr("k3y-of-ours"), "user": SecretStr("us3r/name")},
        body='{"to": "{digits}", "text": "{text}"}',
        brackets="allow",
        success_json={"code": 0},
    )
    samples = (
        Sample("sms", "13600000000", secrets=("k3y-of-ours", "us3r/name", "us3r%2Fname")),
        Sample("sms", "+8613600000000", {"verification_code_enabled": True}),
    )

    def make(self, ports: Ports) -> SmsAdapter:
        return SmsAdapter(ports)

    def answer(self, request: Request) -> Answer:
        return Answer(200, None, b'{"code": 0, "text": "OK"}')


class TestVoice(AdapterConformance):
    settings = VoiceSettings(
        url="https://voice.example.com/calls",
        headers={"X-Api-Key": SecretStr("k3y-of-ours")},
        content_type="application/x-www-form-urlencoded",
        body="callee={number}&text={text}&link={link}",
    )
    samples = (
        Sample(
            "callnotify",
            "13600000000",
            {"verification_code_enabled": True},
            secrets=("k3y-of-ours",),
            bad={"somebody": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> VoiceAdapter:
        return VoiceAdapter(ports)


class TestMail(AdapterConformance):
    samples = (
        Sample(
            "email",
            "somebody@example.com",
            others=("o'neil+a.b@mail.example.org", "a@xn--fsqu00a.xn--0zwm56d"),
            bad={
                "somebody": "SMN.0012",
                "a@b@example.com": "SMN.0012",
                "a@example.com>\r\nRCPT TO:<b@example.com": "SMN.0012",
                "a@[127.0.0.1]": "SMN.0012",
            },
        ),
    )

    def make(self, ports: Ports) -> SmtpAdapter:
        return SmtpAdapter(ports)


class Alerts(PushAdapter):
    """Push, by a publisher that writes every text as Apple wants it."""

    def render(self, message: Message, protocol: str) -> Push:
        """The message with each of its texts as an alert."""
        alerts = {
            name: json.dumps({"aps": {"alert": text}}, ensure_ascii=False)
            for name, text in message.content.items()
        }
        return super().render(message._replace(content=alerts), protocol)


class TestPushToApns(AdapterConformance):
    settings = PushSettings(enabled=True)
    samples = (Sample("application", IPHONE, secrets=(apple_push.DEVICE, APPLE[1], APPLE[1][:40])),)

    def make(self, ports: Ports) -> PushAdapter:
        device = MobileDevice("APNS", apple_push.DEVICE, True, *APPLE)
        return Alerts(replace(ports, devices=KnownDevices({IPHONE: device})))


class TestPushToHms(AdapterConformance):
    settings = PushSettings(enabled=True)
    samples = (
        Sample(
            "application",
            PHONE,
            secrets=(push_kit.APP_SECRET, push_kit.DEVICE),
            bad={PHONE[:-1]: "SMN.0012", PHONE.replace(":shop:", ":gone:"): "SMN.0012"},
        ),
    )

    def answer(self, request: Request) -> Answer:
        return push_kit.takes_all(request)

    def make(self, ports: Ports) -> PushAdapter:
        device = MobileDevice("HMS", push_kit.DEVICE, True, push_kit.APP_ID, push_kit.APP_SECRET)
        return PushAdapter(replace(ports, devices=KnownDevices({PHONE: device})))


def test_every_adapter_is_in_this_table() -> None:
    """Nobody adds an adapter without showing it to the suite."""
    built_in = distribution("tocsin").entry_points.select(group=GROUP)
    suites = [one for name, one in globals().items() if name.startswith("Test")]
    tried = {type(suite().make(fake_ports(settings=suite.settings))) for suite in suites}
    assert {point.load() for point in built_in} - tried == set()
