"""DingTalk's group bots: bodies, protection, mentions, and what becomes of them."""

import json
from urllib.parse import quote

import pytest

from adapters.dingtalk import DingTalkAdapter, DingTalkSettings, sign
from engine.errors import Refused
from engine.models import Delivered, Rejected, Retry, Throttled
from tests.platforms.bots import Bot, Refusal
from tests.platforms.dingtalk import DingTalk
from tests.platforms.sending import World, message
from tests.sending import subscription

TOKEN = "0a1b2c3d"
URL = f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}"
TO = subscription("dingding", URL)


def world(**settings: object) -> World:
    """DingTalk, and the adapter with settings."""
    return World(DingTalkAdapter, DingTalk, DingTalkSettings.model_validate(settings))


def test_signature_is_the_platforms() -> None:
    """The documented example gives its documented signature."""
    found = sign(1_577_262_236_757, "SECtest")
    assert found == "Za/ne6w2koB8B4ROVlgTNd/X+/FbyDpZrXLz57xNZSA="
    assert quote(found, safe="") == "Za%2Fne6w2koB8B4ROVlgTNd%2FX%2B%2FFbyDpZrXLz57xNZSA%3D"


async def test_a_text_is_its_subject_and_itself() -> None:
    """Exactly this body; nobody is mentioned."""
    here = world()
    bot = here.platform.add(TOKEN)
    assert await here.send(message(subject="alarm"), TO) == Delivered(200)
    (request,) = here.transport.requests
    assert request.url == URL
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(request.body) == {
        "msgtype": "text",
        "text": {"content": "alarm\ndisk full"},
    }
    assert bot.shown[0].text == "alarm\ndisk full"


async def test_markdown_has_a_title_and_a_text() -> None:
    """And is sent as what it is."""
    here = world()
    bot = here.platform.add(TOKEN)
    rich = {"msgType": "markdown", "title": "t", "content": "# x"}
    assert await here.send(message(rich=rich), TO) == Delivered(200)
    (shown,) = bot.shown
    assert (shown.markdown, shown.title, shown.text) == (True, "t", "# x")


async def test_who_is_mentioned_is_called() -> None:
    """Names that the text lacks are added to it, or the platform would call nobody."""
    here = world()
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": True, "atMobiles": ["13800000000"], "atUserIds": ["ann", "bob"]}
    await here.send(message(rich={"content": "hello @ann", "at": at}), TO)
    assert bot.shown[0].text == "hello @ann\n@13800000000 @bob"
    assert bot.shown[0].mentions == ("13800000000", "ann", "bob", "all")


async def test_who_is_mentioned_by_parts_is_called_once() -> None:
    """With the part that names them."""
    here = world(overflow="split")
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": True, "atMobiles": [], "atUserIds": ["ann", "bob"]}
    text = "@ann\n" + "x" * 30_000
    await here.send(message(rich={"content": text, "at": at}), TO)
    assert [one.mentions for one in bot.shown] == [("ann", "all"), ("bob",)]


async def test_more_mentions_than_fit_are_left_out() -> None:
    """A list without an end does not make a body without one."""
    here = world()
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": False, "atMobiles": [str(n) for n in range(10_000)], "atUserIds": []}
    assert await here.send(message(rich={"at": at}), TO) == Delivered(200)
    assert len(bot.shown[0].mentions) == 100


async def test_mentions_that_leave_no_room_are_refused() -> None:
    """Instead of a body that the platform cannot take."""
    here = world()
    here.platform.add(TOKEN)
    at = {"isAtAll": False, "atMobiles": [], "atUserIds": ["x" * 10_000, "y" * 10_000]}
    outcome = await here.send(message(rich={"at": at}), TO)
    assert outcome == Rejected("mentions leave no room for the text")
    assert not here.transport.requests


async def test_a_missing_keyword_is_added() -> None:
    """Visibly, because without it the platform would not show the message."""
    here = world()
    bot = here.platform.add(TOKEN, Bot(keywords=("报警",)))
    to = subscription("dingding", URL, keyword="报警")
    assert await here.send(message(), to) == Delivered(200)
    assert await here.send(message("报警: disk"), to) == Delivered(200)
    assert [one.text for one in bot.shown] == ["disk full\n报警", "报警: disk"]


async def test_each_attempt_is_signed_anew() -> None:
    """A signature is good for an hour, a message may wait longer."""
    here = world()
    bot = here.platform.add(TOKEN, Bot(secret="SECx"))
    to = subscription("dingding", URL, sign_secret="SECx")
    content = here.adapter.render(message(), "dingding")
    target = here.adapter.prepare(to)
    for _ in range(3):
        assert await here.adapter.send(content, target) == Delivered(200)
        here.clock.advance(2 * 3_600_000)
    assert len(bot.shown) == 3


@pytest.mark.parametrize(("overflow", "parts"), [("cut", 1), ("split", 3)])
@pytest.mark.parametrize("character", ["x", "报", '"', "\x01", "🙂"])
async def test_what_is_too_long_is_cut_or_split(overflow: str, parts: int, character: str) -> None:
    """The platform takes every part, whatever the characters are."""
    here = world(overflow=overflow)
    bot = here.platform.add(TOKEN, Bot(secret="SECx", keywords=("alarm",)))
    to = subscription("dingding", URL, sign_secret="SECx", keyword="alarm")
    for kind in ("text", "markdown"):
        rich = {"msgType": kind, "content": character * 60_000, "title": "t" * 300}
        assert await here.send(message(rich=rich), to) == Delivered(200)
    assert len(bot.shown) == 2 * parts
    assert all(19_000 < len(request.body) <= 20_000 for request in here.transport.requests)
    assert all("[…]" in one.text for one in bot.shown[parts - 1 :: parts])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (310000, "errcode 310000: the bot's protection: keyword, signature or address"),
        (300005, "errcode 300005: there is no such bot"),
        (400013, "errcode 400013: the group was dissolved"),
        (430102, "errcode 430102: unsafe text"),
        (99, "errcode 99"),
    ],
)
async def test_what_the_platform_refuses_for_good_is_rejected(code: int, reason: str) -> None:
    """The code is kept, and what it means."""
    here = world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(code, "text")))
    assert await here.send(message(), TO) == Rejected(reason, 200, "text")


async def test_who_is_too_fast_waits_out_the_block() -> None:
    """No try is spent; the platform shuts a bot out for ten minutes."""
    here = world()
    here.platform.add(TOKEN)
    outcomes = [await here.send(message(), TO) for _ in range(21)]
    assert set(outcomes[:20]) == {Delivered(200)}
    now_ms = here.clock.now_ms()
    assert outcomes[20] == Throttled(now_ms + 600_000, "errcode 130101: too often", 200)
    here.clock.advance(600_000)
    assert await here.send(message(), TO) == Delivered(200)


async def test_a_busy_platform_is_tried_again() -> None:
    """Its trouble passes."""
    here = world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(-1, "system busy")))
    expected = Retry("errcode -1: the platform is busy", 200, answer="system busy")
    assert await here.send(message(), TO) == expected


async def test_secrets_stay_out_of_what_is_kept() -> None:
    """Whatever the platform repeats."""
    here = world()
    said = Refusal(310000, f"bad {URL} {TOKEN} SECx")
    here.platform.add(TOKEN, Bot(trouble=said))
    outcome = await here.send(message(), subscription("dingding", URL, sign_secret="SECx"))
    assert isinstance(outcome, Rejected)
    assert outcome.answer == "bad *** *** ***"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://oapi.dingtalk.com/robot/send?access_token=x",
        "https://oapi.dingtalk.com.evil.example/robot/send?access_token=x",
        "https://evil.example/robot/send?access_token=x",
        "https://oapi.dingtalk.com/other?access_token=x",
        "https://oapi.dingtalk.com/robot/send?access_token=",
        "https://oapi.dingtalk.com/robot/send?access_token=x&sign=y",
    ],
)
async def test_other_addresses_are_no_bots(endpoint: str) -> None:
    """Secrets are sent to the platform alone."""
    with pytest.raises(Refused) as refused:
        await world().adapter.check("dingding", endpoint, {})
    assert refused.value.code == "SMN.0012"


async def test_a_private_deployment_is_the_operators_word() -> None:
    """Its bots are taken beside the platform's own."""
    here = world(base_urls=["https://Ding.corp.example:8443/gate/"])
    for base in ("https://ding.corp.example:8443/gate", "https://oapi.dingtalk.com"):
        await here.adapter.check("dingding", f"{base}/robot/send?access_token=x", {})
    with pytest.raises(Refused):
        await here.adapter.check("dingding", "https://ding.corp.example/robot/send", {})
