"""Subscription users through the API: made, asked, shown, changed, taken over by topics."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.models import Status
from tests.engines import keys_about, snapshot
from tests.subscribing import MISSING, World, open_world

USERS = "/v2/{domain}/subscription-users"
IMPORT = "{subs}/from-subscription-users"
PHONE = {"endpoint": "13600000000"}
CODED = PHONE | {"verification_code_enabled": True}
ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=hush-hush"


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An API with every protocol of the contract."""
    async with open_world(redis_url, tmp_path) as world:
        yield world


async def _create(world: World, name: str = "ops", **members: Any) -> str:
    answer = await world.call("POST", USERS, {"name": name, **(members or {"sms": PHONE})})
    assert answer.status == 201, answer.raw
    return str(answer.json["id"])


async def _list(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = await world.call("GET", USERS + query)
    assert answer.status == 200, answer.raw
    assert answer.json["count"] >= len(answer.json["subscription_users"])
    found = answer.json["subscription_users"]
    assert isinstance(found, list)
    return found


def _last(world: World, name: str = "one") -> dict[str, Any]:
    """The last message that an endpoint got."""
    body = json.loads(world.receiver.of(name)[-1].body)
    assert isinstance(body, dict)
    return body


async def _open(world: World, link: str) -> int:
    parts = urlsplit(link)
    answer = await world.client.call("GET", f"{parts.path}?{parts.query}", sign=False)
    return answer.status


async def test_a_user_that_cannot_be_invited_is_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full memory refuses invitations; who tries again does not make another one."""

    async def full() -> bool:
        return True

    body = {"name": "ops", "dingding": {"endpoint": ROBOT}, "sms": PHONE}
    with monkeypatch.context() as patched:
        patched.setattr(world.engine.publisher, "_memory_is_full", full)
        answer = await world.call("POST", USERS, body)
    assert (answer.status, answer.json["code"]) == (429, "APIGW.0308")
    assert await _list(world) == []
    assert (await world.call("POST", USERS, body)).status == 201
    assert len(await _list(world)) == 1


async def test_a_user_is_shown_without_its_secrets(world: World) -> None:
    """What a robot or a header is let in by is masked, keys are not there; none is readable."""
    user = await _create(
        world,
        "运维 1",
        group=["night", "白班"],
        sms=CODED,
        http={"endpoint": "http://127.0.0.1:9/x", "header": {"X-Token": "hush-hush"}},
        dingding={"endpoint": ROBOT, "keyword": "alarm", "sign_secret": "hush-hush"},
        welink={"endpoint": "123456", "client_id": "id", "client_secret": "hush-hush"},
        ding_talk_bot={
            "endpoint": "user",
            "app_key": "key",
            "app_secret": "hush-hush",
            "robot_code": "key",
        },
    )
    (shown,) = await _list(world)
    times = [shown.pop("create_time"), shown.pop("update_time")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)
    assert shown == {
        "id": user,
        "domain_id": world.domain,
        "name": "运维 1",
        "status": "UNCONFIRMED",
        "group": ["night", "白班"],
        "sms": {"endpoint": "13600000000", "verification_code_enabled": True},
        "http": {"endpoint": "http://127.0.0.1:9/x", "header": {"X-Token": "***"}},
        "dingding": {
            "endpoint": "https://oapi.dingtalk.com/***",
            "keyword": "alarm",
            "sign_secret": "***",
        },
        "welink": {"endpoint": "123456", "client_id": "id"},
        "ding_talk_bot": {"endpoint": "user", "robot_code": "key"},
    }
    assert "hush-hush" not in str(await snapshot(world.engine.store))


async def test_a_user_is_asked_and_may_leave_and_return(world: World) -> None:
    """Invited, told how to leave, and after leaving how to return; no message names a topic."""
    await _create(world, http={"endpoint": world.receiver.url("one")})
    await world.deliver()
    invitation = _last(world)
    assert invitation["type"] == "HttpSubscriptionUserConfirm"
    assert "topic_urn" not in invitation
    assert await _open(world, invitation["subscribe_url"]) == 200
    assert [one["status"] for one in await _list(world)] == ["CONFIRMED"]
    await world.deliver()
    welcome = _last(world)
    assert welcome["type"] == "HttpSubscriptionUserUnsubscribe"
    assert "subscribe_url" not in welcome
    assert await _open(world, invitation["subscribe_url"]) == 200  # again says the same
    await world.deliver()
    assert len(world.receiver.of("one")) == 2
    assert await _open(world, welcome["unsubscribe_url"]) == 200
    assert [one["status"] for one in await _list(world)] == ["CANCELLED"]
    await world.deliver()
    farewell = _last(world)
    assert farewell["type"] == "HttpSubscriptionUserConfirm"
    assert await _open(world, farewell["subscribe_url"]) == 200
    assert [one["status"] for one in await _list(world)] == ["CONFIRMED"]


async def test_who_confirms_has_confirmed_even_if_it_cannot_be_told_how_to_leave(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says so while memory is full, too."""

    async def full() -> bool:
        return True

    await _create(world, http={"endpoint": world.receiver.url("one")})
    await world.deliver()
    monkeypatch.setattr(world.engine.publisher, "_memory_is_full", full)
    assert await _open(world, _last(world)["subscribe_url"]) == 200
    assert [one["status"] for one in await _list(world)] == ["CONFIRMED"]


async def test_a_user_confirms_by_code(world: World) -> None:
    """The one endpoint that was sent it; wrong codes change nothing and are bounded."""
    user = await _create(world, sms=CODED, callnotify=CODED)
    await world.deliver()
    (entry,) = await world.engine.outbox.last("sms")
    code = re.match(r"\d{6}", str(entry.fields["text"]))
    assert code
    wrong = f"{(int(code[0]) + 1) % 1_000_000:06}"
    body = {"verification_code": wrong, "name": "changed"}
    answer = await world.call("PUT", f"{USERS}/{user}", body)
    assert (answer.status, answer.json["error_code"]) == (403, "SMN.0022")
    answer = await world.call("PUT", f"{USERS}/{user}", body | {"verification_code": code[0]})
    assert answer.status == 200
    (shown,) = await _list(world)
    assert (shown["name"], shown["status"]) == ("changed", "UNCONFIRMED")
    await world.call("POST", IMPORT, {"ids": [user]})
    statuses = {one["protocol"]: one["status"] for one in (await world.listed()).values()}
    assert statuses == {"sms": 1, "callnotify": 0}


async def test_name_and_groups_change_on_their_own(world: World) -> None:
    """What is not named stays; no groups is an empty list."""
    user = await _create(
        world, group=["a"], welink={"endpoint": "1", "client_id": "i", "client_secret": "s"}
    )
    for body, name, groups in (
        ({"name": "new"}, "new", ["a"]),
        ({"group": ["b", "c"]}, "new", ["b", "c"]),
        ({}, "new", ["b", "c"]),
        ({"group": []}, "new", []),
    ):
        answer = await world.call("PUT", f"{USERS}/{user}", body)
        assert (answer.status, set(answer.json)) == (200, {"request_id"})
        (shown,) = await _list(world)
        assert (shown["name"], shown["group"], shown["status"]) == (name, groups, "CONFIRMED")


async def test_filters_combine(world: World) -> None:
    """Name, protocol, status, and a part of a group's name."""
    link = {"endpoint": "1", "client_id": "i", "client_secret": "s"}
    one = await _create(world, "one", group=["night_shift"], sms=PHONE)
    two = await _create(world, "two", group=["nights", "day"], welink=link)
    three = await _create(world, "two", ding_talk_bot=None, welink=link)
    for query, found in (
        ("", [three, two, one]),
        ("?name=two", [three, two]),
        ("?name=tw", []),
        ("?group=night", [two, one]),
        ("?protocol=sms", [one]),
        ("?protocol=ding_talk_bot", []),
        ("?status=CONFIRMED", [three, two]),
        ("?status=CONFIRMED&group=day", [two]),
        ("?name=two&limit=1&offset=1", [two]),
        ("?offset=3", []),
        ("?limit=2", [three, two]),
    ):
        assert sorted(user["id"] for user in await _list(world, query)) == sorted(found), query


async def test_a_search_sees_every_change_of_a_user(world: World) -> None:
    """Of its name and groups, and of the status of each of its endpoints."""
    link = {"endpoint": "1", "client_id": "i", "client_secret": "s"}
    one = await _create(world, "one", group=["night"], sms=PHONE, welink=link)
    two = await _create(world, "two", welink=link)

    async def found(query: str) -> list[str]:
        return [user["id"] for user in await _list(world, query)]

    assert await found("?status=UNCONFIRMED") == [one]
    users, roster = world.engine.subscription_users, world.engine.roster
    for status, shown in (
        (Status.CONFIRMED, "CONFIRMED"),
        (Status.CANCELLED, "CANCELLED"),
        (Status.UNCONFIRMED, "UNCONFIRMED"),
    ):
        for endpoint in await users.endpoints(world.client.account.domain_id, [one]):
            await roster.set_status(endpoint, status)
        assert one in await found(f"?status={shown}")
        assert (two in await found(f"?status={shown}")) is (shown == "CONFIRMED")
    await users.update(world.client.account.domain_id, one, name="three", groups=["day"])
    assert await found("?name=three") == await found("?group=da") == [one]
    assert await found("?name=one") == await found("?group=night") == []
    await users.delete(world.client.account.domain_id, one)
    assert await found("?name=three") == await found("?status=UNCONFIRMED") == []


async def test_topics_take_endpoints_over(world: World) -> None:
    """Every endpoint with its status: confirmed ones at once, unconfirmed ones are invited."""
    link = {"endpoint": "1", "client_id": "i", "client_secret": "s"}
    user = await _create(world, welink=link, http={"endpoint": world.receiver.url("one")})
    await world.deliver()
    await _open(world, _last(world)["subscribe_url"])
    other = await _create(world, sms=PHONE)
    answer = await world.call("POST", IMPORT, {"ids": [user, MISSING, "x", other, user]})
    assert (answer.status, set(answer.json)) == (200, {"subscriptions_result"})
    results = answer.json["subscriptions_result"]
    codes = [(one["http_code"], one.get("error_code")) for one in results]
    assert codes == [
        (201, None),
        (201, None),
        (404, "SMN.0013"),
        (404, "SMN.0013"),
        (201, None),
        (200, None),
        (200, None),
    ]
    listed = await world.listed()
    assert [listed[one["subscription_urn"]]["status"] for one in (*results[:2], results[4])] == [
        1,
        1,
        0,
    ]
    await world.deliver()
    await world.engine.publish(world.topic, "hello")
    await world.deliver()
    assert _last(world)["message"] == "hello"
    (sent,) = world.recorders["welink"].sent
    assert sent.subscription.extension == {"client_id": "i", "client_secret": "s"}


async def test_who_has_left_is_not_brought_back(world: World) -> None:
    """A cancelled endpoint is taken over as cancelled, and is not written to."""
    user = await _create(world, http={"endpoint": world.receiver.url("one")})
    await world.deliver()
    await _open(world, _last(world)["subscribe_url"])
    await world.deliver()
    await _open(world, _last(world)["unsubscribe_url"])
    await world.deliver()
    before = len(world.receiver.arrivals)
    await world.call("POST", IMPORT, {"ids": [user]})
    await world.engine.publish(world.topic, "hello")
    await world.deliver()
    assert len(world.receiver.arrivals) == before
    assert [one["status"] for one in (await world.listed()).values()] == [3]


async def test_a_deleted_user_leaves_nothing(world: World) -> None:
    """Its invitation is withdrawn with it; what a topic took over stays."""
    user = await _create(world, sms=PHONE)
    await world.call("POST", IMPORT, {"ids": [user]})
    answer = await world.call("DELETE", f"{USERS}/{user}")
    assert (answer.status, set(answer.json)) == (200, {"request_id"})
    assert await _list(world) == []
    await world.deliver()
    await world.engine.retention.purge(world.engine.keys.shard_of_topic(user))
    assert await keys_about(world.engine, user) == set()
    assert len(await world.listed()) == 1
    again = await world.call("DELETE", f"{USERS}/{user}")
    assert (again.status, again.json["error_code"]) == (404, "SMN.0013")


async def test_users_are_no_topics(world: World) -> None:
    """No list and no call of topics or subscriptions reaches them."""
    user = await _create(world, sms=PHONE)
    topic = await world.engine.subscription_users._records.find(world.domain, user)
    assert topic is not None
    assert (await world.call("GET", "{topics}")).json["topic_count"] == 1
    listed = await world.call("GET", "/v2/{project}/notifications/subscriptions")
    assert listed.json["subscription_count"] == 0
    for method, path in (
        ("GET", f"{{topics}}/{topic.urn}"),
        ("DELETE", f"{{topics}}/{topic.urn}"),
        ("GET", f"{{topics}}/{topic.urn}/subscriptions"),
    ):
        await world.refused(method, path, None, 403, "SMN.0001")
    found = await world.engine.subscription_users.list(world.domain)
    assert found.total == 1


async def test_bad_users_change_nothing(world: World) -> None:
    """Each fault has the contract's code, and no endpoint is written to."""
    user = await _create(world)
    ok = {"name": "ops", "sms": PHONE}
    for body, status, code in (
        (b"[]", 400, "SMN.0043"),
        ({"sms": PHONE}, 400, "SMN.0002"),
        (ok | {"name": ""}, 400, "SMN.0002"),
        (ok | {"name": "x" * 65}, 400, "SMN.0002"),
        (ok | {"name": "a\nb"}, 400, "SMN.0002"),
        ({"name": "ops"}, 400, "SMN.0043"),
        (ok | {"sms": "13600000000"}, 400, "SMN.0043"),
        (ok | {"sms": {"endpoint": "nobody"}}, 400, "SMN.0012"),
        (ok | {"http": {"endpoint": "http://10.0.0.1/"}}, 403, "SMN.0069"),
        (ok | {"welink": {"endpoint": "1"}}, 400, "SMN.0043"),
        *(
            (ok | {"group": group}, 400, "SMN.0043")
            for group in ("a", [7], ["a", "a"], ["_a"], ["a__b"], ["a b"], ["x" * 33])
        ),
        (ok | {"group": [f"g{n}" for n in range(11)]}, 400, "SMN.0043"),
    ):
        await world.refused("POST", USERS, body, status, code)
    for path, body, status, code in (
        (f"{USERS}/{MISSING}", {"name": "x"}, 404, "SMN.0013"),
        (f"{USERS}/nonsense", {"name": "x"}, 404, "SMN.0013"),
        (f"{USERS}/{user}", {"name": ""}, 400, "SMN.0002"),
        (f"{USERS}/{user}", {"group": ["_"]}, 400, "SMN.0043"),
        (f"{USERS}/{user}", {"verification_code": "000000"}, 403, "SMN.0022"),
        (f"/v2/{MISSING}/subscription-users/{user}", {"name": "x"}, 403, "SMN.0001"),
    ):
        await world.refused("PUT", path, body, status, code)
    for query, code in (
        ("status=0", "SMN.0077"),
        ("limit=0", "SMN.0015"),
        ("offset=x", "SMN.0015"),
    ):
        await world.refused("GET", f"{USERS}?{query}", None, 400, code)
    for method in ("GET", "POST"):
        await world.refused(method, f"/v2/{MISSING}/subscription-users", ok, 403, "SMN.0001")
    for body in ({}, {"ids": []}, {"ids": [7]}, {"ids": [user] * 101}):
        await world.refused("POST", IMPORT, body, 400, "SMN.0043")
    gone = "{topics}/{topic}x/subscriptions/from-subscription-users"
    await world.refused("POST", gone, {"ids": [user]}, 404, "SMN.0006")
    del world.engine.adapters["callnotify"]
    await world.refused("POST", USERS, ok | {"callnotify": PHONE}, 400, "SMN.0011")
