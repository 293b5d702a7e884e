"""What is searched in lists of subscriptions is kept, and is never older than the question."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from engine.app import Engine
from engine.models import PAGE_SEATS, Status, Subscription, Topic
from engine.policy.subscription_query import SubscriptionQuery
from engine.store.connection import Store
from engine.store.seats import Wish
from engine.store.subscription_lists import Scope, SubscriptionLists

BOUND = "engine.store.subscription_lists._CARDS"
BOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"


@pytest.fixture
async def topic(engine: Engine) -> Topic:
    """An empty topic."""
    return await engine.create_topic("searched")


async def _seat(
    engine: Engine,
    topic: Topic,
    *names: str,
    protocol: str = "http",
    status: Status = Status.CONFIRMED,
) -> list[Subscription]:
    """Seat endpoints whose remarks are their names, all in one step."""
    wishes = [Wish(f"{protocol}://example.com/{name}", name) for name in names]
    seated = await engine.roster.seat(topic, protocol, wishes, status=status, quota=10_000)
    found = await engine.roster.read_many(topic.id, topic.urn, [seat.id for seat in seated])
    return [one for one in found if one is not None]


ANY = SubscriptionQuery(endpoint="")


def _remarked(part: str) -> SubscriptionQuery:
    return SubscriptionQuery(remark=part)


async def _remarks(
    engine: Engine, topic: Topic, query: SubscriptionQuery | None = ANY, **part: Any
) -> list[str]:
    found = await engine.subscriptions.list_by_topic(topic.urn, query=query, **part)
    return [one.remark for one in found.items]


async def _steps(engine: Engine, dice: random.Random) -> None:
    """Something happens to subscriptions, once."""
    project = (await engine.create_topic("searched")).project_id
    topics = (await engine.topics.list(project)).items
    known = (await engine.subscriptions.list(project)).items
    step = dice.randrange(8)
    if step == 0 or not known:
        name = f"t-{dice.randrange(3)}"
        topic = await engine.create_topic(name)
        protocol = dice.choice(("http", "https"))
        status = dice.choice((Status.CONFIRMED, Status.UNCONFIRMED))
        names = [str(dice.randrange(30)) for _ in range(dice.randrange(1, 5))]
        await _seat(engine, topic, *dict.fromkeys(names), protocol=protocol, status=status)
    elif step <= 2:
        await engine.roster.set_status(dice.choice(known), dice.choice(list(Status)))
    elif step <= 4:
        await engine.roster.set_remark(dice.choice(known), str(dice.randrange(30)))
    elif step <= 6:
        await engine.roster.remove(dice.choice(known))
    elif dice.randrange(4) == 0:
        await engine.topics.delete(dice.choice(topics).urn)


@pytest.mark.parametrize("seed", range(6))
async def test_a_search_finds_what_the_whole_list_has(engine: Engine, seed: int) -> None:
    """After any change, for whoever has searched before and for whoever never has."""
    dice = random.Random(seed)
    project = (await engine.create_topic("searched")).project_id
    queries = [
        ANY,
        SubscriptionQuery(protocol="http"),
        SubscriptionQuery(status=1),
        SubscriptionQuery(remark="1"),
        SubscriptionQuery(endpoint="/2"),
        SubscriptionQuery(protocol="https", status=1, remark="1", endpoint="/1"),
    ]
    for _ in range(60):
        await _steps(engine, dice)
        query, offset = dice.choice(queries), dice.randrange(4)
        whole = (await engine.subscriptions.list(project)).items
        expected = [one for one in whole if query.finds(one)]
        found = await engine.subscriptions.list(project, query=query, offset=offset, limit=5)
        assert found.total == len(expected)
        assert list(found.items) == expected[offset : offset + 5]
        for topic in (await engine.topics.list(project)).items:
            whole = (await engine.subscriptions.list_by_topic(topic.urn)).items
            found = await engine.subscriptions.list_by_topic(topic.urn, query=query)
            assert list(found.items) == [one for one in whole if query.finds(one)]
        fresh = SubscriptionLists(engine.store, engine.keys, engine.roster._seats)
        kept = await fresh.cards(Scope(project))
        assert kept is not None
        assert [kept.id[at] for at in query.among(kept)] == [one.id for one in expected]


async def test_only_pages_that_have_changed_are_read(engine: Engine, topic: Topic) -> None:
    """One change of one subscription is one page, and none is no page at all."""
    seated = await _seat(engine, topic, *(f"{number:03}" for number in range(PAGE_SEATS + 10)))
    await _remarks(engine, topic)
    read: list[str] = []
    parsed = SubscriptionLists._parsed

    def noted(self: SubscriptionLists, name: str, flat: Sequence[bytes]) -> Any:
        read.append(name)
        return parsed(self, name, flat)

    with patch.object(SubscriptionLists, "_parsed", noted):
        await _remarks(engine, topic)
        assert read == []
        await engine.roster.set_remark(seated[-1], "another")
        assert await _remarks(engine, topic, _remarked("another")) == ["another"]
    assert read == [f"{topic.id}:http:1"]


async def test_a_page_takes_as_many_commands_wherever_it_begins(engine: Engine) -> None:
    """One a shard for each question, however many topics the subscriptions of the page are of."""
    for number in range(40):
        await _seat(engine, await engine.create_topic(f"t-{number}"), str(number))
    large = await engine.create_topic("large")
    await _seat(engine, large, *(f"x-{number:03}" for number in range(300)))
    commands = 0
    perform = Store._perform

    async def counted(self: Store, key: Any, sent: Sequence[Any], *more: Any, **how: Any) -> Any:
        nonlocal commands
        commands += len(sent)
        return await perform(self, key, sent, *more, **how)

    ways: list[Callable[[int], Awaitable[Any]]] = [
        lambda offset: engine.subscriptions.list(large.project_id, offset=offset, limit=40),
        lambda offset: engine.subscriptions.list(
            large.project_id, query=ANY, offset=offset, limit=40
        ),
    ]
    for ask in ways:
        await ask(0)
        with patch.object(Store, "_perform", counted):
            for offset in (0, 40, 200, 300):
                commands = 0
                await ask(offset)
                assert commands <= 8 + 3 * engine.keys.shards


async def test_those_of_one_step_stand_in_the_order_asked_for(engine: Engine, topic: Topic) -> None:
    """Ties in time go by id, in every list."""
    names = [f"{number:03}" for number in range(PAGE_SEATS)]
    random.Random(1).shuffle(names)
    await _seat(engine, topic, *names)
    assert await _remarks(engine, topic, None, limit=300) == names
    assert await _remarks(engine, topic, limit=300) == names
    found = await engine.subscriptions.list(topic.project_id, limit=300)
    assert [one.remark for one in found.items] == names


async def test_a_marker_is_where_a_search_goes_on(engine: Engine, topic: Topic) -> None:
    """Behind a subscription that is found; one that is not, or a text, has nothing behind it."""
    seated = await _seat(engine, topic, "a1", "b1", "a2", "b2", "a3")
    only, urns = _remarked("a"), [one.urn for one in seated]
    assert await _remarks(engine, topic, only, marker=urns[0]) == ["a2", "a3"]
    assert await _remarks(engine, topic, only, marker=urns[0], offset=1) == ["a3"]
    for marker in (urns[1], urns[4], "nonsense", f"{topic.urn}x:{seated[0].id}"):
        assert await _remarks(engine, topic, only, marker=marker) == []
    assert await _remarks(engine, topic, None, marker=urns[3]) == ["a3"]


async def test_an_endpoint_that_is_a_secret_is_found(engine: Engine, topic: Topic) -> None:
    """It is encrypted where it is kept, and searched as its owner knows it."""
    await engine.roster.seat(topic, "wechat", [Wish(BOT)], status=Status.CONFIRMED, quota=9)
    found = await engine.subscriptions.list(
        topic.project_id, query=SubscriptionQuery(endpoint="weixin")
    )
    assert [one.endpoint for one in found.items] == [BOT]


async def test_long_lists_are_read_through(engine: Engine, topic: Topic) -> None:
    """What is too much to be kept is found all the same, window and marker as ever."""
    seated = await _seat(engine, topic, *(f"{number:02}" for number in range(20)))
    await _seat(engine, topic, "z", protocol="https")
    parts: list[dict[str, Any]] = [
        {},
        {"offset": 3, "limit": 4},
        {"marker": seated[5].urn, "limit": 3},
        {"marker": "nonsense"},
        {"offset": 100},
    ]
    for part in parts:
        expected = await engine.subscriptions.list_by_topic(topic.urn, query=_remarked("1"), **part)
        whole = await engine.subscriptions.list(topic.project_id, query=_remarked("1"), **part)
        assert whole == expected
        with patch(BOUND, 20), patch("engine.store.subscription_lists._CHUNK", 2):
            for found in (
                await engine.subscriptions.list_by_topic(topic.urn, query=_remarked("1"), **part),
                await engine.subscriptions.list(topic.project_id, query=_remarked("1"), **part),
            ):
                assert found == expected


async def test_whoever_goes_while_a_list_is_read_through_hides_nobody(
    engine: Engine, topic: Topic
) -> None:
    """The next part begins behind the last one that was seen, not after a number."""
    seated = await _seat(engine, topic, *(f"{number:02}" for number in range(12)))
    seen: list[str] = []
    with patch("engine.store.subscription_lists._CHUNK", 3):
        async for places in engine.roster.lists.each(Scope(topic.project_id, topic.id)):
            seen += (one for _, one in places)
            if len(seen) == 6:
                for one in seated[1:5]:
                    await engine.roster.remove(one)
    assert seen == [one.id for one in seated]


async def test_what_is_kept_is_bounded(engine: Engine, topic: Topic) -> None:
    """The least recently searched goes first; what it was is found all the same."""
    other = await engine.create_topic("other")
    await _seat(engine, topic, *"abcdef")
    await _seat(engine, other, *"uvwxyz")
    lists = engine.roster.lists
    with patch(BOUND, 8):
        assert await _remarks(engine, topic) == list("abcdef")
        assert await _remarks(engine, other) == list("uvwxyz")
        assert list(lists._pages) == [f"{other.id}:http:0"]
        assert lists._kept == 6
        assert await _remarks(engine, topic) == list("abcdef")


async def test_a_deleted_topic_leaves_no_versions(engine: Engine, topic: Topic) -> None:
    """Neither its deletion nor a cancellation that comes too late leaves anything to be read."""
    seated = await _seat(engine, topic, *(f"{number:03}" for number in range(PAGE_SEATS + 1)))
    await _seat(engine, topic, "one", protocol="https")
    shard = engine.keys.shard_of_topic(topic.id)
    versions = engine.keys.versions(shard, topic.project_id)
    assert await engine.store.call("HLEN", versions) == 4
    await engine.topics.delete(topic.urn)
    assert await engine.store.call("HKEYS", versions) == [b"v"]
    assert await engine.roster.remove(seated[0])
    assert await engine.store.call("HKEYS", versions) == [b"v"]
    assert (await engine.subscriptions.list(topic.project_id, query=ANY)).total == 0


async def test_an_index_entry_without_a_record_is_taken_out(engine: Engine, topic: Topic) -> None:
    """Whoever sees it first; it is counted no more."""
    (one,) = await _seat(engine, topic, "one")
    index = engine.keys.project_subscriptions(topic.project_id)
    await engine.store.call("ZADD", index, 1, topic.id + "0" * 32)

    listed = await engine.subscriptions.list(topic.project_id)
    assert (listed.items, listed.total) == ((one,), 1)
    assert await engine.store.call("ZCARD", index) == 1


async def test_a_topic_that_goes_while_it_is_listed_keeps_its_index(
    engine: Engine, topic: Topic
) -> None:
    """The purge takes the subscriptions out of the project's by it."""
    await _seat(engine, topic, *"abc")
    read = engine.roster.read_places

    async def late(places: Any) -> Any:
        await engine.topics.delete(topic.urn)
        return await read(places)

    with patch.object(engine.roster, "read_places", late):
        listed = await engine.subscriptions.list_by_topic(topic.urn)
    assert (listed.items, listed.total) == ((), 0)
    assert await engine.store.call("ZCARD", engine.keys.order(topic.id)) == 3
    await engine.retention.purge(engine.keys.shard_of_topic(topic.id))
    assert (
        await engine.store.call("ZCARD", engine.keys.project_subscriptions(topic.project_id)) == 0
    )
