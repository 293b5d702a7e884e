"""WeLink groups: XML in XML in JSON, tokens, codes."""

import json

import pytest

from adapters.welink import WelinkAdapter, WelinkSettings
from engine.models import Delivered, Rejected, Retry, Throttled
from engine.ports import Answer
from engine.testing import Request
from tests.platforms.apps import WeLink
from tests.platforms.sending import World, message
from tests.sending import subscription

APP = {"client_id": "20190828", "client_secret": "hush-hush"}
TO = subscription("welink", "123456", **APP)


def world(**settings: object) -> tuple[World, WeLink]:
    """WeLink with an application and a group, and the adapter with settings."""
    here = World(WelinkAdapter, WeLink, WelinkSettings.model_validate(settings))
    platform = here.platform
    assert isinstance(platform, WeLink)
    platform.apps["20190828"] = "hush-hush"
    platform.add("123456")
    return here, platform


async def test_a_group_gets_a_text() -> None:
    """By this request, with the application's token."""
    here, platform = world(name="Alarms")
    assert await here.send(message("1 < 2", subject="alarm"), TO) == Delivered(200)
    asked, sent = here.transport.requests
    assert asked.url == "https://open.welink.huaweicloud.com/api/auth/v2/tickets"
    assert json.loads(asked.body) == APP
    assert sent.url == (
        "https://open.welink.huaweicloud.com/api/welinkim/v1/im-service/chat/group-chat"
    )
    assert sent.headers["x-wlk-Authorization"] in platform.tokens
    body = json.loads(sent.body)
    assert len(body.pop("app_msg_id")) == 32
    assert body == {
        "app_service_info": {"app_service_id": "1", "app_service_name": "Alarms"},
        "group_id": ["123456"],
        "content": (
            "<r><n></n><g>0</g><c>&lt;imbody&gt;&lt;imagelist/&gt;&lt;html&gt;"
            "&lt;![CDATA[&lt;DIV&gt;alarm&lt;BR/&gt;1 &amp;lt; 2&lt;/DIV&gt;]]&gt;"
            "&lt;/html&gt;&lt;content&gt;&lt;![CDATA[alarm\n1 &lt; 2]]&gt;"
            "&lt;/content&gt;&lt;/imbody&gt;</c></r>"
        ),
        "content_type": 0,
        "client_app_id": "1",
    }
    assert platform.bots["123456"].shown[0].text == "alarm\n1 < 2"


def test_a_group_is_one_of_its_organisation() -> None:
    """Another organisation's may have the same number."""
    here, _ = world()
    other = subscription("welink", "123456", client_id="other", client_secret="hush")
    assert here.adapter.peer(other) != here.adapter.peer(TO)


async def test_an_object_is_shown_as_its_text() -> None:
    """There is nothing but text."""
    here, platform = world()
    await here.send(message(rich={"title": "t", "content": "hello"}), TO)
    assert platform.bots["123456"].shown[0].text == "t\nhello"


@pytest.mark.parametrize("text", ["]]>", "]]]]>>", "</DIV><x>&amp;", "<![CDATA[", "\ta\n\nb "])
async def test_no_text_ends_the_xml_that_holds_it(text: str) -> None:
    """It arrives as it is."""
    here, platform = world()
    assert await here.send(message(text), TO) == Delivered(200)
    assert platform.bots["123456"].shown[0].text == text


async def test_what_xml_cannot_hold_is_replaced() -> None:
    """Visibly; line ends become the one that XML has."""
    here, platform = world()
    assert await here.send(message("a\x00b\x1b\uffff\r\nc"), TO) == Delivered(200)
    assert platform.bots["123456"].shown[0].text == "a\ufffdb\ufffd\ufffd\nc"


async def test_a_repeat_can_be_told() -> None:
    """All attempts at a delivery have one identifier, other deliveries have others."""
    here, platform = world()
    platform.add("654321")
    for _ in range(2):
        assert await here.send(message(), TO) == Delivered(200)
    assert await here.send(message(id="e" * 32), TO) == Delivered(200)
    assert len(platform.bots["123456"].shown) == 2


@pytest.mark.parametrize(("overflow", "parts"), [("cut", 1), ("split", 3)])
async def test_what_is_too_long_is_cut_or_split(overflow: str, parts: int) -> None:
    """At the length that the operator sets: the platform names none."""
    here, platform = world(overflow=overflow, max_bytes=1000)
    assert await here.send(message("报" * 5000), TO) == Delivered(200)
    shown = platform.bots["123456"].shown
    assert len(shown) == parts
    assert all(900 < len(one.text.encode()) <= 1000 for one in shown)
    assert shown[-1].text.endswith("[…]")


async def test_a_token_that_is_refused_is_asked_for_anew() -> None:
    """It may end before its time."""
    here, platform = world()
    await here.send(message(), TO)
    platform.tokens.clear()
    assert await here.send(message(id="e" * 32), TO) == Delivered(200)
    assert platform.asked == 2


async def test_a_wrong_secret_is_final() -> None:
    """And says so, without it."""
    here, _ = world()
    thief = subscription("welink", "123456", **(APP | {"client_secret": "guess"}))
    outcome = await here.send(message(), thief)
    assert outcome == Rejected(
        "code 411007: client_id or client_secret is wrong",
        200,
        "client_id or client_secret is wrong",
    )


async def test_an_unknown_group_is_final() -> None:
    """Whatever it is that the platform does not like."""
    here, _ = world()
    outcome = await here.send(message(), subscription("welink", "1", **APP))
    assert outcome == Rejected("code 43012", 200, "no such group")


async def test_a_token_that_does_not_help_is_final() -> None:
    """It is asked for twice, not for ever."""
    here, platform = world()

    def forgetful(request: Request) -> Answer:
        platform.tokens.clear()
        return platform.answer(request)

    here.transport.answer = forgetful
    assert await here.send(message(), TO) == Rejected("the platform refuses its own access token")
    assert platform.asked == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, None, b'{"code":"500","message":"x"}'), Retry),
        (Answer(502), Retry),
        (Answer(200, None, b'{"code":"60011","message":"busy"}'), Retry),
        (Answer(429), Throttled),
        (Answer(403, None, b'{"code":"403","message":"rate limit"}'), Throttled),
        (Answer(403, None, b'{"code":"403","message":"forbidden"}'), Rejected),
    ],
    ids=repr,
)
async def test_trouble_is_told_from_refusal(answer: Answer, kind: type) -> None:
    """What may pass is tried again, what is too often waits."""
    here, _ = world()
    here.transport.answer = answer
    assert isinstance(await here.send(message(), TO), kind)
