"""Whatever is published reaches the members of a group as it is, and never breaks a body."""

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.dingtalk import DingTalkAdapter, DingTalkBotAdapter
from adapters.lark import LarkAdapter
from adapters.wecom import WecomAdapter
from adapters.welink import WelinkAdapter
from engine.models import Delivered, Subscription
from engine.policy.templates import fill
from tests.platforms.apps import DingTalkApps, WeLink
from tests.platforms.bots import Bot
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.sending import World, message
from tests.platforms.wecom import WeCom
from tests.sending import subscription

APP = {"app_key": "key", "app_secret": "secret", "robot_code": "robot"}
CLIENT = {"client_id": "key", "client_secret": "secret"}


def apps(kind: type[Any], platform: type[Any]) -> World:
    """A platform with an application that speaks."""
    here = World(kind, platform)
    here.platform.apps["key"] = "secret"  # type: ignore[attr-defined]
    if isinstance(here.platform, DingTalkApps):
        here.platform.robots.add("robot")
    return here


WORLDS: tuple[tuple[Callable[[], World], Subscription], ...] = (
    (
        lambda: World(DingTalkAdapter, DingTalk),
        subscription("dingding", "https://oapi.dingtalk.com/robot/send?access_token=token"),
    ),
    (
        lambda: World(LarkAdapter, Lark),
        subscription("feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/token"),
    ),
    (
        lambda: World(WecomAdapter, WeCom),
        subscription("wechat", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=token"),
    ),
    (
        lambda: apps(DingTalkBotAdapter, DingTalkApps),
        subscription("dingTalkBot", "token", **APP),
    ),
    (lambda: apps(DingTalkAdapter, DingTalkApps), subscription("dingding", "token", **APP)),
    (lambda: apps(WelinkAdapter, WeLink), subscription("welink", "token", **CLIENT)),
)


def carried(text: str, protocol: str) -> str:
    """A text as the platform can carry it: WeLink's is XML, without control characters."""
    if protocol != "welink":
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


# What is accepted at all: no lone surrogates, and no control characters in subjects and names.
characters = st.characters(exclude_categories=["Cs"])
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100)
bodies = st.text(characters, min_size=1, max_size=300)


@given(st.sampled_from(WORLDS), lines, bodies, lines)
async def test_a_text_arrives_as_it_was_published(
    case: tuple[Callable[[], World], Subscription], subject: str, text: str, name: str
) -> None:
    """Subject and message, whatever their characters; the display name is no part of a text."""
    make, to = case
    here = make()
    bot = here.platform.add("token")
    sent = message(text, subject=subject or None, display_name=name)
    assert await here.send(sent, to) == Delivered(200)
    expected = f"{subject}\n{text}" if subject else text
    assert [one.text for one in bot.shown] == [carried(expected, to.protocol)]


@given(st.sampled_from(WORLDS), lines, bodies, lines)
async def test_markdown_arrives_as_it_was_published(
    case: tuple[Callable[[], World], Subscription], subject: str, text: str, name: str
) -> None:
    """With the subject or the display name as its title, where there is such a thing."""
    make, to = case
    here = make()
    bot = here.platform.add("token")
    rich = {"msgType": "markdown", "content": text}
    sent = message(rich=rich, subject=subject or None, display_name=name)
    assert await here.send(sent, to) == Delivered(200)
    (shown,) = bot.shown
    if to.protocol in {"wechat", "welink"}:
        expected = f"{subject}\n{text}" if subject else text
        assert shown.text == carried(expected, to.protocol)
    else:
        assert (shown.title, shown.text) == (subject or name or "orders", text)


@given(st.sampled_from(WORLDS), st.dictionaries(st.sampled_from("ab"), bodies, min_size=2))
async def test_values_of_tags_arrive_as_they_were_given(
    case: tuple[Callable[[], World], Subscription], tags: dict[str, str]
) -> None:
    """In the text that was made of a template when it was accepted."""
    make, to = case
    here = make()
    bot = here.platform.add("token")
    assert await here.send(message(fill("{a} is {b}", tags)), to) == Delivered(200)
    assert bot.shown[0].text == carried(f"{tags['a']} is {tags['b']}", to.protocol)


rich_objects = st.fixed_dictionaries(
    {"msgType": st.sampled_from(["text", "markdown"]), "content": bodies},
    optional={
        "title": st.text(characters, max_size=2000),
        "color": st.text(characters, max_size=20),
        "at": st.fixed_dictionaries(
            {
                "isAtAll": st.booleans(),
                "atMobiles": st.lists(st.text(characters, max_size=30), max_size=5),
                "atUserIds": st.lists(st.text(characters, max_size=30), max_size=5),
            }
        ),
    },
)


@given(st.sampled_from(WORLDS), rich_objects, st.integers(1, 200))
async def test_no_object_breaks_a_body(
    case: tuple[Callable[[], World], Subscription], rich: dict[str, Any], times: int
) -> None:
    """Titles, colours and mentions of any text, contents of any length."""
    make, to = case
    here = make()
    bot = here.platform.add("token")
    content = rich["content"] * times
    assert await here.send(message(rich=rich | {"content": content}), to) == Delivered(200)
    assert carried(rich["content"][:100], to.protocol) in bot.shown[0].text or len(content) > 300


@given(bodies, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50))
async def test_a_keyword_of_any_text_is_found(text: str, keyword: str) -> None:
    """Where it was missing it is added."""
    for make, to in WORLDS[:2]:
        here = make()
        here.platform.add("token", Bot(keywords=(keyword,)))
        protected = subscription(to.protocol, to.endpoint, keyword=keyword)
        assert await here.send(message(text), protected) == Delivered(200)
