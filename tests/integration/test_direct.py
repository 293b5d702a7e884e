"""A message to an inline recipient is a message like any other: it only brings its own seat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.models import INLINE, DeadLetter, Kind, LogLine, Topic
from engine.pipeline.accept import Draft
from engine.ports import Answer
from tests.engines import (
    Hands,
    all_ended,
    eventually,
    keys_about,
    names_of_keys,
    open_engine,
    snapshot,
    unfinished,
    working,
)
from tests.receiver import Receiver

ID = "ab" * 16
URN = "urn:smn:region01:p:direct:test"
HELLO = Draft({"default": "hello"})


@pytest.fixture
async def engine(
    redis_url: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> AsyncIterator[Engine]:
    """An engine with one further try."""
    async with open_engine(
        redis_url, tmp_path, receiver, retry_delays=(0.1,), lease_seconds=1.0
    ) as engine:
        yield engine


@pytest.fixture
async def home(engine: Engine) -> Topic:
    """A home, as direct messages have one."""
    home = await engine.homes.open("p", URN, "direct")
    assert home is not None
    return home


async def _send(engine: Engine, home: Topic, endpoint: str) -> str:
    secret = {"header": {"authorization": "open sesame"}}
    recipient = ID, "http", endpoint
    return await engine.direct.send(home, Kind.DIRECT, recipient, HELLO, extension=secret)


async def _log(engine: Engine, home: Topic) -> list[LogLine]:
    return [line async for line in engine.log.read(home)]


async def _letters(engine: Engine, home: Topic) -> list[DeadLetter]:
    return [letter async for letter in engine.dead.list(home.id)]


async def test_it_is_delivered_and_leaves_only_the_log(
    engine: Engine, home: Topic, receiver: Receiver
) -> None:
    """Nothing of the message stays; the line names the home and the recipient's id."""
    message_id = await _send(engine, home, receiver.url("one"))
    assert await unfinished(engine) == 1
    async with working(engine):
        await all_ended(engine)
    assert receiver.names(message_id) == ["one"]
    (line,) = await _log(engine, home)
    assert (line.status, line.subscriber_urn) == ("DELIVERED", f"{URN}:{ID}")
    assert not await keys_about(engine, message_id)


async def test_its_secrets_are_sealed(engine: Engine, home: Topic) -> None:
    """Neither the endpoint nor what goes with it can be read in the database."""
    await _send(engine, home, "http://127.0.0.1:9/hidden")
    found = repr(await snapshot(engine.store))
    assert "open sesame" not in found
    assert "hidden" not in found


async def test_it_is_retried(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """A failure waits for its due time and is tried again."""
    message_id = await _send(engine, home, receiver.behave("one", 500, 200))
    async with working(engine):
        await all_ended(engine)
    assert receiver.names(message_id) == ["one", "one"]
    (line,) = await _log(engine, home)
    assert [attempt.code for attempt in line.attempts] == [500, 200]


async def test_it_waits_in_the_retry_set(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """Whoever finds it there when it is due finds its recipient in the message."""
    throttled = Answer(503, retry_after="1")
    message_id = await _send(engine, home, receiver.behave("one", throttled, 200))
    retry = engine.keys.retry(engine.keys.shard_of_topic(home.id), "http")
    async with working(engine, "first"):
        await eventually(lambda: receiver.names(message_id), "the first try")
    (member,) = await engine.store.call("ZRANGE", retry, 0, -1)
    assert member.decode().endswith(f":{INLINE}:0:{ID}")
    async with working(engine, "second"):
        await all_ended(engine)
    assert receiver.names(message_id) == ["one", "one"]


async def test_it_waits_while_its_endpoint_is_parked(
    redis_url: str, tmp_path: Path, receiver: Receiver, impatient: None
) -> None:
    """It is delivered once the endpoint is reopened, without having spent tries."""
    parking: dict[str, Any] = {
        "blacklist_failures": 2,
        "blacklist_seconds": 1.0,
        "retry_delays": (),
    }
    async with open_engine(redis_url, tmp_path, receiver, **parking) as engine:
        home = await engine.homes.open("p", URN, "direct")
        assert home is not None
        endpoint = receiver.behave("one", 500, 500, 200)
        async with working(engine):
            for _ in range(2):
                await _send(engine, home, endpoint)
            await all_ended(engine)
            shard = engine.keys.shard_of_hash(
                engine.vault.keyed_hash(f"http\n{endpoint}", "health")
            )
            parked = engine.keys.parked(shard)
            await eventually(lambda: engine.store.call("ZCARD", parked), "it is parked")
            message_id = await _send(engine, home, endpoint)
            await all_ended(engine)
        assert receiver.names(message_id) == ["one"]
        (line,) = [line async for line in engine.log.read(home, message_id=message_id)]
        assert (line.status, len(line.attempts)) == ("DELIVERED", 1)


async def test_it_survives_its_worker(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """A batch whose worker is gone is claimed and delivered by the next."""
    message_id = await _send(engine, home, receiver.url("one"))
    shard = engine.keys.shard_of_topic(home.id)
    (batch,) = await Hands(engine, shard, "dead").take()
    assert [entry.id for entry in batch.page.entries.values()] == [ID]
    async with working(engine):
        await all_ended(engine)
    assert receiver.names(message_id) == ["one"]


async def test_a_lease_is_renewed_without_a_page(
    engine: Engine, home: Topic, receiver: Receiver
) -> None:
    """Looking whether the page has changed finds that it has not."""
    await _send(engine, home, receiver.url("one"))
    hands = Hands(engine, engine.keys.shard_of_topic(home.id), "one")
    (batch,) = await hands.take()
    page = batch.page
    await hands.intake.refresh([batch])
    assert batch.page is page
    assert not batch.stale


async def test_it_is_buried_and_redriven(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """A dead letter keeps the message with its recipient; a redrive delivers it."""
    message_id = await _send(engine, home, receiver.behave("one", 500))
    async with working(engine):
        await all_ended(engine)
        (letter,) = await _letters(engine, home)
        assert (letter.subscription_id, letter.code, letter.tries) == (ID, 500, 2)
        receiver.behave("one", 200)
        assert await engine.redrive() == 1
        await all_ended(engine)
    assert receiver.names(message_id) == ["one"] * 3
    assert not await _letters(engine, home)
    assert not await keys_about(engine, message_id)


async def test_a_redriven_one_can_die_again(
    engine: Engine, home: Topic, receiver: Receiver
) -> None:
    """It is buried anew with its own id."""
    await _send(engine, home, receiver.behave("one", 500))
    async with working(engine):
        await all_ended(engine)
        await engine.redrive()
        await all_ended(engine)
    (letter,) = await _letters(engine, home)
    assert letter.subscription_id == ID


async def test_a_lost_one_is_in_the_log(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """With the message its recipient is lost; that it was owed is not."""
    message_id = await _send(engine, home, receiver.url("one"))
    await engine.store.call("DEL", engine.keys.message(home.id, message_id))
    async with working(engine):
        await eventually(lambda: _log(engine, home), "the loss is logged")
    (line,) = await _log(engine, home)
    assert (line.status, line.reason) == ("FAIL_DELIVERED", "the message is lost")
    assert not receiver.arrivals


async def test_a_retired_home_withdraws(engine: Engine, home: Topic, receiver: Receiver) -> None:
    """What waits is not sent any more, nothing new is accepted, and nothing stays."""
    own = await engine.homes.open("p", URN + "-2", "direct", home_id="07" + "c" * 30)
    assert own is not None
    message_id = await _send(engine, own, receiver.behave("one", 500))
    async with working(engine):
        await eventually(lambda: receiver.names(message_id), "the first try")
        await engine.homes.retire(own.project_id, own.id)
        assert await engine.homes.open("p", own.urn, "direct", home_id=own.id) is None
        with pytest.raises(Refused, match=r"SMN\.0006"):
            await _send(engine, own, receiver.url("two"))
        await all_ended(engine)
        await engine.retention.purge(engine.keys.shard_of_topic(own.id))
    assert not receiver.of("two")
    assert not await keys_about(engine, message_id)
    assert engine.keys.topic(own.id) not in await names_of_keys(engine.store)


async def test_opening_and_retiring_run_twice(engine: Engine) -> None:
    """A client whose reply was lost sends a script again: the second time changes nothing."""
    first = await engine.homes.open("p", URN, "direct")
    before = await snapshot(engine.store)
    assert await engine.homes.open("p", URN, "direct") == first
    assert await snapshot(engine.store) == before
    assert first is not None
    await engine.homes.retire(first.project_id, first.id)
    before = await snapshot(engine.store)
    await engine.homes.retire(first.project_id, first.id)
    await engine.homes.retire(first.project_id, "0" * 32)
    assert await snapshot(engine.store) == before


async def test_a_protocol_needs_an_adapter(engine: Engine, home: Topic) -> None:
    """Otherwise nobody would ever read its lane."""
    before = await snapshot(engine.store)
    with pytest.raises(Refused, match=r"SMN\.0011"):
        await engine.direct.send(home, Kind.DIRECT, (ID, "pigeon", "coo"), HELLO)
    assert await snapshot(engine.store) == before
