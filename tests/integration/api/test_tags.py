"""Tags of topics, tags of the project, and topics by their tags."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.worlds import World

KIND = "/v2/{project}/smn_topic"
BY_NAME = {"X-SMN-RESOURCEID-TYPE": "name"}
TAGS = f"{KIND}/{{id}}/tags"
QUERY = f"{KIND}/resource_instances/action"


@pytest.fixture
async def tagged(world: World, topic: str) -> World:
    """A world with a topic whose id is ``{id}``, and one of another project, ``{foreign}``."""
    world.names["id"] = (await world.engine.topics.get(topic)).id
    foreign, _ = await world.engine.topics.create("f" * 32, "foreign")
    world.names["foreign"] = foreign.id
    return world


def pairs(**tags: str | None) -> list[dict[str, str | None]]:
    """Tags as requests have them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


async def write(world: World, target: str, body: Any, **options: Any) -> None:
    """A change: 204 without a body."""
    answer = await world.call("POST", target, body, **options)
    assert (answer.status, answer.raw) == (204, b""), answer.raw
    assert answer.headers["X-Request-Id"]


async def read(world: World, target: str = TAGS, **options: Any) -> dict[str, str]:
    """Tags of a topic."""
    answer = await world.call("GET", target, **options)
    assert answer.status == 200, answer.raw
    assert set(answer.json) == {"tags"}
    return {tag["key"]: tag["value"] for tag in answer.json["tags"]}


async def test_tags_are_added_overwritten_and_removed(tagged: World) -> None:
    """One by one and several at once, by id and by name."""
    assert await read(tagged) == {}
    await write(tagged, TAGS, {"tag": {"key": "DEV", "value": "DEV1"}})
    await write(tagged, TAGS, {"tag": {"key": "DEV", "value": "DEV2"}})
    batch = {"action": "create", "tags": [*pairs(team="blue", DEV="DEV3"), {"key": "bare"}]}
    await write(tagged, f"{KIND}/demo/tags/action", batch, headers=BY_NAME)
    assert await read(tagged) == {"DEV": "DEV3", "bare": "", "team": "blue"}
    batch = {"action": "delete", "tags": [*pairs(team=None, gone="x"), {"key": "bare"}]}
    await write(tagged, f"{TAGS}/action", batch)
    assert await read(tagged, f"{KIND}/demo/tags", headers=BY_NAME) == {"DEV": "DEV3"}
    answer = await tagged.call("DELETE", f"{TAGS}/DEV")
    assert (answer.status, answer.raw) == (204, b"")
    assert await read(tagged) == {}


async def test_a_key_in_a_path_may_hold_anything(tagged: World) -> None:
    """A slash, a colon, a percent sign, letters of any script: encoded once, as clients do."""
    for key, encoded in (
        ("a/b:c", "a%2Fb%3Ac"),
        ("100%", "100%25"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("k" * 128, "k" * 128),
        (" ", "%20"),
        ("..", "%2E%2E"),
    ):
        await write(tagged, TAGS, {"tag": {"key": key, "value": "名" * 256}})
        assert await read(tagged) == {key: "名" * 256}
        assert (await tagged.call("DELETE", f"{TAGS}/{encoded}")).status == 204, key
    assert await read(tagged) == {}


async def test_a_resource_has_twenty_tags(tagged: World) -> None:
    """One more is refused, and with it all that came along; overwriting goes on."""
    full = pairs(**{f"k{number}": "v" for number in range(20)})
    await write(tagged, f"{TAGS}/action", {"action": "create", "tags": full})
    await write(tagged, TAGS, {"tag": {"key": "k0", "value": "new"}})
    more = {"action": "create", "tags": pairs(k1="other", k20="v")}
    await tagged.refuses("POST", f"{TAGS}/action", more, status=400, code="SMN.0038")
    one = {"tag": {"key": "k20", "value": "v"}}
    await tagged.refuses("POST", TAGS, one, status=400, code="SMN.0038")
    await asyncio.gather(
        *(tagged.call("DELETE", f"{TAGS}/k{number}") for number in range(10)),
        *(
            tagged.call("POST", TAGS, {"tag": {"key": f"n{number}", "value": "v"}})
            for number in range(25)
        ),
    )
    assert len(await read(tagged)) <= 20


async def test_the_project_knows_all_its_tags(tagged: World) -> None:
    """Every key once with its values, those of other projects left out."""
    second = (await tagged.engine.topics.create(tagged.project, "second"))[0]
    first = await tagged.engine.topics.by_name(tagged.project, "demo")
    foreign = await tagged.engine.topics.by_name("f" * 32, "foreign")
    assert first is not None
    assert foreign is not None
    await tagged.engine.tags.add(first, [("env", "prod"), ("team", "blue")])
    await tagged.engine.tags.add(second, [("env", "dev"), ("team", "blue")])
    await tagged.engine.tags.add(foreign, [("secret", "x")])
    answer = await tagged.call("GET", f"{KIND}/tags")
    assert answer.json == {
        "tags": [
            {"key": "env", "values": ["dev", "prod"]},
            {"key": "team", "values": ["blue"]},
        ]
    }
    await tagged.engine.topics.delete(second.urn)
    assert (await tagged.call("GET", f"{KIND}/tags")).json["tags"][0]["values"] == ["prod"]


async def test_resources_that_do_not_exist_have_no_tags(tagged: World) -> None:
    """SMS and application resources can be asked for, and none is there."""
    for kind in ("smn_sms", "smn_application"):
        base = f"/v2/{{project}}/{kind}"
        assert (await tagged.call("GET", f"{base}/tags")).json == {"tags": []}
        found = await tagged.call("POST", f"{base}/resource_instances/action", {"action": "filter"})
        assert found.json == {"resources": [], "total_count": 0}
        await tagged.refuses("GET", f"{base}/{{id}}/tags", status=404, code="SMN.0006")


GOOD = {"tag": {"key": "a", "value": "b"}}
BAD_TAGS: list[Any] = [
    *(None, [], {}, {"value": "b"}, {"key": ""}, {"key": None}, {"key": 1}, {"key": "a" * 129}),
    *({"key": "a", "value": "b" * 257}, {"key": "a", "value": 1}, {"key": "a\n"}),
    *({"key": "\x7f"}, {"key": "a", "value": "b\x00"}, {"key": "a", "value": ["b"]}),
]
BAD_BATCHES: list[tuple[Any, str]] = [
    ({"tags": [{"key": "a"}]}, "SMN.0073"),
    ({"action": "CREATE", "tags": [{"key": "a"}]}, "SMN.0073"),
    ({"action": None, "tags": [{"key": "a"}]}, "SMN.0073"),
    ({"action": "create"}, "SMN.0038"),
    ({"action": "create", "tags": []}, "SMN.0038"),
    ({"action": "delete", "tags": []}, "SMN.0038"),
    ({"action": "delete", "tags": [{"key": ""}]}, "SMN.0038"),
    ({"action": "delete", "tags": pairs(**{f"k{n}": "" for n in range(101)})}, "SMN.0038"),
    ({"action": "create", "tags": [*pairs(b="1"), *pairs(b="2")]}, "SMN.0038"),
    ({"action": "create", "tags": pairs(**{f"k{n}": "" for n in range(21)})}, "SMN.0038"),
    (b"", "APIGW.0201"),
]


async def test_bad_tags_change_nothing(tagged: World) -> None:
    """Each request answers its code, with a tag there to lose."""
    await write(tagged, TAGS, {"tag": {"key": "kept", "value": "v"}})
    for bad in BAD_TAGS:
        await tagged.refuses("POST", TAGS, {"tag": bad}, status=400, code="SMN.0038")
        batch = {"action": "create", "tags": [{"key": "good", "value": ""}, bad]}
        await tagged.refuses("POST", f"{TAGS}/action", batch, status=400, code="SMN.0038")
    for body, code in BAD_BATCHES:
        await tagged.refuses("POST", f"{TAGS}/action", body, status=400, code=code)
    await tagged.refuses("DELETE", f"{TAGS}/gone", status=404, code="SMN.0013")


async def test_unknown_resources_change_nothing(tagged: World) -> None:
    """Ids and names are not mistaken for each other, nor other projects' topics for one's own."""
    await write(tagged, TAGS, {"tag": {"key": "kept", "value": "v"}})
    batch = {"action": "delete", "tags": pairs(kept="")}
    for resource, headers in (
        ("demo", {}),
        ("{id}", BY_NAME),
        ("{foreign}", {}),
        ("foreign", BY_NAME),
        ("0" * 32, {}),
        ("gone%00", BY_NAME),
    ):
        base = f"{KIND}/{resource}/tags"
        calls: list[tuple[str, str, Any]] = [
            ("GET", base, None),
            ("POST", base, GOOD),
            ("POST", f"{base}/action", batch),
            ("DELETE", f"{base}/kept", None),
        ]
        for method, target, body in calls:
            await tagged.refuses(method, target, body, status=404, code="SMN.0006", headers=headers)
    for kind in ("topic", "SMN_TOPIC", "smn_topics"):
        base = f"/v2/{{project}}/{kind}"
        calls = [
            ("GET", f"{base}/{{id}}/tags", None),
            ("GET", f"{base}/tags", None),
            ("POST", f"{base}/{{id}}/tags", GOOD),
            ("POST", f"{base}/{{id}}/tags/action", batch),
            ("DELETE", f"{base}/{{id}}/tags/kept", None),
            ("POST", f"{base}/resource_instances/action", {"action": "count"}),
        ]
        for method, target, body in calls:
            await tagged.refuses(method, target, body, status=400, code="SMN.0043")
    foreign = f"/v2/{'f' * 32}/smn_topic/{{foreign}}/tags"
    await tagged.refuses("GET", foreign, status=403, code="SMN.0001")


# The query


@pytest.fixture
async def many(world: World) -> World:
    """Topics x_0 … x_9: even ones are of the environment dev, every third of a team."""
    for number in range(10):
        topic, _ = await world.engine.topics.create(
            world.project, f"x_{number}", display_name="shown", enterprise_project_id="e1"
        )
        tags = [] if number % 2 else [("env", f"dev-{number}")]
        if number % 3 == 0:
            tags.append(("team", "blue"))
        if tags:
            await world.engine.tags.add(topic, tags)
    return world


async def found(world: World, **body: Any) -> list[int]:
    """Numbers of the topics that a query finds; its count must be the same."""
    answer = await world.call("POST", QUERY, {"action": "filter", **body})
    assert answer.status == 200, answer.raw
    count = await world.call("POST", QUERY, {"action": "count", **body})
    assert count.json == {"total_count": answer.json["total_count"]}
    return sorted(int(one["resource_name"][2:]) for one in answer.json["resources"])


async def test_topics_are_found_by_tags(many: World) -> None:
    """The lists with their meanings; values in a key are alternatives, ``*`` is a part."""
    env, team = {"key": "env", "values": []}, {"key": "team", "values": ["red", "blue"]}
    for body, numbers in (
        ({}, range(10)),
        ({"tags": [env]}, (0, 2, 4, 6, 8)),
        ({"tags": [env, team]}, (0, 6)),
        ({"tags": [{"key": "env"}]}, (0, 2, 4, 6, 8)),
        ({"tags": [{"key": "env", "values": ["dev-2", "*4"]}]}, (2, 4)),
        ({"tags": [{"key": "env", "values": ["dev"]}]}, ()),
        ({"tags_any": [env, team]}, (0, 2, 3, 4, 6, 8, 9)),
        ({"not_tags": [env, team]}, (1, 2, 3, 4, 5, 7, 8, 9)),
        ({"not_tags_any": [env, team]}, (1, 5, 7)),
        ({"tags": [env], "not_tags_any": [team]}, (2, 4, 8)),
        ({"without_any_tag": True, "tags": [env]}, (1, 5, 7)),
        ({"without_any_tag": False, "tags": [env]}, (0, 2, 4, 6, 8)),
        ({"matches": [{"key": "resource_name", "value": "x_1"}]}, (1,)),
        ({"matches": [{"key": "resource_name", "value": "X"}], "tags": [team]}, (0, 3, 6, 9)),
        ({"tags": [], "tags_any": [], "matches": [], "unknown": 1}, range(10)),
    ):
        assert await found(many, **body) == list(numbers), body


async def test_a_resource_that_is_found_is_shown_whole(many: World) -> None:
    """All members as typed clients expect them."""
    topic = await many.engine.topics.by_name(many.project, "x_6")
    assert topic is not None
    body = {"action": "filter", "matches": [{"key": "resource_name", "value": "x_6"}]}
    answer = await many.call("POST", QUERY, body)
    assert answer.json == {
        "resources": [
            {
                "resource_id": topic.id,
                "resource_name": "x_6",
                "resource_detail": {
                    "enterprise_project_id": "e1",
                    "detailId": topic.id,
                    "topic_urn": topic.urn,
                    "display_name": "shown",
                },
                "tags": [{"key": "env", "value": "dev-6"}, {"key": "team", "value": "blue"}],
            }
        ],
        "total_count": 1,
    }


async def test_what_is_found_comes_in_parts(many: World) -> None:
    """Limit and offset as texts or numbers; the total is of all, past the end is nothing."""
    names = []
    for offset in ("0", 4, "8", 12):
        answer = await many.call(
            "POST",
            QUERY,
            {"action": "filter", "limit": 4 if offset == 4 else "4", "offset": offset},
        )
        assert answer.json["total_count"] == 10
        names += [one["resource_name"] for one in answer.json["resources"]]
    assert sorted(names) == [f"x_{number}" for number in range(10)]
    whole = await many.call("POST", QUERY, {"action": "filter", "limit": "1000", "offset": None})
    assert [one["resource_name"] for one in whole.json["resources"]] == names


CONDITIONS = ("tags", "tags_any", "not_tags", "not_tags_any")
BAD_CONDITIONS: list[Any] = [
    *("x", {}, [1], [{}], [{"key": ""}], [{"key": 1}], [{"key": "a" * 129}]),
    *([{"key": "a", "values": "b"}], [{"key": "a", "values": [1]}], [{"key": "a"}] * 11),
    *([{"key": "a", "values": ["b"] * 11}], [{"key": "a", "values": ["b" * 257]}]),
]


BAD_NUMBERS: list[Any] = ["x", "-1", -1, 1.5, "1.5", True, "", [], "9" * 12, 10**12]
BAD_MATCHES: list[Any] = ["x", [{}], [{"key": "name", "value": "x"}], [{"key": "resource_name"}]]


async def test_bad_queries_are_refused(world: World) -> None:
    """With the code of what is wrong."""
    for action in (None, "", "Filter", "list", 1):
        await world.refuses("POST", QUERY, {"action": action}, status=400, code="SMN.0073")
    await world.refuses("POST", QUERY, {}, status=400, code="SMN.0073")
    await world.refuses("POST", QUERY, b"", status=400, code="APIGW.0201")
    for number in BAD_NUMBERS:
        for name in ("limit", "offset"):
            body: Any = {"action": "filter", name: number}
            await world.refuses("POST", QUERY, body, status=400, code="SMN.0015")
    for limit in (0, "0", 1001):
        body = {"action": "filter", "limit": limit}
        await world.refuses("POST", QUERY, body, status=400, code="SMN.0015")
    for value in BAD_CONDITIONS:
        for name in CONDITIONS:
            body = {"action": "count", name: value}
            await world.refuses("POST", QUERY, body, status=400, code="SMN.0038")
    for match in BAD_MATCHES:
        body = {"action": "filter", "matches": match}
        await world.refuses("POST", QUERY, body, status=400, code="SMN.0038")
    body = {"action": "filter", "without_any_tag": "yes"}
    await world.refuses("POST", QUERY, body, status=400, code="SMN.0038")
