"""Lark's and Feishu's bots: bodies, cards, protection, and what becomes of them."""

import json

import pytest

from adapters.lark import LarkAdapter, LarkSettings, sign
from engine.errors import Refused
from engine.models import Delivered, Rejected, Throttled
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


async def test_a_text_is_its_subject_and_itself() -> None:
    """Exactly this body."""
    here = world()
    here.platform.add(TOKEN)
    assert await here.send(message(subject="alarm"), TO) == Delivered(200)
    (request,) = here.transport.requests
    assert request.url == URL
    assert json.loads(request.body) == {
        "msg_type": "text",
        "content": {"text": "alarm\ndisk full"},
    }


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


async def test_a_missing_keyword_is_added() -> None:
    """Visibly, to cards and texts."""
    here = world()
    bot = here.platform.add(TOKEN, Bot(keywords=("alarm",)))
    to = subscription("feishu", URL, keyword="alarm")
    for kind in ("text", "markdown"):
        assert await here.send(message(rich={"msgType": kind}), to) == Delivered(200)
    assert [one.text for one in bot.shown] == ["disk full\nalarm"] * 2


async def test_each_attempt_is_signed_anew() -> None:
    """A signature is good for an hour, a message may wait longer."""
    here = world()
    bot = here.platform.add(TOKEN, Bot(secret="s3cret"))
    to = subscription("feishu", URL, sign_secret="s3cret")
    content = here.adapter.render(message(), "feishu")
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
    bot = here.platform.add(TOKEN, Bot(secret="x"))
    to = subscription("feishu", URL, sign_secret="x")
    for kind in ("text", "markdown"):
        rich = {"msgType": kind, "content": character * 60_000, "title": "t" * 300}
        assert await here.send(message(rich=rich), to) == Delivered(200)
        here.clock.advance(2_000)
    assert len(bot.shown) == 2 * parts
    assert all(18_900 < len(request.body) <= 20_000 for request in here.transport.requests)
    assert all("[…]" in one.text for one in bot.shown[parts - 1 :: parts])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (19001, "code 19001: there is no such bot"),
        (19021, "code 19021: the signature does not match"),
        (19022, "code 19022: the sender's address is not on the bot's list"),
        (19024, "code 19024: the bot's keyword is missing"),
        (19036, "code 19036: too long"),
        (9499, "code 9499: the platform cannot read the message"),
    ],
)
async def test_what_the_platform_refuses_for_good_is_rejected(code: int, reason: str) -> None:
    """The code is kept, and what it means."""
    here = world()
    here.platform.add(TOKEN, Bot(trouble=Refusal(code, "text")))
    assert await here.send(message(), TO) == Rejected(reason, 200, "text")


async def test_who_is_too_fast_waits() -> None:
    """By either of the codes that the platform has for it; no try is spent."""
    here = world()
    bot = here.platform.add(TOKEN)
    outcomes = [await here.send(message(), TO) for _ in range(6)]
    until_ms = here.clock.now_ms() + 60_000
    assert set(outcomes[:5]) == {Delivered(200)}
    assert outcomes[5] == Throttled(until_ms, "code 11232: too often", 200)
    bot.trouble = Refusal(9499, "too many request")
    assert isinstance(await here.send(message(), TO), Throttled)


@pytest.mark.parametrize("base", ["https://open.feishu.cn", "https://open.larksuite.com"])
async def test_both_of_the_platforms_names_are_taken(base: str) -> None:
    """Feishu in China, Lark elsewhere."""
    await world().adapter.check("feishu", f"{base}/open-apis/bot/v2/hook/x", {})
    for bad in (f"{base}/open-apis/bot/hook/x", f"{base}:8443/open-apis/bot/v2/hook/x"):
        with pytest.raises(Refused):
            await world().adapter.check("feishu", bad, {})
