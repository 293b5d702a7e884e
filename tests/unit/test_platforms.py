"""The stand-ins for bots' platforms enforce what is documented: each rule is broken here."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from engine.testing import EPOCH_MS, ManualClock, Request
from tests.platforms.apps import DingTalkApps, WeLink
from tests.platforms.bots import Bot, Platform, served
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.wecom import WeCom

JSON = {"Content-Type": "application/json"}


class Ground:
    """A platform with one bot, asked without sockets."""

    def __init__(self, kind: type[Platform], path: str, bot: Bot | None = None) -> None:
        self.clock = ManualClock()
        self.platform = kind(self.clock.now_ms)
        self.bot = self.platform.add("token", bot)
        self.url = f"https://platform.example{path}"

    def ask(
        self,
        body: object,
        *,
        url: str | None = None,
        headers: Mapping[str, str] = JSON,
        method: str = "POST",
    ) -> int:
        """The code of the answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.platform.answer(Request(url or self.url, headers, raw, method))
        found = json.loads(answer.body)
        return int(found.get("errcode", found.get("code")))


def signature(key: str, data: str) -> str:
    """As the platforms describe it."""
    digest = hmac.new(key.encode(), data.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


# DingTalk

DING_TEXT: dict[str, Any] = {"msgtype": "text", "text": {"content": "hello alarm"}}


def ding(bot: Bot | None = None) -> Ground:
    """DingTalk."""
    return Ground(DingTalk, "/robot/send?access_token=token", bot)


def test_dingtalk_takes_what_is_right() -> None:
    """And shows it."""
    here = ding(Bot(keywords=("alarm", "other")))
    markdown = {"msgtype": "markdown", "markdown": {"title": "alarm", "text": "x"}}
    assert [here.ask(DING_TEXT), here.ask(markdown)] == [0, 0]
    assert [one.text for one in here.bot.shown] == ["hello alarm", "x"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 40035),
        ([], 40035),
        ({}, 400105),
        ({"msgtype": "voice"}, 400105),
        ({"msgtype": "text", "markdown": {"title": "t", "text": "x"}}, 40035),
        ({"msgtype": "text", "text": {"content": ""}}, 40035),
        ({"msgtype": "markdown", "markdown": {"text": "x"}}, 40035),
        ({"msgtype": "text", "text": {"content": "x" * 20_000}}, 460101),
    ],
)
def test_dingtalk_refuses_bodies(body: object, code: int) -> None:
    """That are not JSON, of no known kind, without what they need, or too long."""
    here = ding()
    assert here.ask(body) == code
    assert not here.bot.shown


def test_dingtalk_refuses_requests() -> None:
    """Of another method or type, and to bots that are not there."""
    here = ding()
    assert here.ask(DING_TEXT, method="GET") == 43002
    assert here.ask(DING_TEXT, headers={"Content-Type": "text/plain"}) == 43004
    assert here.ask(DING_TEXT, url=here.url + "x") == 300005


def test_dingtalk_wants_a_keyword() -> None:
    """If the bot has some."""
    assert ding(Bot(keywords=("Alarm",))).ask(DING_TEXT) == 310000


@pytest.mark.parametrize(
    ("late_ms", "secret", "code"),
    [
        (0, "SECx", 0),
        (3_600_000, "SECx", 0),
        (3_600_001, "SECx", 310000),
        (-3_600_001, "SECx", 310000),
        (0, "SECy", 310000),
    ],
)
def test_dingtalk_wants_a_signature(late_ms: int, secret: str, code: int) -> None:
    """By the bot's secret and not more than an hour old, or none is needed."""
    here = ding(Bot(secret="SECx"))
    assert here.ask(DING_TEXT) == 310000
    timestamp = EPOCH_MS - late_ms
    sign = quote(signature(secret, f"{timestamp}\n{secret}"), safe="")
    url = f"{here.url}&timestamp={timestamp}&sign={sign}"
    assert here.ask(DING_TEXT, url=url) == code


def test_dingtalk_shuts_out_who_is_too_fast() -> None:
    """More than 20 in any minute cost ten."""
    here = ding()
    for _ in range(20):
        assert here.ask(DING_TEXT) == 0
        here.clock.advance(2_000)
    here.clock.advance(19_999)
    assert here.ask(DING_TEXT) == 130101
    here.clock.advance(599_999)
    assert here.ask(DING_TEXT) == 130101
    here.clock.advance(1)
    assert here.ask(DING_TEXT) == 0
    assert here.platform.refusals == [130101, 130101]


def test_dingtalk_allows_20_in_each_minute() -> None:
    """Not one less."""
    here = ding()
    for _ in range(5):
        assert {here.ask(DING_TEXT) for _ in range(20)} == {0}
        here.clock.advance(60_000)


def test_dingtalk_calls_whom_the_text_names() -> None:
    """The list alone does not call anybody."""
    here = ding()
    at = {"atMobiles": ["138"], "atUserIds": ["ann"], "isAtAll": True}
    here.ask({"msgtype": "text", "text": {"content": "@ann"}, "at": at})
    assert here.bot.shown[0].mentions == ("ann", "all")


# Lark

LARK_TEXT: dict[str, Any] = {"msg_type": "text", "content": {"text": "hello alarm"}}


def card(**given: Any) -> dict[str, Any]:
    """A card of Lark's, but for what is given."""
    found = {
        "header": {"title": {"tag": "plain_text", "content": "t"}, "template": "red"},
        "elements": [{"tag": "markdown", "content": "**x**"}],
    }
    return {"msg_type": "interactive", "card": found | given}


def lark(bot: Bot | None = None) -> Ground:
    """Lark."""
    return Ground(Lark, "/open-apis/bot/v2/hook/token", bot)


def test_lark_takes_what_is_right() -> None:
    """And shows it."""
    here = lark()
    assert [here.ask(LARK_TEXT), here.ask(card())] == [0, 0]
    assert [one.text for one in here.bot.shown] == ["hello alarm", "**x**"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {},
        {"msg_type": "markdown"},
        {"msg_type": "text", "content": {"text": ""}},
        {"msg_type": "text", "content": {"text": "x" * 20_480}},
        card(elements=[]),
        card(elements=[{"tag": "div", "content": "x"}]),
        card(header={"title": {"tag": "plain_text", "content": ""}}),
        card(header={"title": {"tag": "lark_md", "content": "t"}}),
        card(header={"title": {"tag": "plain_text", "content": "t"}, "template": "pink"}),
    ],
    ids=lambda body: repr(body)[:60],
)
def test_lark_refuses_bodies(body: object) -> None:
    """That are not JSON, of no known kind, without what they need, or too long."""
    here = lark()
    assert here.ask(body) == 9499
    assert not here.bot.shown


def test_lark_refuses_requests() -> None:
    """To bots that are not there, of another method or type."""
    here = lark()
    assert here.ask(LARK_TEXT, url=here.url + "x") == 19001
    assert here.ask(LARK_TEXT, url="https://platform.example/hook/token") == 404
    assert here.ask(LARK_TEXT, method="GET") == 404
    assert here.ask(LARK_TEXT, headers={}) == 9499


def test_lark_wants_a_keyword() -> None:
    """If the bot has some; the title may hold it."""
    here = lark(Bot(keywords=("t", "Alarm")))
    assert here.ask({"msg_type": "text", "content": {"text": "hello"}}) == 19024
    assert here.ask(card()) == 0


@pytest.mark.parametrize(
    ("late_s", "secret", "code"),
    [(0, "x", 0), (3_600, "x", 0), (3_601, "x", 19021), (-3_601, "x", 19021), (0, "y", 19021)],
)
def test_lark_wants_a_signature(late_s: int, secret: str, code: int) -> None:
    """By the bot's secret and not more than an hour old; both are strings."""
    here = lark(Bot(secret="x"))
    assert here.ask(LARK_TEXT) == 19021
    timestamp = EPOCH_MS // 1000 - late_s
    sign = signature(f"{timestamp}\n{secret}", "")
    assert here.ask(LARK_TEXT | {"timestamp": str(timestamp), "sign": sign}) == code
    assert here.ask(LARK_TEXT | {"timestamp": timestamp, "sign": sign}) == 19021


def test_lark_counts_by_the_second_and_by_the_minute() -> None:
    """5 in any second and 100 in any minute, and no more."""
    here = lark()
    assert [here.ask(LARK_TEXT) for _ in range(6)] == [0] * 5 + [11232]
    here.clock.advance(60_000)
    for _ in range(20):
        assert {here.ask(LARK_TEXT) for _ in range(5)} == {0}
        here.clock.advance(1_000)
    assert here.ask(LARK_TEXT) == 11232
    here.clock.advance(40_000)
    assert here.ask(LARK_TEXT) == 0


# WeCom

WECOM_TEXT: dict[str, Any] = {"msgtype": "text", "text": {"content": "hello"}}


def wecom(bot: Bot | None = None) -> Ground:
    """WeCom."""
    return Ground(WeCom, "/cgi-bin/webhook/send?key=token", bot)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (WECOM_TEXT, 0),
        ({"msgtype": "text", "text": {"content": "报" * 682 + "xx"}}, 0),
        ({"msgtype": "text", "text": {"content": "报" * 682 + "xxx"}}, 40058),
        ({"msgtype": "markdown", "markdown": {"content": "x" * 4096}}, 0),
        ({"msgtype": "markdown", "markdown": {"content": "x" * 4097}}, 40058),
        ({"msgtype": "text", "text": {"content": ""}}, 44004),
        ({"msgtype": "text", "markdown": {"content": "x"}}, 44004),
        ({"msgtype": "interactive"}, 40008),
        (b"{", 40058),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_wecom_judges_bodies(body: object, code: int) -> None:
    """By kind, content, and bytes of UTF-8."""
    assert wecom().ask(body) == code


def test_wecom_refuses_requests() -> None:
    """To bots that are not there."""
    here = wecom()
    assert here.ask(WECOM_TEXT, url=here.url + "x") == 93000
    assert here.ask(WECOM_TEXT, url="https://platform.example/send?key=token") == 404


def test_wecom_counts_by_the_minute() -> None:
    """20 in any minute, and no more."""
    here = wecom()
    assert [here.ask(WECOM_TEXT) for _ in range(21)] == [0] * 20 + [45009]
    here.clock.advance(59_999)
    assert here.ask(WECOM_TEXT) == 45009
    here.clock.advance(1)
    assert here.ask(WECOM_TEXT) == 0


# Applications


def dingtalk_apps() -> Ground:
    """DingTalk's robots of applications, with one member."""
    here = Ground(DingTalkApps, "/v1.0/robot/oToMessages/batchSend")
    here.platform.apps["key"] = "secret"  # type: ignore[attr-defined]
    here.platform.robots.add("robot")  # type: ignore[attr-defined]
    return here


def said(here: Ground, body: object, path: str, **headers: str) -> dict[str, Any]:
    """The answer to a request."""
    url = f"https://platform.example{path}"
    answer = here.platform.answer(Request(url, headers, json.dumps(body).encode()))
    return dict(json.loads(answer.body))


ROBOT: dict[str, Any] = {
    "robotCode": "robot",
    "userIds": ["token"],
    "msgKey": "sampleText",
    "msgParam": '{"content":"x"}',
}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, None),
        ({"robotCode": "other"}, "invalidParameter.robotCode.empty"),
        ({"userIds": []}, "invalidParameter.userIds.empty"),
        ({"userIds": ["u"] * 21}, "invalidParameter.userIds.empty"),
        ({"msgKey": "sampleOdd"}, "invalidParameter.msgKey.invalid"),
        ({"msgParam": "x"}, "invalidParameter.msgParam.invalid"),
        ({"msgParam": {"content": "x"}}, "invalidParameter.msgParam.invalid"),
        ({"msgParam": '{"text":"x"}'}, "invalidParameter.msgParam.invalid"),
        ({"msgParam": '{"content":"%s"}' % ("x" * 15_000)}, "invalidParameter.msgParam.invalid"),
        (
            {"msgKey": "sampleMarkdown", "msgParam": '{"text":"x"}'},
            "invalidParameter.msgParam.invalid",
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_dingtalk_judges_messages_of_robots(given: dict[str, Any], code: str | None) -> None:
    """By robot, readers, kind and parameter, which is JSON in a string."""
    here = dingtalk_apps()
    path = "/v1.0/robot/oToMessages/batchSend"
    token = said(here, {"appKey": "key", "appSecret": "secret"}, "/v1.0/oauth2/accessToken")
    auth = {"x-acs-dingtalk-access-token": token["accessToken"]}
    assert said(here, ROBOT | given, path, **auth).get("code") == code
    assert len(here.bot.shown) == (code is None)


def test_dingtalk_wants_a_token() -> None:
    """Of an application that it knows, and not for longer than it is good."""
    here, path = dingtalk_apps(), "/v1.0/robot/oToMessages/batchSend"
    for body in ({"appKey": "key", "appSecret": "x"}, {"appKey": "x"}, {}):
        found = said(here, body, "/v1.0/oauth2/accessToken")
        assert found["code"] == "invalidClientIdOrSecret"
    assert said(here, ROBOT, path)["code"] == "InvalidAuthentication"
    token = said(here, {"appKey": "key", "appSecret": "secret"}, "/v1.0/oauth2/accessToken")
    auth = {"x-acs-dingtalk-access-token": token["accessToken"]}
    assert "code" not in said(here, ROBOT, path, **auth)
    here.clock.advance(7_200_000)
    assert said(here, ROBOT, path, **auth)["code"] == "InvalidAuthentication"


def test_dingtalk_counts_an_applications_requests() -> None:
    """20 in any second, and no more; whoever is not reached is named."""
    here, path = dingtalk_apps(), "/v1.0/robot/oToMessages/batchSend"
    token = said(here, {"appKey": "key", "appSecret": "secret"}, "/v1.0/oauth2/accessToken")
    auth = {"x-acs-dingtalk-access-token": token["accessToken"]}
    for _ in range(20):
        found = said(here, ROBOT | {"userIds": ["token", "u"]}, path, **auth)
        assert found["invalidStaffIdList"] == ["u"]
    found = said(here, ROBOT, path, **auth)
    assert found["code"] == "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    here.clock.advance(1_000)
    assert "code" not in said(here, ROBOT, path, **auth)


GROUP: dict[str, Any] = {
    "app_service_info": {"app_service_id": "1", "app_service_name": "n"},
    "app_msg_id": "m",
    "group_id": ["token"],
    "content": "<r><n></n><g>0</g><c>&lt;imbody&gt;&lt;html&gt;&lt;![CDATA[&lt;DIV&gt;x&lt;/DIV"
    "&gt;]]&gt;&lt;/html&gt;&lt;content&gt;x&lt;/content&gt;&lt;/imbody&gt;</c></r>",
    "content_type": 0,
    "client_app_id": "1",
}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "0"),
        ({"group_id": ["other"]}, "43012"),
        ({"group_id": []}, "43012"),
        ({"app_msg_id": ""}, "43011"),
        ({"app_service_info": {}}, "43011"),
        ({"content_type": 1}, "43011"),
        ({"content": "x"}, "43011"),
        ({"content": "<r><c>x</c></r>"}, "43011"),
        ({"content": GROUP["content"].replace("DIV&gt;x", "DIV&gt;y")}, "43011"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_welink_judges_messages(given: dict[str, Any], code: str) -> None:
    """By group, identifier, kind, and XML of which text and HTML say the same."""
    here = Ground(WeLink, "")
    here.platform.apps["key"] = "secret"  # type: ignore[attr-defined]
    path = "/api/welinkim/v1/im-service/chat/group-chat"
    assert said(here, GROUP, path)["code"] == "1000"
    wrong = said(here, {"client_id": "key", "client_secret": "x"}, "/api/auth/v2/tickets")
    assert wrong["code"] == "411007"
    found = said(here, {"client_id": "key", "client_secret": "secret"}, "/api/auth/v2/tickets")
    auth = {"x-wlk-Authorization": found["access_token"]}
    for _ in range(2):  # a repeat is taken and not shown
        assert said(here, GROUP | given, path, **auth)["code"] == code
    assert len(here.bot.shown) == (code == "0")
    here.clock.advance(7_200_000)
    assert said(here, GROUP, path, **auth)["code"] == "1000"


# All


async def test_a_stand_in_can_be_behind_a_port() -> None:
    """Its URLs, methods, headers and bodies arrive as they were sent."""
    here = ding(Bot(secret="SECx"))
    sign = quote(signature("SECx", f"{EPOCH_MS}\nSECx"), safe="")
    async with served(here.platform) as base, aiohttp.ClientSession() as session:
        url = f"{base}/robot/send?access_token=token&timestamp={EPOCH_MS}&sign={sign}"
        async with session.post(url, json=DING_TEXT) as answer:
            assert await answer.json() == {"errcode": 0, "errmsg": "ok"}
        async with session.post(f"{base}/robot/send?access_token=x", json={}) as answer:
            assert (await answer.json())["errcode"] == 300005
    assert len(here.bot.shown) == 1
