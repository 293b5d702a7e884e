"""WeCom's bots: bodies, mentions, sizes, and what becomes of them."""

import pytest

from adapters.wecom import WecomAdapter, WecomSettings
from engine.errors import Refused
from engine.models import Delivered
from tests.platforms.sending import World, message
from tests.platforms.wecom import WeCom
from tests.sending import subscription

TOKEN = "693a91f6-7xxx"
URL = f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={TOKEN}"
TO = subscription("wechat", URL)


def world(**settings: object) -> World:
    """WeCom, and the adapter with settings."""
    return World(WecomAdapter, WeCom, WecomSettings.model_validate(settings))


async def test_markdown_has_its_title_above_it() -> None:
    """The platform has no title of its own, and none is made up."""
    here = world()
    bot = here.platform.add(TOKEN)
    await here.send(message(rich={"msgType": "markdown", "title": "t"}), TO)
    await here.send(message(rich={"msgType": "markdown"}), TO)
    assert [one.text for one in bot.shown] == ["t\ndisk full", "disk full"]
    assert all(one.markdown for one in bot.shown)


async def test_who_is_mentioned_is_called() -> None:
    """Beside a text, inside of Markdown, where numbers cannot be."""
    here = world()
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": True, "atUserIds": ["ann", "b>d"], "atMobiles": ["138"]}
    for kind in ("text", "markdown"):
        await here.send(message(rich={"msgType": kind, "at": at}), TO)
    assert [one.mentions for one in bot.shown] == [("ann", "@all", "138"), ("ann",)]
    assert [one.text for one in bot.shown] == ["disk full", "disk full\n<@ann>"]


@pytest.mark.parametrize(("overflow", "parts"), [("cut", 1), ("split", 3)])
@pytest.mark.parametrize("character", ["x", "报", '"', "\x01", "🙂"])
@pytest.mark.parametrize(("kind", "most"), [("text", 2048), ("markdown", 4096)])
async def test_what_is_too_long_is_cut_or_split(
    overflow: str, parts: int, character: str, kind: str, most: int
) -> None:
    """The platform takes every part, whatever the characters are; members are called once."""
    here = world(overflow=overflow)
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": False, "atUserIds": ["ann"], "atMobiles": []}
    rich = {"msgType": kind, "content": character * 60_000, "at": at}
    assert await here.send(message(rich=rich), TO) == Delivered(200)
    assert len(bot.shown) == parts
    assert all(most - 50 < len(one.text.encode()) <= most for one in bot.shown)
    assert "[…]" in bot.shown[-1].text
    assert sum(len(one.mentions) for one in bot.shown) == 1


@pytest.mark.parametrize("query", ["", "?key=", "?key=x&debug=1", "?key=a%20b"])
async def test_a_webhook_has_one_key(query: str) -> None:
    """Nothing else is a bot's."""
    url = f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send{query}"
    with pytest.raises(Refused):
        await world().adapter.check("wechat", url, {})
