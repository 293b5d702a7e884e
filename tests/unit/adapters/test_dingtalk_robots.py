"""Robots of DingTalk's applications, to members and to groups that have no webhook."""

import asyncio
import json
from typing import Any

import pytest

from adapters.dingtalk import (
    DingTalkAdapter,
    DingTalkBotAdapter,
    DingTalkSettings,
    RobotSettings,
)
from engine.models import Delivered, Outcome, Rejected, Retry, Subscription, Throttled
from engine.ports import Answer, TransportError
from engine.testing import Request
from tests.platforms.apps import DingTalkApps
from tests.platforms.sending import World, message
from tests.sending import subscription

APP = {"app_key": "dingkey", "app_secret": "hush-hush", "robot_code": "robot"}
TO_MEMBER = subscription("dingTalkBot", "manager1234", **APP)
TO_GROUP = subscription("dingding", "cidAbc==", **APP)


def world(to: Subscription = TO_MEMBER, **settings: Any) -> tuple[World, DingTalkApps]:
    """The platform with the robot and its readers, and the adapter for the recipient."""
    if to is TO_MEMBER:
        here = World(DingTalkBotAdapter, DingTalkApps, RobotSettings.model_validate(settings))
    else:
        here = World(DingTalkAdapter, DingTalkApps, DingTalkSettings.model_validate(settings))
    platform = here.platform
    assert isinstance(platform, DingTalkApps)
    platform.apps["dingkey"] = "hush-hush"
    platform.robots.add("robot")
    for name in ("manager1234", "cidAbc=="):
        platform.add(name)
    return here, platform


async def test_a_member_gets_a_text() -> None:
    """Exactly this request, with the application's token."""
    here, platform = world()
    assert await here.send(message(subject="alarm"), TO_MEMBER) == Delivered(200)
    asked, sent = here.transport.requests
    assert asked.url == "https://api.dingtalk.com/v1.0/oauth2/accessToken"
    assert json.loads(asked.body) == {"appKey": "dingkey", "appSecret": "hush-hush"}
    assert sent.url == "https://api.dingtalk.com/v1.0/robot/oToMessages/batchSend"
    assert sent.headers["x-acs-dingtalk-access-token"] in platform.tokens
    assert json.loads(sent.body) == {
        "robotCode": "robot",
        "userIds": ["manager1234"],
        "msgKey": "sampleText",
        "msgParam": '{"content":"alarm\\ndisk full"}',
    }


async def test_a_group_gets_markdown() -> None:
    """By its openConversationId."""
    here, platform = world(TO_GROUP)
    rich = {"msgType": "markdown", "title": "t", "content": "# x"}
    assert await here.send(message(rich=rich), TO_GROUP) == Delivered(200)
    sent = here.transport.requests[-1]
    assert sent.url == "https://api.dingtalk.com/v1.0/robot/groupMessages/send"
    assert json.loads(sent.body)["openConversationId"] == "cidAbc=="
    (shown,) = platform.bots["cidAbc=="].shown
    assert (shown.title, shown.text, shown.markdown) == ("t", "# x", True)


@pytest.mark.parametrize("to", [TO_MEMBER, TO_GROUP], ids=["member", "group"])
def test_a_receiver_is_one_of_its_organisation(to: Subscription) -> None:
    """Another organisation's may have the same id."""
    here, _ = world(to)
    other = to._replace(extension=APP | {"app_key": "other"})
    assert here.adapter.peer(other) != here.adapter.peer(to)


async def test_a_private_deployment_has_an_api_of_its_own() -> None:
    """The operator says where."""
    here, _ = world(api_url="https://ding.corp.example/api/")
    await here.send(message(), TO_MEMBER)
    assert {request.url.split("/v1.0")[0] for request in here.transport.requests} == {
        "https://ding.corp.example/api"
    }


async def test_one_token_serves_many_messages() -> None:
    """Also those that want it at the same time; it is renewed before it ends."""
    here, platform = world()
    outcomes = await asyncio.gather(*(here.send(message(), TO_MEMBER) for _ in range(10)))
    assert set(outcomes) == {Delivered(200)}
    assert platform.asked == 1
    here.clock.advance(6_899_000)
    await here.send(message(), TO_MEMBER)
    assert platform.asked == 1
    here.clock.advance(2_000)
    await here.send(message(), TO_MEMBER)
    assert platform.asked == 2


async def test_a_token_that_is_refused_is_asked_for_anew() -> None:
    """It may end before its time; the message does not notice."""
    here, platform = world()
    await here.send(message(), TO_MEMBER)
    platform.tokens.clear()
    assert await here.send(message(), TO_MEMBER) == Delivered(200)
    assert platform.asked == 2


async def test_a_new_secret_has_a_token_of_its_own() -> None:
    """Whoever knows a key but not its secret does not get what was kept for who does."""
    here, platform = world()
    await here.send(message(), TO_MEMBER)
    thief = subscription("dingTalkBot", "manager1234", **(APP | {"app_secret": "guess"}))
    outcome = await here.send(message(), thief)
    assert outcome == Rejected(
        "code invalidClientIdOrSecret: the application's key or secret is wrong", 400, "wrong app"
    )
    assert len(platform.bots["manager1234"].shown) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(503), Retry("HTTP 503", 503)),
        (TransportError("timed out"), Retry("timed out")),
        (Answer(200, None, b"{}"), Retry("HTTP 200 without a code", 200)),
        (
            Answer(200, None, b'{"accessToken":"a\\r\\nb","expireIn":7200}'),
            Retry("HTTP 200 without a code", 200),
        ),
        (Answer(429), Throttled(1_700_000_060_000, "HTTP 429", 429)),
    ],
    ids=repr,
)
async def test_without_a_token_nothing_is_sent(
    answer: Answer | TransportError, expected: Outcome
) -> None:
    """The lack of one is the outcome of all who waited for it."""
    here, _ = world()
    here.transport.answer = answer
    outcomes = await asyncio.gather(*(here.send(message(), TO_MEMBER) for _ in range(5)))
    assert outcomes == [expected] * 5
    assert len(here.transport.requests) == 1


async def test_who_is_cancelled_does_not_take_the_token_from_others() -> None:
    """They have asked together."""
    here, _ = world()
    first = asyncio.create_task(here.send(message(), TO_MEMBER))
    second = asyncio.create_task(here.send(message(), TO_MEMBER))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Delivered(200)


@pytest.mark.parametrize("character", ["x", "报", '"', "\x01", "🙂"])
@pytest.mark.parametrize("to", [TO_MEMBER, TO_GROUP])
async def test_what_is_too_long_is_cut(character: str, to: Subscription) -> None:
    """The platform takes it, whatever the characters are."""
    here, platform = world(to)
    for kind in ("text", "markdown"):
        rich = {"msgType": kind, "content": character * 60_000}
        assert await here.send(message(rich=rich), to) == Delivered(200)
    assert all(one.text.endswith("[…]") for one in platform.bots[to.endpoint].shown)


async def test_what_is_too_long_may_be_split() -> None:
    """In order."""
    here, platform = world(overflow="split")
    assert await here.send(message("x" * 30_000), TO_MEMBER) == Delivered(200)
    shown = platform.bots["manager1234"].shown
    assert [one.text[:6] for one in shown] == ["(1/3)\n", "(2/3)\n", "(3/3)\n"]


async def test_members_that_are_not_reached() -> None:
    """The platform says 200 and who was left out: not there, or written to too often."""
    here, platform = world()
    nobody = subscription("dingTalkBot", "nobody", **APP)
    assert await here.send(message(), nobody) == Rejected("there is no such member", 200)
    platform.crowded.add("manager1234")
    until_ms = here.clock.now_ms() + 60_000
    assert await here.send(message(), TO_MEMBER) == Throttled(
        until_ms, "too often to this member", 200
    )


async def test_an_application_that_is_too_fast_waits_a_moment() -> None:
    """Its limit is of a second; no try is spent."""
    here, _ = world()
    outcomes = [await here.send(message(), TO_MEMBER) for _ in range(21)]
    assert set(outcomes[:20]) == {Delivered(200)}
    name = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    until_ms = here.clock.now_ms() + 2_000
    assert outcomes[20] == Throttled(until_ms, f"code {name}: too often", 403)
    here.clock.advance(2_000)
    assert await here.send(message(), TO_MEMBER) == Delivered(200)


async def test_a_robot_that_is_not_there_is_final() -> None:
    """And says so."""
    here, platform = world()
    platform.robots.clear()
    outcome = await here.send(message(), TO_MEMBER)
    assert outcome == Rejected(
        "code invalidParameter.robotCode.empty: there is no such robot", 400, "no robot"
    )


async def test_secrets_stay_out_of_what_is_kept() -> None:
    """Neither the application's secret nor its token is in a reason or a snippet."""
    here, platform = world()
    await here.send(message(), TO_MEMBER)
    (token,) = platform.tokens

    def echo(request: Request) -> Answer:
        body = {"code": "odd", "message": f"{request.headers} hush-hush {token}"}
        return Answer(400, None, json.dumps(body).encode())

    here.transport.answer = echo
    outcome = await here.send(message(), TO_MEMBER)
    assert isinstance(outcome, Rejected)
    assert "hush" not in outcome.answer
    assert token not in outcome.answer
    assert "***" in outcome.answer
