"""Where subscriptions sit, and how they are found again."""

from __future__ import annotations

import asyncio

import pytest

from engine.app import Engine
from engine.models import PAGE_SEATS, FilterPolicy, Status, Subscription, Topic
from engine.store.roster import QuotaExceeded, TopicGone
from engine.store.seats import Wish
from tests.engines import snapshot


@pytest.fixture
async def topic(engine: Engine) -> Topic:
    """An empty topic."""
    return await engine.create_topic("seats")


async def _seat(
    engine: Engine,
    topic: Topic,
    *endpoints: str,
    protocol: str = "http",
    status: Status = Status.CONFIRMED,
    quota: int = 10_000,
) -> list[Subscription]:
    wishes = [Wish(endpoint) for endpoint in endpoints]
    seated = await engine.roster.seat(topic, protocol, wishes, status=status, quota=quota)
    found = await engine.roster.read_many(topic.id, topic.urn, [seat.id for seat in seated])
    return [subscription for subscription in found if subscription is not None]


def _names(first: int, count: int) -> list[str]:
    return [f"http://example.com/{number}" for number in range(first, first + count)]


async def test_what_was_seated_is_read_back(engine: Engine, topic: Topic) -> None:
    """Endpoint, remark, extension and status are what was asked for."""
    wish = Wish("http://example.com/ü", "remark: ß", {"header": {"x-key": "secret"}})
    (seated,) = await engine.roster.seat(topic, "http", [wish], status=Status.UNCONFIRMED, quota=10)
    found = await engine.roster.find(topic.id, topic.urn, seated.id)
    assert found == Subscription(
        id=seated.id,
        topic_id=topic.id,
        topic_urn=topic.urn,
        protocol="http",
        endpoint=wish.endpoint,
        status=Status.UNCONFIRMED,
        page=0,
        seat=0,
        first=0,
        remark=wish.remark,
        extension={"header": {"x-key": "secret"}},
        created_ms=found.created_ms if found else 0,
    )


async def test_an_extension_is_encrypted_at_rest(engine: Engine, topic: Topic) -> None:
    """What may hold a key of the receiver's is not readable in Redis."""
    wish = Wish("http://example.com/", extension={"header": {"x-key": "hush-hush"}})
    await engine.roster.seat(topic, "http", [wish], status=Status.CONFIRMED, quota=10)
    assert "hush-hush" not in str(await snapshot(engine.store))


async def test_pages_are_filled_one_after_another(engine: Engine, topic: Topic) -> None:
    """Seats are given in order, 256 to a page, in one call or in many."""
    first = await _seat(engine, topic, *_names(0, 300))
    second = await _seat(engine, topic, *_names(300, 300))
    places = [(s.page, s.seat) for s in (*first, *second)]
    assert places == [divmod(number, PAGE_SEATS) for number in range(600)]


async def test_protocols_have_pages_of_their_own(engine: Engine, topic: Topic) -> None:
    """A page holds subscriptions of one protocol."""
    (web,) = await _seat(engine, topic, "http://example.com/")
    (text,) = await _seat(engine, topic, "+8613800000000", protocol="sms")
    assert (web.page, web.seat) == (text.page, text.seat) == (0, 0)
    active = await engine.store.call("HGET", engine.keys.topic(topic.id), "active")
    assert active == b"http sms"


async def test_the_same_endpoint_is_one_subscription(engine: Engine, topic: Topic) -> None:
    """Asked for again, also in one call or by many at once, it is found, not made."""
    first, again = await _seat(engine, topic, *["http://example.com/"] * 2)
    assert first == again
    racing = await asyncio.gather(
        *(_seat(engine, topic, "http://example.com/race") for _ in range(10))
    )
    assert len({subscription.id for (subscription,) in racing}) == 1
    assert (await engine.subscriptions.list_by_topic(topic.urn)).total == 2


async def test_freed_seats_are_given_away_first(engine: Engine, topic: Topic) -> None:
    """The lowest page with a free seat is filled up before a new one is begun."""
    seated = await _seat(engine, topic, *_names(0, 600))
    for leaving in (seated[10], seated[20], seated[400]):
        assert await engine.roster.remove(leaving)
    heirs = await _seat(engine, topic, *_names(1_000, 4))
    assert sorted((heir.page, heir.seat) for heir in heirs) == [(0, 10), (0, 20), (1, 144), (2, 88)]


async def test_the_last_to_leave_resets_the_pages(engine: Engine, topic: Topic) -> None:
    """A protocol that nobody uses any more costs no page and no lane."""
    seated = await _seat(engine, topic, *_names(0, 300))
    before = await engine.store.call("EXISTS", engine.keys.page(topic.id, "http", 1))
    for leaving in seated:
        assert await engine.roster.remove(leaving)
    keys = engine.keys
    names = (
        keys.page(topic.id, "http", 0),
        keys.page(topic.id, "http", 1),
        keys.free(topic.id, "http"),
    )
    assert (before, await engine.store.call("EXISTS", *names)) == (1, 0)
    record = await engine.store.call("HGETALL", keys.topic(topic.id))
    fields = dict(zip(record[::2], record[1::2], strict=True))
    assert b"active" not in fields
    assert b"pages:http" not in fields
    (again,) = await _seat(engine, topic, "http://example.com/again")
    assert (again.page, again.seat) == (0, 0)


async def test_a_subscription_leaves_once(engine: Engine, topic: Topic) -> None:
    """Removing it a second time, or one whose seat has gone to another, does nothing."""
    (leaving,) = await _seat(engine, topic, "http://example.com/leaving")
    assert await engine.roster.remove(leaving)
    (heir,) = await _seat(engine, topic, "http://example.com/heir")
    assert not await engine.roster.remove(leaving)
    assert not await engine.roster.set_status(leaving, Status.CONFIRMED)
    assert await engine.roster.find(topic.id, topic.urn, heir.id) == heir


async def test_one_that_moved_is_not_touched(engine: Engine, topic: Topic) -> None:
    """Whoever holds an outdated place neither removes nor changes what sits there now."""
    first, second = await _seat(engine, topic, *_names(0, 2))
    outdated = first._replace(seat=second.seat)
    before = await snapshot(engine.store)
    assert not await engine.roster.remove(outdated)
    assert not await engine.roster.set_status(outdated, Status.CANCELLED)
    assert await snapshot(engine.store) == before


async def test_confirming_sets_the_first_message(engine: Engine, topic: Topic) -> None:
    """It receives what is accepted from then on; confirming again changes nothing."""
    (invited,) = await _seat(engine, topic, "http://example.com/", status=Status.UNCONFIRMED)
    for number in range(3):
        await engine.publish(topic.urn, f"number {number}")
    assert await engine.roster.set_status(invited, Status.CONFIRMED)
    (confirmed,) = await engine.roster.read_many(topic.id, topic.urn, [invited.id])
    assert confirmed is not None
    assert (confirmed.status, confirmed.first) == (Status.CONFIRMED, 4)
    await engine.publish(topic.urn, "number 3")
    await engine.roster.set_status(invited, Status.CONFIRMED)
    assert await engine.roster.find(topic.id, topic.urn, invited.id) == confirmed


async def test_every_change_shows_in_the_pages_version(engine: Engine, topic: Topic) -> None:
    """Workers compare tokens: each change of a page gives it a new one."""
    page, seen = engine.keys.page(topic.id, "http", 0), set()

    async def look() -> None:
        seen.add(await engine.store.call("HGET", page, "v"))

    first, second = await _seat(engine, topic, *_names(0, 2), status=Status.UNCONFIRMED)
    await look()
    await engine.roster.set_status(first, Status.CONFIRMED)
    await look()
    await engine.roster.set_remark(first, "changed")
    await look()
    await engine.roster.set_remark(first, "changed")
    await look()
    await engine.roster.remove(second)
    await look()
    await _seat(engine, topic, "http://example.com/more")
    await look()
    await _seat(engine, topic, "http://example.com/more")
    await look()
    assert len(seen) == 5
    assert None not in seen


async def test_changes_of_one_seat_do_not_undo_each_other(engine: Engine, topic: Topic) -> None:
    """Remark, policies and status may change at once; each change is there at the end."""
    (known,) = await _seat(engine, topic, "http://example.com/", status=Status.UNCONFIRMED)
    policies = (FilterPolicy("alarm", ("os", "disk")),)
    await asyncio.gather(
        *(engine.roster.set_remark(known, f"number {number}") for number in range(10)),
        engine.roster.set_filters(known, policies),
        engine.roster.set_status(known, Status.CONFIRMED),
    )
    found = await engine.roster.find(topic.id, topic.urn, known.id)
    assert found is not None
    assert found.remark.startswith("number ")
    assert (found.filters, found.status) == (policies, Status.CONFIRMED)


async def test_only_the_first_policies_are_fresh(engine: Engine, topic: Topic) -> None:
    """Where there are some, they stay; who is gone has none."""
    (known,) = await _seat(engine, topic, "http://example.com/")
    first, second = [FilterPolicy("a", ("x",))], [FilterPolicy("b", ("y",))]
    assert await engine.roster.set_filters(known, first, fresh=True)
    assert await engine.roster.set_filters(known, second, fresh=True) is False
    found = await engine.roster.find(topic.id, topic.urn, known.id)
    assert found is not None
    assert found.filters == tuple(first)
    await engine.roster.remove(known)
    assert await engine.roster.set_filters(known, second) is None
    assert not await engine.roster.set_remark(known, "late")


async def test_the_quota_is_kept(engine: Engine, topic: Topic) -> None:
    """What still fits is seated, then it is refused; existing ones are found all the same."""
    with pytest.raises(QuotaExceeded):
        await _seat(engine, topic, *_names(0, 5), quota=3)
    assert (await engine.subscriptions.list_by_topic(topic.urn)).total == 3
    (known,) = await _seat(engine, topic, _names(0, 1)[0], quota=3)
    assert known.seat == 0
    with pytest.raises(QuotaExceeded) as exceeded:
        await _seat(engine, topic, *_names(1, 4)[::-1], quota=3)
    assert [one and one.seat for one in exceeded.value.seated] == [None, None, 2, 1]


async def test_a_deleted_topic_seats_nobody(engine: Engine, topic: Topic) -> None:
    """After the tombstone nothing is added or changed."""
    (seated,) = await _seat(engine, topic, "http://example.com/")
    await engine.topics.delete(topic.urn)
    with pytest.raises(TopicGone):
        await _seat(engine, topic, "http://example.com/late")
    assert not await engine.roster.set_status(seated, Status.CANCELLED)


async def test_a_topic_lists_in_order_of_creation(engine: Engine, topic: Topic) -> None:
    """Pages of a listing are stable, oldest first, with the number of all."""
    seated = await _seat(engine, topic, *_names(0, 300))
    listing = await engine.subscriptions.list_by_topic(topic.urn, offset=250, limit=20)
    assert listing.total == 300
    assert list(listing.items) == seated[250:270]
    beyond = await engine.subscriptions.list_by_topic(topic.urn, offset=300, limit=20)
    assert beyond.items == ()


async def test_unknown_ids_are_none(engine: Engine, topic: Topic) -> None:
    """Reading many keeps the order and leaves gaps."""
    (known,) = await _seat(engine, topic, "http://example.com/")
    ids = ["0" * 32, known.id, "1" * 32]
    assert await engine.roster.read_many(topic.id, topic.urn, ids) == [None, known, None]
    assert await engine.roster.read_many(topic.id, topic.urn, []) == []
