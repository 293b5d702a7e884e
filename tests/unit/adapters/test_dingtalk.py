"""DingTalk's group bots: bodies, protection, mentions, and what becomes of them."""

from urllib.parse import quote

import pytest

from adapters.dingtalk import DingTalkAdapter, DingTalkSettings, sign
from engine.errors import Refused
from engine.models import Delivered, Rejected, Retry
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


async def test_a_busy_platform_is_tried_again() -> None:
    """Its trouble passes."""
    here = world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(-1, "system busy")))
    expected = Retry("errcode -1: the platform is busy", 200, answer="system busy")
    assert await here.send(message(), TO) == expected


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
