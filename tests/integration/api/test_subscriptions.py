"""Subscriptions through the API: batches, codes, remarks, lists, deletion."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.engines import snapshot
from tests.subscribing import MISSING, World, open_world

PHONE = "+8613600000000"
CODED = {"verification_code_enabled": True}


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """An API with every protocol of the contract."""
    async with open_world(redis_url, tmp_path) as world:
        yield world


def asked(protocol: str, endpoint: str, **more: Any) -> dict[str, Any]:
    """A subscription to ask for."""
    return {"protocol": protocol, "endpoint": endpoint, **more}


ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=hush-hush"
SECRETS = {"client_id": "hush-id", "client_secret": "hush-hush"}


# Adding


@pytest.mark.parametrize(
    ("protocol", "endpoint", "extension", "status"),
    [
        ("http", "http://127.0.0.1:9/x", {"header": {"X-Token": "hush-hush"}}, 0),
        ("email", "somebody@example.com", None, 0),
        ("sms", "13600000000", CODED, 0),
        ("callnotify", PHONE, None, 0),
        ("dingding", ROBOT, {"sign_secret": "hush-hush"}, 1),
        ("welink", "123456", SECRETS, 1),
        ("functiongraph", "workflow-1", None, 1),
    ],
)
async def test_each_protocol_is_added_as_the_contract_has_it(
    world: World, protocol: str, endpoint: str, extension: Any, status: int
) -> None:
    """Those that must confirm have status 0; secrets are neither shown nor readable at rest."""
    urn = await world.add(protocol, endpoint, extension=extension, remark="one")
    (shown,) = (await world.listed()).values()
    assert shown == {
        "topic_urn": world.topic,
        "protocol": protocol,
        "subscription_urn": urn,
        "owner": world.project,
        "endpoint": endpoint,
        "remark": "one",
        "status": status,
        "filter_polices": [],
        "extension": {"verification_code_enabled": extension is CODED},
    }
    assert "hush-hush" not in str(await snapshot(world.engine.store))


async def test_a_batch_has_a_result_for_each(world: World) -> None:
    """In order; good ones are made whatever is wrong with others; again they are found."""
    batch = [
        asked("sms", PHONE),
        asked("pigeon", "loft"),
        asked("email", "nobody"),
        asked("sms", PHONE, remark="twice"),
        asked("welink", "1"),
        asked("http", "http://10.0.0.1/"),
        asked("http", "http://127.0.0.1:9/a", remark="r" * 129),
        asked("email", "a@example.com"),
    ]
    answer = await world.call(
        "POST", "{subs}", asked("http", "http://127.0.0.1:9/first") | {"subscriptions": batch}
    )
    assert answer.status == 201
    results = answer.json["subscriptions_result"]
    codes = [(one["http_code"], one.get("error_code")) for one in results]
    assert codes == [
        (201, None),
        (201, None),
        (400, "SMN.0011"),
        (400, "SMN.0012"),
        (200, None),
        (400, "SMN.0043"),
        (403, "SMN.0069"),
        (400, "SMN.0017"),
        (201, None),
    ]
    assert answer.json["subscription_urn"] == results[0]["subscription_urn"]
    assert results[1]["subscription_urn"] == results[4]["subscription_urn"]
    assert len(await world.listed()) == 3
    again = await world.call("POST", "{subs}", {"subscriptions": batch[:1]})
    assert (again.status, again.json["subscription_urn"]) == (200, results[1]["subscription_urn"])


async def test_each_endpoint_of_a_batch_is_invited_once(world: World) -> None:
    """Though it may be asked for twice."""
    one = asked("http", world.receiver.url("one"))
    await world.call("POST", "{subs}", {"subscriptions": [one, one]})
    await world.deliver()
    assert len(world.receiver.of("one")) == 1


@pytest.mark.parametrize("count", [1, 2])
async def test_a_batch_for_an_unknown_topic_has_no_results(world: World, count: int) -> None:
    """SMN.0006, even if nothing of it could be added."""
    path = f"{{topics}}/{world.topic}x/subscriptions"
    batch = {"subscriptions": [asked("email", "nobody")] * count}
    await world.refused("POST", path, batch, 404, "SMN.0006")


async def test_a_batch_over_the_quota_fills_the_topic(redis_url: str, tmp_path: Path) -> None:
    """SMN.0007 for each that has no room; those that exist are found, wherever they stand."""
    async with open_world(redis_url, tmp_path, quota_subscriptions=2) as world:
        batch = [asked("welink", str(number), extension=SECRETS) for number in range(3)]
        for given, expected in ((batch, [201, 201, 403]), (batch[::-1], [403, 200, 200])):
            answer = await world.call("POST", "{subs}", {"subscriptions": given})
            results = answer.json["subscriptions_result"]
            assert [one["http_code"] for one in results] == expected
            refused = [one["error_code"] for one in results if "error_code" in one]
            assert refused == ["SMN.0007"]
        await world.refused("POST", "{subs}", asked("sms", PHONE), 403, "SMN.0007")


async def test_one_that_is_deleted_while_it_is_added_is_added_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for it gets one that there is, whether it was new or found."""
    roster = world.engine.roster
    read_many = roster.read_many

    async def too_late(topic_id: str, topic_urn: str, ids: Sequence[str]) -> Any:
        monkeypatch.setattr(roster, "read_many", read_many)
        await world.engine.subscriptions.delete(f"{topic_urn}:{ids[0]}")
        return await read_many(topic_id, topic_urn, ids)

    for _ in ("new", "found"):
        monkeypatch.setattr(roster, "read_many", too_late)
        answer = await world.call("POST", "{subs}", asked("sms", PHONE))
        assert answer.status == 201
        assert list(await world.listed()) == [answer.json["subscription_urn"]]


async def test_who_confirms_while_it_is_added_again_stays_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had left, and comes back by its link just when it is invited once more."""
    urn = await world.confirmed("http", world.receiver.url("one"))
    subscriptions, roster = world.engine.subscriptions, world.engine.roster
    _, link = await subscriptions.unsubscribe(urn)
    (token,) = parse_qs(urlsplit(link).query)["token"]
    read_many = roster.read_many

    async def then_confirm(*which: Any) -> Any:
        monkeypatch.setattr(roster, "read_many", read_many)
        found = await read_many(*which)
        await subscriptions.confirm(token)
        return found

    monkeypatch.setattr(roster, "read_many", then_confirm)
    assert await world.add("http", world.receiver.url("one")) == urn
    assert (await world.listed())[urn]["status"] == 1
    await world.deliver()
    assert len(world.receiver.of("one")) == 1  # the farewell


async def test_what_no_adapter_speaks_is_refused(world: World) -> None:
    """SMN.0011, whatever the contract knows of the protocol."""
    del world.engine.adapters["callnotify"]
    await world.refused("POST", "{subs}", asked("callnotify", PHONE), 400, "SMN.0011")


BAD_ADDITIONS: list[tuple[Any, str]] = [
    ({}, "SMN.0011"),
    (asked("dms", "queue"), "SMN.0011"),
    (asked("email", "a@b"), "SMN.0012"),
    (asked("sms", PHONE, extension={"verification_code_enabled": "yes"}), "SMN.0043"),
    (asked("feishu", ROBOT, extension={"keyword": "a", "sign_secret": "b"}), "SMN.0043"),
    (asked("dingTalkBot", "user"), "SMN.0043"),
    ({"subscriptions": [asked("sms", PHONE)] * 51}, "SMN.0043"),
    (asked("sms", PHONE) | {"subscriptions": [asked("sms", PHONE)] * 50}, "SMN.0043"),
    ({"subscriptions": {}}, "SMN.0043"),
    ({"subscriptions": ["x"]}, "SMN.0043"),
    ({"subscriptions": [asked("sms", PHONE, remark=7)]}, "SMN.0043"),
]


async def test_bad_additions_change_nothing(world: World) -> None:
    """With the contract's code."""
    for body, code in BAD_ADDITIONS:
        await world.refused("POST", "{subs}", body, 400, code)


# Codes


async def _code(world: World) -> str:
    """The code in the last SMS."""
    (last,) = await world.engine.outbox.last("sms")
    text = str(last.fields["text"])
    found = re.match(r"(\d{6}) is your code", text)
    assert found, text
    assert "http" not in text
    return found[1]


async def test_a_code_confirms(world: World) -> None:
    """It comes by SMS without a link, and is good for one confirmation."""
    urn = await world.add("sms", PHONE, extension=CODED)
    await world.deliver()
    code = await _code(world)
    path = f"{{subs}}/{urn}"
    answer = await world.call("PUT", path, {"verification_code": code, "remark": "mine"})
    assert (answer.status, answer.json["subscription_urn"]) == (200, urn)
    shown = (await world.listed())[urn]
    assert (shown["status"], shown["remark"]) == (1, "mine")
    again = await world.call("PUT", path, {"verification_code": code})
    assert (again.status, again.json["code"]) == (403, "SMN.0022")


async def test_a_new_code_replaces_the_old(world: World) -> None:
    """As the last invitation said."""
    urn = await world.add("sms", PHONE, extension=CODED)
    await world.deliver()
    old = await _code(world)
    new = old
    while new == old:
        await world.add("sms", PHONE, extension=CODED)
        await world.deliver()
        new = await _code(world)
    refused = await world.call("PUT", f"{{subs}}/{urn}", {"verification_code": old})
    assert refused.json["code"] == "SMN.0022"
    accepted = await world.call("PUT", f"{{subs}}/{urn}", {"verification_code": new})
    assert accepted.status == 200


async def test_a_code_expires_and_is_kept_as_a_hash(world: World) -> None:
    """After 48 hours; Redis does not hold it once the message has gone."""
    urn = await world.add("sms", PHONE, extension=CODED)
    await world.deliver()
    code = await _code(world)
    topic, subscription = await world.engine.subscriptions.find(urn)
    name = world.engine.keys.code(topic.id, subscription.id)
    life_ms = await world.engine.store.call("PTTL", name)
    assert 0 < life_ms <= 48 * 3_600_000
    assert code.encode() not in await world.engine.store.call("GET", name)
    await world.engine.store.call("DEL", name)
    answer = await world.call("PUT", f"{{subs}}/{urn}", {"verification_code": code})
    assert (answer.status, answer.json["code"]) == (403, "SMN.0022")


async def test_codes_cannot_be_guessed(world: World) -> None:
    """After ten wrong ones even the right one has to wait; nothing else has changed."""
    urn = await world.add("sms", PHONE, extension=CODED)
    await world.deliver()
    code = await _code(world)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(10):
        answer = await world.call(
            "PUT", f"{{subs}}/{urn}", {"verification_code": wrong, "remark": "changed"}
        )
        assert (answer.status, answer.json["code"]) == (403, "SMN.0022")
    answer = await world.call("PUT", f"{{subs}}/{urn}", {"verification_code": code})
    assert (answer.status, answer.json["code"]) == (429, "APIGW.0308")
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    shown = (await world.listed())[urn]
    assert (shown["status"], shown["remark"]) == (0, "")


async def test_a_linked_subscription_has_no_code(world: World) -> None:
    """Whatever is tried."""
    urn = await world.add("sms", PHONE)
    for code in ("000000", "", "x" * 99):
        answer = await world.call("PUT", f"{{subs}}/{urn}", {"verification_code": code})
        assert (answer.status, answer.json["code"]) == (403, "SMN.0022")


# Changing and removing


async def test_a_remark_is_changed_where_it_sits(world: World) -> None:
    """An empty one clears it, neither member changes nothing; everything else stays."""
    urn = await world.confirmed("welink", "1", **SECRETS)
    _, before = await world.engine.subscriptions.find(urn)
    for body, remark in (({"remark": "运维"}, "运维"), ({}, "运维"), ({"remark": ""}, "")):
        answer = await world.call("PUT", f"{{subs}}/{urn}", body)
        assert answer.json == {"request_id": answer.json["request_id"], "subscription_urn": urn}
        _, after = await world.engine.subscriptions.find(urn)
        assert after.remark == remark
        assert (after.extension, after.first) == (before.extension, before.first)


BAD_UPDATES: list[tuple[str, Any, int, str]] = [
    ("{subs}/{topic}:" + MISSING, {"remark": "x"}, 404, "SMN.0013"),
    ("{topics}/{topic}x/subscriptions/{urn}", {"remark": "x"}, 404, "SMN.0013"),
    ("{subs}/nonsense", {"remark": "x"}, 400, "SMN.0014"),
    ("{subs}/{urn}", {"remark": "x" * 129}, 400, "SMN.0017"),
    ("{subs}/{urn}", {"remark": "a\nb"}, 400, "SMN.0017"),
    ("{subs}/{urn}", {"remark": 7}, 400, "SMN.0017"),
    ("{subs}/{urn}", {"verification_code": 123456}, 403, "SMN.0022"),
    ("{subs}/{urn}", b"[]", 400, "SMN.0043"),
]


async def test_bad_updates_change_nothing(world: World) -> None:
    """With the contract's code."""
    urn = await world.confirmed("sms", PHONE)
    for path, body, status, code in BAD_UPDATES:
        await world.refused("PUT", path.replace("{urn}", urn), body, status, code)


@pytest.mark.parametrize("path", ["{subs}", "/v2/{project}/notifications/subscriptions"])
async def test_many_are_removed_at_once(world: World, path: str) -> None:
    """Each has its result in order; what is wrong with one keeps no other."""
    one, two, kept = [await world.confirmed("sms", f"1360000000{n}") for n in range(3)]
    other = await world.engine.create_topic("other")
    elsewhere = await world.engine.subscribe(other.urn, "sms", PHONE, confirmed=True)
    foreign = f"urn:smn:region01:{MISSING}:demo:{MISSING}"
    urns = [one, f"{world.topic}:{MISSING}", "nonsense", two, one, foreign, elsewhere.urn]
    body = {"subscription_urns": [{"subscription_urn": urn} for urn in urns]}
    answer = await world.call("DELETE", path, body)
    assert answer.status == 200
    assert set(answer.json) == {"subscriptions_result"}
    results = [(one["http_code"], one.get("code")) for one in answer.json["subscriptions_result"]]
    by_topic = path == "{subs}"
    assert results == [
        (200, None),
        (404, "SMN.0013"),
        (400, "SMN.0014"),
        (200, None),
        (404, "SMN.0013"),
        (404, "SMN.0013") if by_topic else (403, "SMN.0001"),
        (404, "SMN.0013") if by_topic else (200, None),
    ]
    assert list(await world.listed()) == [kept]


BAD_REMOVALS: list[Any] = [
    b"",
    {},
    {"subscription_urns": []},
    {"subscription_urns": ["urn"]},
    {"subscription_urns": [{}]},
    {"subscription_urns": [{"subscription_urn": "x"}] * 101},
]


async def test_bad_removals_change_nothing(world: World) -> None:
    """SMN.0043 for a list that is none."""
    await world.confirmed("sms", PHONE)
    for body in BAD_REMOVALS:
        for path in ("{subs}", "/v2/{project}/notifications/subscriptions"):
            await world.refused("DELETE", path, body, 400, "SMN.0043")


# Lists


async def test_filters_combine(world: World) -> None:
    """Protocol, status, part of the endpoint, part of the remark, in the project's list."""
    await world.confirmed("sms", "13600000001")
    wanted = await world.add("sms", "13600000002", remark="Night watch")
    await world.add("sms", "13600000003", remark="day")
    await world.add("email", "night@example.com", remark="night")
    path = "/v2/{project}/notifications/subscriptions"
    query = "?protocol=sms&status=0&endpoint=0000&fuzzy_remark=NIGHT"
    answer = (await world.call("GET", path + query)).json
    assert answer["subscription_count"] == 1
    assert [one["subscription_urn"] for one in answer["subscriptions"]] == [wanted]
    assert len(await world.listed("?fuzzy_remark=night")) == 2
    for bad, code in (("status=5", "SMN.0077"), (f"fuzzy_remark={'x' * 129}", "SMN.0017")):
        await world.refused("GET", f"{path}?{bad}", None, 400, code)


async def _commands(world: World) -> int:
    info = await world.engine.store.call("INFO", "stats", key="x")
    return int(re.search(rb"total_commands_processed:(\d+)", info)[1])  # type: ignore[index]


@pytest.mark.parametrize("path", ["{subs}", "/v2/{project}/notifications/subscriptions"])
async def test_no_page_costs_more_than_another(world: World, path: str) -> None:
    """By offset or by marker, a page takes the same number of commands wherever it is."""
    endpoints = world.receiver.urls("e", 1200)
    await world.engine.subscribe_many(world.topic, "http", endpoints)
    first = (await world.call("GET", f"{path}?limit=100&offset=0")).json["subscriptions"]
    costs = []
    for query in ("offset=0", "offset=600", "offset=1050", "offset=999999999"):
        before = await _commands(world)
        answer = await world.call("GET", f"{path}?limit=50&{query}")
        costs.append(await _commands(world) - before)
        assert answer.json["subscription_count"] == 1200
    assert max(costs[:3]) <= min(costs[:3]) + 1  # a page of a list may sit in two of the roster
    assert costs[3] <= costs[0]
    before = await _commands(world)
    marked = await world.call("GET", f"{path}?limit=50&marker={first[49]['subscription_urn']}")
    assert await _commands(world) - before <= costs[0] + 3
    assert marked.json["subscriptions"] == first[50:]
    assert marked.json["subscription_count"] == 1200


@pytest.mark.parametrize("path", ["{subs}", "/v2/{project}/notifications/subscriptions"])
async def test_after_an_unknown_marker_comes_nothing(world: World, path: str) -> None:
    """But the number of all."""
    await world.confirmed("sms", PHONE)
    for marker in ("nonsense", f"{world.topic}:{MISSING}", f"{world.topic}x:{MISSING}"):
        answer = await world.call("GET", f"{path}?marker={marker}")
        assert (answer.json["subscription_count"], answer.json["subscriptions"]) == (1, [])


async def test_filtered_pages_follow_a_marker(world: World) -> None:
    """The marker is the last of the page before, and the total stays that of all matches."""
    urns = [await world.confirmed("sms", f"1360000000{n}") for n in range(5)]
    await world.confirmed("callnotify", PHONE)
    path = "/v2/{project}/notifications/subscriptions?protocol=sms&limit=2"
    answer = (await world.call("GET", f"{path}&marker={urns[1]}")).json
    assert [one["subscription_urn"] for one in answer["subscriptions"]] == urns[2:4]
    assert answer["subscription_count"] == 5


async def test_the_names_of_a_batch_are_resolved_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty slow ones keep a caller waiting as long as one."""
    waiting: list[str] = []
    all_ask = asyncio.Event()

    async def check(protocol: str, endpoint: str, extension: object) -> None:
        waiting.append(endpoint)
        if len(waiting) == 50:
            all_ask.set()
        await all_ask.wait()

    monkeypatch.setattr(world.engine.adapters["http"], "check", check)
    batch = [{"protocol": "http", "endpoint": f"http://127.0.0.1:9/{n}"} for n in range(50)]
    async with asyncio.timeout(10):
        answer = await world.call("POST", "{subs}", {"subscriptions": batch})
    assert {one["http_code"] for one in answer.json["subscriptions_result"]} == {201}
