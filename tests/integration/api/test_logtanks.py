"""Logtanks: one a topic, found by the stream that it is bound to."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.worlds import World

LOGTANKS = "{base}/topics/{topic}/logtanks"
GONE = "{base}/topics/urn:smn:region01:{project}:gone/logtanks"
ONE: dict[str, Any] = {"log_group_id": "g-1", "log_stream_id": "s-1"}
TWO: dict[str, Any] = {"log_group_id": "g-1", "log_stream_id": "s-2"}


async def bind(world: World, target: str = LOGTANKS) -> str:
    """The id of a new logtank."""
    answer = await world.call("POST", target, ONE)
    assert answer.status == 201, answer.raw
    assert set(answer.json) == {"request_id", "id"}
    return str(answer.json["id"])


async def read(world: World) -> list[dict[str, str]]:
    """A topic's logtanks."""
    answer = await world.call("GET", LOGTANKS)
    assert answer.status == 200, answer.raw
    found = answer.json["logtanks"]
    assert isinstance(found, list)
    assert answer.json["count"] == len(found)
    return found


async def test_a_logtank_is_bound_changed_and_unbound(world: World, topic: str) -> None:
    """Each answer as documented; the id and the time of creation stay."""
    assert await read(world) == []
    logtank_id = await bind(world)
    (first,) = await read(world)
    assert first == {"id": logtank_id, **ONE} | {
        name: first[name] for name in ("create_time", "update_time")
    }
    answer = await world.call("PUT", f"{LOGTANKS}/{logtank_id}", TWO)
    assert answer.status == 200
    assert answer.json["logtank"] == first | TWO | {
        "update_time": answer.json["logtank"]["update_time"]
    }
    assert await read(world) == [answer.json["logtank"]]
    answer = await world.call("DELETE", f"{LOGTANKS}/{logtank_id}")
    assert (answer.status, set(answer.json)) == (200, {"request_id"})
    assert await read(world) == []
    assert await bind(world) != logtank_id


async def test_a_topic_has_one_logtank(world: World, topic: str) -> None:
    """Also when many want it at once; the later ones are refused."""
    answers = await asyncio.gather(*(world.call("POST", LOGTANKS, ONE) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201, *[400] * 7]
    await world.refuses("POST", LOGTANKS, TWO, status=400, code="APIGW.0201")


async def test_topics_are_found_by_the_stream(world: World, topic: str) -> None:
    """As the binding is now: after changes, unbinding, binding again and deletion."""
    logtanks = world.engine.logtanks
    first = await world.engine.topics.get(topic)
    second, _ = await world.engine.topics.create(world.project, "second")

    async def bound() -> tuple[set[str], set[str]]:
        one = await logtanks.bound(world.project, "g-1", "s-1")
        two = await logtanks.bound(world.project, "g-1", "s-2")
        return set(one), set(two)

    assert await bound() == (set(), set())
    logtank_id = await logtanks.create(first.urn, "g-1", "s-1")
    await logtanks.create(second.urn, "g-1", "s-1")
    assert await bound() == ({first.id, second.id}, set())
    await logtanks.update(first.urn, logtank_id, "g-1", "s-2")
    assert await bound() == ({second.id}, {first.id})
    found = await logtanks.of_topic(first.id)
    assert found is not None
    assert (found.id, found.stream_id) == (logtank_id, "s-2")
    await logtanks.delete(first.urn, logtank_id)
    assert await bound() == ({second.id}, set())
    assert await logtanks.of_topic(first.id) is None
    await logtanks.create(first.urn, "g-1", "s-1")
    await world.engine.topics.delete(second.urn)
    assert await bound() == ({first.id}, set())
    assert await logtanks.of_topic(second.id) is None
    assert await logtanks.bound("f" * 32, "g-1", "s-1") == []


BAD_IDS: list[Any] = [None, 1, [], "", "a" * 65, "a:b", "a b", "ä", "a\n"]
BAD_BODIES: list[Any] = [
    *(b"", b"{", {}, {"log_group_id": "g"}, {"log_stream_id": "s"}, ONE | {"log_group_id": ""}),
    *(ONE | {"log_stream_id": value} for value in BAD_IDS),
]


async def test_bad_requests_change_nothing(world: World, topic: str) -> None:
    """Each answers its code; an unknown topic is a 400 here, an unknown logtank a 404."""
    other = await world.topic("other")
    world.names["other"] = str(await bind(world, f"{{base}}/topics/{other}/logtanks"))
    for bad in BAD_BODIES:
        await world.refuses("POST", LOGTANKS, bad, status=400, code="APIGW.0201")
    world.names["own"] = await bind(world)
    for bad in BAD_BODIES:
        await world.refuses("PUT", f"{LOGTANKS}/{{own}}", bad, status=400, code="APIGW.0201")
    for unknown in ("{other}", "0" * 32, "nonsense"):
        target = f"{LOGTANKS}/{unknown}"
        await world.refuses("PUT", target, TWO, status=404, code="SMN.0013")
        await world.refuses("DELETE", target, status=404, code="SMN.0013")
    for method, target, body in (
        ("GET", GONE, None),
        ("POST", GONE, ONE),
        ("PUT", f"{GONE}/{{own}}", ONE),
        ("DELETE", f"{GONE}/{{own}}", None),
    ):
        answer = await world.refuses(method, target, body, status=400, code="SMN.00010008")
        assert answer.json["error_code"] == "SMN.00010008"
    await world.refuses("GET", "{base}/topics/x/logtanks", status=400, code="SMN.0005")
