"""What all bots behind webhooks do alike, each by the rules of its platform."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from adapters._bot_settings import WebhookSettings
from adapters._bot_webhooks import WebhookBot
from adapters.dingtalk import DingTalkAdapter, DingTalkSettings
from adapters.lark import LarkAdapter, LarkSettings
from adapters.wecom import WecomAdapter, WecomSettings
from engine.models import Delivered, Rejected, Retry, Subscription, Throttled
from tests.platforms.bots import Bot, Platform, Refusal
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.sending import World, message
from tests.platforms.wecom import WeCom
from tests.sending import subscription

TOKEN = "1f2e-3d4c"


@dataclass(frozen=True)
class Case:
    """A protocol, its platform, and what differs.

    ``most`` are the bytes of a body, ``at_once`` the messages that a bot may send, ``often`` how
    long one that sent more has to wait and what it is told, ``final`` what codes mean, ``waits``
    for how many seconds the bot is left alone after others, ``stale`` how an old signature is
    refused.
    """

    protocol: str
    adapter: type[WebhookBot]
    platform: type[Platform]
    settings: type[WebhookSettings]
    webhook: str
    body: Mapping[str, Any]
    most: int
    at_once: int
    often: tuple[int, str]
    final: Mapping[int, str]
    waits: Mapping[int, int]
    stale: tuple[int, str] = (0, "")

    def world(self, **settings: object) -> World:
        """The platform, and the adapter with settings."""
        return World(self.adapter, self.platform, self.settings.model_validate(settings))

    def to(self, **extension: str) -> Subscription:
        """Who is subscribed."""
        return subscription(self.protocol, f"{self.webhook}{TOKEN}", **extension)


DINGTALK = Case(
    *("dingding", DingTalkAdapter, DingTalk, DingTalkSettings),
    webhook="https://oapi.dingtalk.com/robot/send?access_token=",
    body={"msgtype": "text", "text": {"content": "alarm\ndisk full"}},
    most=20_000,
    at_once=20,
    often=(600_000, "errcode 130101: too often"),
    final={
        310000: "errcode 310000: the bot's protection: keyword, signature or address",
        300001: "errcode 300001: there is no such bot",
        300005: "errcode 300005: there is no such bot",
        400101: "errcode 400101: there is no such bot",
        400013: "errcode 400013: the group was dissolved",
        400102: "errcode 400102: the bot was stopped",
        400105: "errcode 400105: message type not supported",
        400106: "errcode 400106: the bot is not in the group",
        40035: "errcode 40035: the platform cannot read the message",
        43002: "errcode 43002: not a POST",
        43004: "errcode 43004: wrong content type",
        430101: "errcode 430101: unsafe link",
        430102: "errcode 430102: unsafe text",
        430103: "errcode 430103: unsafe picture",
        430104: "errcode 430104: unsafe content",
        460101: "errcode 460101: too long",
        99: "errcode 99",
    },
    waits={130101: 600, 410100: 60},
    stale=(310000, "invalid timestamp"),
)
LARK = Case(
    *("feishu", LarkAdapter, Lark, LarkSettings),
    webhook="https://open.feishu.cn/open-apis/bot/v2/hook/",
    body={"msg_type": "text", "content": {"text": "alarm\ndisk full"}},
    most=20_000,
    at_once=5,
    often=(60_000, "code 11232: too often"),
    final={
        19001: "code 19001: there is no such bot",
        19002: "code 19002: the platform cannot read the message",
        19021: "code 19021: the signature does not match",
        19022: "code 19022: the sender's address is not on the bot's list",
        19024: "code 19024: the bot's keyword is missing",
        19036: "code 19036: too long",
        9499: "code 9499: the platform cannot read the message",
    },
    waits={11232: 60, 11233: 60},
    stale=(19021, "sign match fail or timestamp is not within one hour from current time"),
)
WECOM = Case(
    *("wechat", WecomAdapter, WeCom, WecomSettings),
    webhook="https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=",
    body={"msgtype": "text", "text": {"content": "alarm\ndisk full"}},
    most=2_048,
    at_once=20,
    often=(60_000, "errcode 45009: too often"),
    final={
        93000: "errcode 93000: there is no such bot",
        40008: "errcode 40008: message type not supported",
        44004: "errcode 44004: nothing in it",
        40058: "errcode 40058: the platform does not take the message",
        45002: "errcode 45002: too long",
    },
    waits={45009: 60},
)
ALL = (DINGTALK, LARK, WECOM)
PROTECTED = (DINGTALK, LARK)
"""Where a bot may have a keyword and a secret, and a message a whole body's room."""
FINAL = [(case, code) for case in ALL for code in case.final]
WAITS = [(case, code) for case in ALL for code in case.waits]


def _named(case: Case) -> str:
    return case.protocol


@pytest.mark.parametrize("case", ALL, ids=_named)
async def test_a_text_is_its_subject_and_itself(case: Case) -> None:
    """Exactly this body; nobody is mentioned."""
    here = case.world()
    bot = here.platform.add(TOKEN)
    assert await here.send(message(subject="alarm"), case.to()) == Delivered(200)
    (request,) = here.transport.requests
    assert request.url == f"{case.webhook}{TOKEN}"
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(request.body) == case.body
    assert bot.shown[0].text == "alarm\ndisk full"


@pytest.mark.parametrize("case", ALL, ids=_named)
def test_a_bot_is_the_same_however_its_host_is_written(case: Case) -> None:
    """Else it would have a rate for each spelling; another token is another bot."""
    adapter, one = case.world().adapter, case.to()
    scheme, _, rest = one.endpoint.partition("://")
    host, _, path = rest.partition("/")
    shouted = one._replace(endpoint=f"{scheme}://{host.upper()}/{path}")
    assert adapter.peer(shouted) == adapter.peer(one)
    assert adapter.peer(one._replace(endpoint=f"{one.endpoint}4")) != adapter.peer(one)


@pytest.mark.parametrize("case", PROTECTED, ids=_named)
async def test_a_missing_keyword_is_added(case: Case) -> None:
    """Visibly, because without it the platform would not show the message."""
    here = case.world()
    bot = here.platform.add(TOKEN, Bot(keywords=("报警",)))
    for kind, text in (("text", "disk"), ("markdown", "disk"), ("text", "报警: disk")):
        rich = {"msgType": kind, "content": text}
        assert await here.send(message(rich=rich), case.to(keyword="报警")) == Delivered(200)
    assert [one.text for one in bot.shown] == ["disk\n报警", "disk\n报警", "报警: disk"]


@pytest.mark.parametrize("case", PROTECTED, ids=_named)
async def test_each_attempt_is_signed_anew(case: Case) -> None:
    """A signature is good for an hour, a message may wait longer."""
    here = case.world()
    bot = here.platform.add(TOKEN, Bot(secret="s3cret"))
    content = here.adapter.render(message(), case.protocol)
    target = here.adapter.prepare(case.to(sign_secret="s3cret"))
    for _ in range(3):
        assert await here.adapter.send(content, target) == Delivered(200)
        here.clock.advance(2 * 3_600_000)
    assert len(bot.shown) == 3


@pytest.mark.parametrize("case", PROTECTED, ids=_named)
@pytest.mark.parametrize(("overflow", "parts"), [("cut", 1), ("split", 3)])
@pytest.mark.parametrize("character", ["x", "报", '"', "\x01", "🙂"])
async def test_what_is_too_long_is_cut_or_split(
    case: Case, overflow: str, parts: int, character: str
) -> None:
    """The platform takes every part, nearly as long as it may be, whatever the characters are."""
    here = case.world(overflow=overflow)
    bot = here.platform.add(TOKEN, Bot(secret="s3cret", keywords=("alarm",)))
    to = case.to(sign_secret="s3cret", keyword="alarm")
    for kind in ("text", "markdown"):
        rich = {"msgType": kind, "content": character * 60_000, "title": "t" * 300}
        assert await here.send(message(rich=rich), to) == Delivered(200)
        here.clock.advance(2_000)
    assert len(bot.shown) == 2 * parts
    lengths = [len(request.body) for request in here.transport.requests]
    assert all(case.most - 1_100 < length <= case.most for length in lengths)
    assert all("[…]" in one.text for one in bot.shown[parts - 1 :: parts])


@pytest.mark.parametrize(("case", "code"), FINAL, ids=lambda one: getattr(one, "protocol", None))
async def test_what_the_platform_refuses_for_good_is_rejected(case: Case, code: int) -> None:
    """The code is kept, and what it means."""
    here = case.world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(code, "text")))
    assert await here.send(message(), case.to()) == Rejected(case.final[code], 200, "text")


@pytest.mark.parametrize(("case", "code"), WAITS, ids=lambda one: getattr(one, "protocol", None))
async def test_every_code_for_too_often_is_waited_for(case: Case, code: int) -> None:
    """No try is spent."""
    here = case.world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(code, "text")))
    outcome = await here.send(message(), case.to())
    assert isinstance(outcome, Throttled)
    assert outcome.until_ms == here.clock.now_ms() + case.waits[code] * 1_000


@pytest.mark.parametrize("case", ALL, ids=_named)
async def test_a_busy_platform_is_tried_again(case: Case) -> None:
    """All of them have the same code for it."""
    here = case.world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(-1, "system busy")))
    reason = f"{case.adapter.CODES.member[0]} -1: the platform is busy"
    assert await here.send(message(), case.to()) == Retry(reason, 200, answer="system busy")


@pytest.mark.parametrize("case", ALL, ids=_named)
def test_every_code_that_is_known_is_tried(case: Case) -> None:
    """The three tests above leave none out."""
    assert set(case.adapter.CODES.meanings) <= {-1, *case.final, *case.waits}


@pytest.mark.parametrize("case", PROTECTED, ids=_named)
async def test_a_signature_that_is_refused_as_stale_is_made_once_more(case: Case) -> None:
    """One request an attempt, which is what rates count; without a secret it is final."""
    here = case.world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(*case.stale)))
    outcome = await here.send(message(), case.to(sign_secret="s3cret"))
    assert isinstance(outcome, Retry)
    assert outcome.once
    assert outcome.answer == case.stale[1]
    assert len(here.transport.requests) == 1
    assert isinstance(await here.send(message(), case.to()), Rejected)


async def test_a_signature_that_does_not_match_is_not_made_again() -> None:
    """DingTalk tells the two apart by the text."""
    here = DINGTALK.world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(310000, "sign not match")))
    assert isinstance(await here.send(message(), DINGTALK.to(sign_secret="x")), Rejected)


@pytest.mark.parametrize("case", ALL, ids=_named)
async def test_who_is_too_fast_waits_as_long_as_the_platform_wants(case: Case) -> None:
    """And no try is spent."""
    here = case.world()
    here.platform.add(TOKEN)
    outcomes = [await here.send(message(), case.to()) for _ in range(case.at_once + 1)]
    assert set(outcomes[:-1]) == {Delivered(200)}
    wait_ms, reason = case.often
    assert outcomes[-1] == Throttled(here.clock.now_ms() + wait_ms, reason, 200)
    here.clock.advance(wait_ms)
    assert await here.send(message(), case.to()) == Delivered(200)


@pytest.mark.parametrize("case", ALL, ids=_named)
async def test_secrets_stay_out_of_what_is_kept(case: Case) -> None:
    """Whatever the platform repeats."""
    here = case.world()
    said = Refusal(next(iter(case.final)), f"bad {case.webhook}{TOKEN} {TOKEN} s3cret")
    here.platform.add(TOKEN, Bot(trouble=said))
    outcome = await here.send(message(), case.to(sign_secret="s3cret"))
    assert isinstance(outcome, Rejected)
    assert outcome.answer == "bad *** *** ***"
