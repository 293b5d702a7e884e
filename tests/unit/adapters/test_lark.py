"""Lark's and Feishu's bots: bodies, cards, protection, and what becomes of them."""

import pytest

from adapters.lark import LarkAdapter, LarkSettings, sign
from engine.errors import Refused
from engine.models import Delivered, Throttled
from tests.platforms.bots import Bot, Refusal
from tests.platforms.lark import Lark
from tests.platforms.sending import World, message
from tests.sending import subscription

TOKEN = "1f2e-3d"
URL = f"https://open.feishu.cn/open-apis/bot/v2/hook/{TOKEN}"
TO = subscription("feishu", URL)


def world(**settings: object) -> World:
    """Lark, and the adapter with settings."""
    return World(LarkAdapter, Lark, LarkSettings.model_validate(settings))


def test_signature_is_the_platforms() -> None:
    """The documented example gives its documented signature."""
    assert sign(1_599_360_473, "demo") == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="


@pytest.mark.parametrize(("color", "template"), [("red", "red"), ("Blue", "blue"), ("pink", "")])
async def test_markdown_is_a_card(color: str, template: str) -> None:
    """With the colour of its header, if the platform knows it: it refuses cards with others."""
    here = world()
    bot = here.platform.add(TOKEN)
    rich = {"msgType": "markdown", "content": "**x**", "title": "t", "color": color}
    assert await here.send(message(rich=rich), TO) == Delivered(200)
    (shown,) = bot.shown
    assert (shown.text, shown.title, shown.color) == ("**x**", "t", template)


@pytest.mark.parametrize(
    ("kind", "everyone"), [("text", '<at user_id="all"></at>'), ("markdown", "<at id=all></at>")]
)
async def test_who_is_mentioned_is_called(kind: str, everyone: str) -> None:
    """By tags, each kind by its own; what is no id makes none."""
    here = world()
    bot = here.platform.add(TOKEN)
    at = {"isAtAll": True, "atUserIds": ["ou_1", '"><at id=x'], "atMobiles": ["138"]}
    await here.send(message(rich={"msgType": kind, "at": at}), TO)
    assert bot.shown[0].mentions == ("ou_1", "all")
    assert everyone in bot.shown[0].text


async def test_a_code_of_two_meanings_is_read_with_its_text() -> None:
    """The code for what is unreadable also says "too often"; no try is spent then."""
    here = world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(9499, "too many request")))
    assert isinstance(await here.send(message(), TO), Throttled)


@pytest.mark.parametrize("base", ["https://open.feishu.cn", "https://open.larksuite.com"])
async def test_both_of_the_platforms_names_are_taken(base: str) -> None:
    """Feishu in China, Lark elsewhere."""
    await world().adapter.check("feishu", f"{base}/open-apis/bot/v2/hook/x", {})
    for bad in (f"{base}/open-apis/bot/hook/x", f"{base}:8443/open-apis/bot/v2/hook/x"):
        with pytest.raises(Refused):
            await world().adapter.check("feishu", bad, {})
