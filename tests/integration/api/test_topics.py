"""Lists of topics: every filter, every window, and what they cost."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import pytest

from engine.models import Topic
from engine.store.connection import Store
from tests.worlds import World

TOPICS = "{base}/topics"
RESOURCES = "{base}/topics-with-associated-resources"
NAMES = ("alarms", "bells", "Bellboy", "carols")


@pytest.fixture
async def topics(world: World) -> list[str]:
    """Names of topics as they list: the newest first."""
    for number, name in enumerate(NAMES):
        body = {
            "name": name,
            "display_name": f"No. {number} Ü",
            "enterprise_project_id": f"e{number % 2}",
        }
        assert (await world.call("POST", TOPICS, body)).status == 201
    return await listed(world)


async def listed(world: World, query: str = "", target: str = TOPICS) -> list[str]:
    """Names of a list; its count must be that of the whole list."""
    found, _ = await counted(world, query, target)
    return found


async def counted(world: World, query: str = "", target: str = TOPICS) -> tuple[list[str], int]:
    """Names and count of a list."""
    answer = await world.call("GET", f"{target}?{query}")
    assert answer.status == 200, answer.raw
    assert sum(isinstance(value, list) for value in answer.json.values()) == 1
    return [one["name"] for one in answer.json["topics"]], answer.json["topic_count"]


def urn(world: World, name: str) -> str:
    """The URN of a topic of that name."""
    return f"urn:smn:region01:{world.project}:{name}"


FILTERS: list[tuple[str, tuple[str, ...]]] = [
    ("name=bells", ("bells",)),
    ("name=BELLS", ()),
    ("name=gone", ()),
    ("name=%00", ()),
    ("name=", NAMES),
    ("fuzzy_name=BELL", ("bells", "Bellboy")),
    ("fuzzy_name=x", ()),
    ("fuzzy_display_name=no.%203%20%C3%BC", ("carols",)),
    ("enterprise_project_id=e1", ("bells", "carols")),
    ("enterprise_project_id=all_granted_eps", NAMES),
    ("enterprise_project_id=e1&fuzzy_name=bell", ("bells",)),
    ("name=bells&enterprise_project_id=e0", ()),
    ("name=bells&fuzzy_name=el&fuzzy_display_name=1", ("bells",)),
    ("topic_id=zz", ()),
    (f"topic_id={'0' * 32}", ()),
    ("unknown=1", NAMES),
]


async def test_filters_combine(world: World, topics: list[str]) -> None:
    """Exact ones by the letter, fuzzy ones by part and whatever the case; the count is theirs."""
    for query, wanted in FILTERS:
        expected = [name for name in topics if name in wanted]
        for target in (TOPICS, RESOURCES):
            found = await counted(world, query, target)
            assert found == (expected, len(expected)), (target, query)


async def test_an_id_finds_its_topic_in_its_own_project(world: World, topics: list[str]) -> None:
    """With other filters beside it; another project's topic is not there."""
    mine = await world.engine.topics.get(urn(world, "bells"))
    assert await counted(world, f"topic_id={mine.id}") == (["bells"], 1)
    assert await counted(world, f"topic_id={mine.id}&name=bells") == (["bells"], 1)
    assert await counted(world, f"topic_id={mine.id}&name=carols") == ([], 0)
    assert await counted(world, f"topic_id={mine.id}&offset=1") == ([], 1)
    foreign, _ = await world.engine.topics.create("f" * 32, "bells")
    assert await counted(world, f"topic_id={foreign.id}") == ([], 0)


async def test_windows_and_markers_cut_the_list(world: World, topics: list[str]) -> None:
    """Past the end there is nothing, and no error; a marker that is gone has nothing behind it."""
    assert await counted(world, "offset=1&limit=2") == (topics[1:3], 4)
    assert await counted(world, "offset=4") == ([], 4)
    assert await counted(world, "offset=999999999") == ([], 4)
    for place, name in enumerate(topics):
        marker = f"marker={urn(world, name)}"
        assert await counted(world, f"{marker}&limit=2") == (topics[place + 1 : place + 3], 4)
        assert await counted(world, f"{marker}&offset=1") == (topics[place + 2 :], 4)
        assert await listed(world, f"{marker}&fuzzy_name=l") == topics[place + 1 :]
    for gone in ("gone", "nonsense", urn(world, "gone"), urn(world, "bells").replace("01", "02")):
        assert await counted(world, f"marker={gone}") == ([], 4)


async def test_bad_filters_are_refused(world: World) -> None:
    """With the code of what is wrong, in both lists."""
    for target in (TOPICS, RESOURCES):
        for query in ("limit=0", "limit=101", "limit=x", "limit=1.0", "offset=-1", "offset=x"):
            await world.refuses("GET", f"{target}?{query}", status=400, code="SMN.0015")
        long = "fuzzy_display_name=" + "%C3%BC" * 97
        await world.refuses("GET", f"{target}?{long}", status=400, code="SMN.0003")


async def test_topics_come_with_what_belongs_to_them(world: World, topic: str) -> None:
    """Tags, access policy and logtank; all members are there where nothing is set."""
    bare = (await world.call("GET", RESOURCES)).json
    (alone,) = bare["topics"]
    plain = (await world.call("GET", TOPICS)).json["topics"][0]
    assert alone == plain | {
        "tags": [],
        "attributes": {"access_policy": "", "create_time": "", "update_time": ""},
        "logtanks": [],
    }
    engine = world.engine
    found = await engine.topics.get(topic)
    policy = (
        '{"Version": "2016-09-07", "Id": "i", "Statement": [{"Sid": "s", "Effect": "Allow",'
        ' "Principal": {"CSP": "*"}, "Action": "*", "Resource": "*"}]}'
    )
    await engine.attributes.set(topic, "access_policy", policy)
    await engine.attributes.set(topic, "introduction", "not shown here")
    await engine.tags.add(found, [("team", "blue"), ("env", "")])
    logtank_id = await engine.logtanks.create(topic, "g-1", "s-1")
    (full,) = (await world.call("GET", RESOURCES)).json["topics"]
    assert full["tags"] == [{"key": "env", "value": ""}, {"key": "team", "value": "blue"}]
    assert full["attributes"]["access_policy"] == policy
    assert set(full["attributes"]) == {"access_policy", "create_time", "update_time"}
    assert [(one["id"], one["log_group_id"]) for one in full["logtanks"]] == [(logtank_id, "g-1")]
    assert set(full["logtanks"][0]) == {
        *("id", "log_group_id", "log_stream_id", "create_time", "update_time")
    }


async def cost(world: World, query: str) -> tuple[int, int]:
    """Commands and round trips that a list takes, once what is remembered is there."""
    await listed(world, query)
    perform, sizes = Store._perform, list[int]()

    async def counted(store: Store, key: Any, commands: Any, *rest: Any, **how: Any) -> Any:
        sizes.append(len(commands))
        return await perform(store, key, commands, *rest, **how)

    with patch.object(Store, "_perform", counted):
        await listed(world, query)
    return sum(sizes), len(sizes)


@pytest.fixture
def options() -> dict[str, Any]:
    """Room for many topics."""
    return {"quota_topics": 20_000, "durability": "memory"}


async def make_many(world: World, count: int) -> list[Topic]:
    """So many topics, with indexes written as creation writes them."""
    engine, made = world.engine, []
    for start in range(0, count, 500):
        names = [f"t-{number:05d}" for number in range(start, min(start + 500, count))]
        made += [
            topic
            for topic, _ in await asyncio.gather(
                *(engine.topics.create(world.project, name) for name in names)
            )
        ]
    return made


AUDIT: int = 1
"""A list is recorded, with a command that may fall into the time in which they are counted."""


async def test_a_page_costs_the_same_wherever_it_is(world: World) -> None:
    """The index, and a command for each shard that topics are in: by offset and by marker."""
    made = await make_many(world, 400)
    newest = sorted(made, key=lambda topic: (topic.created_ms, topic.id), reverse=True)
    keys = world.engine.keys
    for place in (0, 150, 290):
        window = newest[place + 1 : place + 101]
        shards = len({keys.shard_of_topic(topic.id) for topic in window})
        for query, index in ((f"offset={place + 1}", 2), (f"marker={newest[place].urn}", 5)):
            assert await listed(world, f"{query}&limit=100") == [t.name for t in window]
            commands, _ = await cost(world, f"{query}&limit=100")
            assert commands - shards - index in range(AUDIT + 1), (query, commands)


async def test_a_name_or_an_id_is_looked_up(world: World) -> None:
    """Among many topics with as many commands as among one."""
    topic, _ = await world.engine.topics.create(world.project, "mine")
    queries = (f"name={topic.name}", f"topic_id={topic.id}")
    alone = [await cost(world, query) for query in queries]
    await make_many(world, 100)
    assert [await cost(world, query) for query in queries] == alone


async def test_a_search_costs_the_same_wherever_it_is(world: World) -> None:
    """A command a shard for the cards and one for the window's topics, whatever the offset."""
    await make_many(world, 400)
    every = await listed(world, "fuzzy_name=t-003")
    assert await counted(world, "fuzzy_name=T-003&limit=5&offset=95") == (every[95:], 100)
    shards = world.engine.keys.shards
    for offset in (0, 200, 390):
        commands, trips = await cost(world, f"fuzzy_name=t-&limit=10&offset={offset}")
        assert commands <= 2 * shards + AUDIT
        assert trips <= 2 * shards + AUDIT
    assert (await cost(world, "fuzzy_name=t-&offset=1000"))[0] <= shards + AUDIT


async def test_a_search_finds_what_is_so_now(world: World) -> None:
    """A new display name is found at once and the old one no more, nor a deleted topic."""
    topics = world.engine.topics
    topic, _ = await topics.create(world.project, "mine", display_name='Old "name" \\ ü/x')
    assert await listed(world, "fuzzy_display_name=%22NAME%22%20%5C%20%C3%9C/") == ["mine"]
    await topics.update(topic.urn, display_name="New")
    assert await listed(world, "fuzzy_display_name=old") == []
    assert await listed(world, "fuzzy_display_name=new") == ["mine"]
    await topics.delete(topic.urn)
    assert await counted(world, "fuzzy_name=mine") == ([], 0)
