"""Outcomes are written once, and only by who holds the batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.app import Engine
from engine.models import End
from engine.pipeline.batch import Batch, Flush, Try
from engine.store.ledger import Row, Waiting
from tests.engines import Hands, open_engine, snapshot, unfinished
from tests.receiver import Receiver

SUBSCRIPTIONS = 6


@pytest.fixture
async def engine(redis_url: str, tmp_path: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    """An engine whose leases are the shortest there are."""
    async with open_engine(redis_url, tmp_path, receiver, lease_seconds=0.2) as engine:
        yield engine


class World:
    """One topic with one published message, and hands to work on it."""

    def __init__(self, engine: Engine, topic_id: str, urn: str, message_id: str) -> None:
        self.engine = engine
        self.topic_id, self.urn, self.message_id = topic_id, urn, message_id
        self.shard = engine.keys.shard_of_topic(topic_id)
        self.ledger = engine.keys.ledger(topic_id, message_id)
        self.retry = engine.keys.retry(self.shard, "http")
        self.lane = engine.keys.lane(self.shard, "http")

    def hands(self, name: str) -> Hands:
        return Hands(self.engine, self.shard, name)

    async def row(self) -> Row | None:
        packed = await self.engine.store.call("HGET", self.ledger, "http:0")
        return Row.unpack(packed) if packed else None


@pytest.fixture
async def world(engine: Engine, receiver: Receiver) -> World:
    """A message with one page."""
    topic = await engine.create_topic("settled")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("one", SUBSCRIPTIONS))
    return World(engine, topic.id, topic.urn, await engine.publish(topic.urn, "hello"))


def _fail(batch: Batch, seat: int, due_ms: int) -> None:
    """One attempt that will be followed by another."""
    entry = batch.page.entries[seat]
    batch.failed(entry.id, entry.shown, Try(1, due_ms - 100, 1, 500, "HTTP 500"))
    batch.row.waiting[seat] = Waiting(1, due_ms, entry.id)


def _bury(batch: Batch, seat: int) -> None:
    entry = batch.page.entries[seat]
    batch.attempted(404)
    batch.end(seat, entry.id, entry.shown, End.REJECTED, Try(1, 1_000, 1, 404, "HTTP 404"))


async def test_a_delivered_page_ends_the_message(world: World) -> None:
    """The last page takes entry, ledger and content with it; log and counters stay."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    hands.deliver(batch)
    assert await hands.write(batch.take_flush("end"))
    store = world.engine.store
    assert await store.call("XLEN", world.lane) == 0
    assert await store.call("EXISTS", world.ledger) == 0
    message = world.engine.keys.message(world.topic_id, world.message_id)
    assert await store.call("EXISTS", message) == 0
    assert await unfinished(world.engine) == 0
    lines = await world.engine.delivery_log(world.urn)
    assert [line.status for line in lines] == ["DELIVERED"] * SUBSCRIPTIONS


async def test_a_flush_keeps_the_row_and_the_lease(world: World) -> None:
    """A partial flush writes the ledger, renews the lease and moves nothing."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    _bury(batch, 2)
    assert await hands.write(batch.take_flush("flush"))
    row = await world.row()
    assert row is not None
    assert row.ended == 1 << 2
    assert await world.engine.store.call("ZCARD", world.retry) == 0
    ((_, consumer, idle_ms, claims),) = await world.engine.store.call(
        "XPENDING", world.lane, "workers", "-", "+", 10
    )
    assert (consumer, claims) == (b"a", 1)
    assert idle_ms < 200


async def test_waiting_seats_go_to_the_retry_set(world: World) -> None:
    """A page that only waits is parked at its earliest due time, with who waits in its row."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    hands.deliver(batch)
    due_ms = world.engine.clock.now_ms() + 60_000
    for seat, later in ((1, 500), (4, 0)):
        batch.row.ended &= ~(1 << seat)
        _fail(batch, seat, due_ms + later)
    assert await hands.write(batch.take_flush("end"))
    assert await world.engine.store.call("XLEN", world.lane) == 0
    (_, score) = await world.engine.store.call("ZRANGE", world.retry, 0, -1, "WITHSCORES")
    assert int(score) == due_ms
    row = await world.row()
    assert row is not None
    assert {seat: wait.due_ms - due_ms for seat, wait in row.waiting.items()} == {1: 500, 4: 0}


async def test_a_batch_that_is_given_back_is_taken_up_where_it_was(world: World) -> None:
    """Who reads it next skips what has ended."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    _bury(batch, 0)
    assert await hands.write(batch.take_flush("return"))
    (again,) = await world.hands("b").take()
    assert again.row.ended == 1
    assert again.claims == 1


@pytest.mark.parametrize(("mode", "second"), [("flush", True), ("end", False), ("return", False)])
@pytest.mark.parametrize("outcome", ["delivered", "waiting", "buried"])
async def test_a_settle_that_runs_twice_writes_once(
    world: World, mode: str, outcome: str, second: bool
) -> None:
    """The same call again, as after a lost reply, adds no line, count or letter."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    match outcome:
        case "delivered":
            hands.deliver(batch)
        case "waiting":
            _fail(batch, 3, world.engine.clock.now_ms() + 60_000)
        case _:
            _bury(batch, 3)
    flush = batch.take_flush(mode)
    assert await hands.write(flush)
    before = await snapshot(world.engine.store)
    assert await hands.write(flush) is second
    assert await snapshot(world.engine.store) == before


@pytest.mark.parametrize("mode", ["flush", "end", "return"])
@pytest.mark.parametrize("taken_over_by", ["b", "a"])
async def test_a_stalled_worker_writes_nothing_any_more(
    world: World, mode: str, taken_over_by: str
) -> None:
    """Once its batch was claimed, by another or by itself, what it writes late is refused."""
    stalled = world.hands("a")
    (late,) = await stalled.take()
    stalled.deliver(late)
    (batch,) = await world.hands(taken_over_by).claim()
    assert (batch.claims, batch.reference) == (2, late.reference)
    before = await snapshot(world.engine.store)
    assert not await stalled.write(late.take_flush(mode))
    assert await snapshot(world.engine.store) == before


async def test_a_batch_can_be_taken_back_only_once(world: World) -> None:
    """Of two that find a lease passed one gets the batch."""
    await world.hands("a").take()
    first, second = world.hands("b"), world.hands("c")
    (batch,) = await first.claim()
    assert await second.intake.claim(["http"]) == []
    first.deliver(batch)
    assert await first.write(batch.take_flush("end"))


async def test_what_was_claimed_meanwhile_is_not_loaded(world: World) -> None:
    """A worker that stalls between reading and loading does not start the batch."""
    stalled = world.hands("a")
    await stalled.take()
    taken = await stalled.intake.claim(["http"])
    while not taken:
        taken = await stalled.intake.claim(["http"])
    await world.hands("b").claim()
    assert await stalled.intake.load(taken) == ([], set())


async def test_one_call_settles_many_and_fences_each(engine: Engine, receiver: Receiver) -> None:
    """In one call batches that are held are written, those that are not are left alone."""
    topic = await engine.create_topic("settled")
    await engine.subscribe_many(topic.urn, "http", receiver.urls("one", 2))
    for number in range(3):
        await engine.publish(topic.urn, f"number {number}")
    hands = Hands(engine, engine.keys.shard_of_topic(topic.id), "a")
    batches = await hands.take()
    for batch in batches:
        hands.deliver(batch)
    assert await hands.write(batches[1].take_flush("return"))
    flushes = [batch.take_flush("end") for batch in batches]
    assert await hands.settler._write(flushes) == [1, 0, 1]
    assert await unfinished(engine) == 1


async def test_an_unreadable_entry_is_taken_out(world: World) -> None:
    """What nobody can read leaves the lane and does not circle; its neighbours are loaded."""
    await world.engine.store.call("XADD", world.lane, "*", "b", "nonsense")
    (batch,) = await world.hands("a").take()
    assert batch.reference.message_id == world.message_id
    assert await world.engine.store.call("XLEN", world.lane) == 1


async def test_who_asks_for_a_write_gets_what_it_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that was under way when it was asked for does not answer for the next one."""
    hands = world.hands("a")
    (batch,) = await hands.take()
    settler, gate, begun, written = hands.settler, asyncio.Event(), asyncio.Event(), []
    write = settler._write

    async def held(flushes: list[Flush]) -> list[int]:
        begun.set()
        await gate.wait()
        results = await write(flushes)
        written.append(Row.unpack(flushes[0].row).solo)
        return results

    monkeypatch.setattr(settler, "_write", held)
    running = asyncio.create_task(settler.run())
    batch.running.add(0)
    settler.renew(batch)
    await begun.wait()
    batch.row.solo = 3
    asked = asyncio.create_task(settler.write_now(batch))
    await asyncio.sleep(0)
    gate.set()
    assert await asked
    assert written == [None, 3]
    running.cancel()


@pytest.mark.parametrize(
    ("known", "marks", "merged"),
    [
        ("", "0120", "0120"),
        ("0000", "0120", "0120"),
        ("1002", "0120", "1122"),
        ("2222", "1111", "2222"),
        ("1111", "", "1111"),
        ("", "", ""),
    ],
)
async def test_marks_only_rise(world: World, known: str, marks: str, merged: str) -> None:
    """Whatever is written late, or twice, takes nothing back; without rounds nothing is kept."""
    hands, store = world.hands("a"), world.engine.store
    message = world.engine.keys.message(world.topic_id, world.message_id)
    (batch,) = await hands.take()
    for given in (known, marks, marks):
        _fail(batch, 3, world.engine.clock.now_ms() + 60_000)
        assert await hands.write(batch.take_flush("flush")._replace(marks=given))
    assert (await store.call("HGET", message, "m") or b"").decode() == merged
    assert await hands.write(batch.take_flush("end")._replace(marks=known))
    assert (await store.call("HGET", message, "m") or b"").decode() == merged
