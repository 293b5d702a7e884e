"""An endpoint that keeps failing is left alone for a while, by all workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.models import End
from engine.settings import Blacklist
from tests.engines import all_ended, eventually, open_engine, working
from tests.receiver import Hang, Receiver

FAILURES = 4
PARKED_S = 1.0


@asynccontextmanager
async def _engine(
    url: str, tmp_path: Path, receiver: Receiver, **options: Any
) -> AsyncIterator[Engine]:
    async with open_engine(
        url,
        tmp_path,
        receiver,
        blacklist_failures=FAILURES,
        blacklist_seconds=PARKED_S,
        retry_delays=(0.1,) * 3,
        **options,
    ) as engine:
        yield engine


async def _parked(engine: Engine) -> int:
    found = 0
    for shard in range(engine.keys.shards):
        found += await engine.store.call("ZCARD", engine.keys.parked(shard))
    return found


@pytest.fixture(autouse=True)
def _short_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits while an endpoint is probed does not wait for long."""
    monkeypatch.setattr("engine.pipeline.health._PROBE_MS", 500)


Park = Callable[[Engine], Awaitable[str]]


@pytest.fixture
def park(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> Park:
    """Makes a topic whose one endpoint, ``one``, has just been parked; returns its URN."""

    async def parked(engine: Engine) -> str:
        topic = await engine.create_topic("failing")
        await engine.subscribe(topic.urn, "http", receiver.behave("one", 500), confirmed=True)
        await engine.publish(topic.urn, "fails all its tries")
        await eventually(lambda: "endpoint.blacklisted" in caplog.messages, "it is parked")
        assert await _parked(engine) == 1
        return topic.urn

    return parked


async def test_deliveries_for_a_parked_endpoint_wait_without_spending_tries(
    redis_url: str, tmp_path: Path, receiver: Receiver, park: Park
) -> None:
    """While it is parked nothing is sent; when it is well again all is delivered at first try."""
    async with _engine(redis_url, tmp_path, receiver) as engine, working(engine):
        urn = await park(engine)
        receiver.behave("one", 200)
        failed = len(receiver.arrivals)
        assert failed == FAILURES
        published = {await engine.publish(urn, f"number {number}") for number in range(10)}
        await all_ended(engine)
        waited = [arrival for arrival in receiver.arrivals if arrival.message_id in published]
        assert len(waited) == 10
        assert waited[0].at - receiver.arrivals[failed - 1].at >= PARKED_S
        lines = [line for line in await engine.delivery_log(urn) if line.message_id in published]
        assert [len(line.attempts) for line in lines] == [1] * 10
        assert await _parked(engine) == 0


async def test_one_probe_goes_first(
    redis_url: str, tmp_path: Path, receiver: Receiver, park: Park, impatient: None
) -> None:
    """When its time is up, one delivery tries; if that fails the endpoint is parked anew."""
    async with _engine(redis_url, tmp_path, receiver) as engine, AsyncExitStack() as workers:
        await workers.enter_async_context(working(engine, "one"))
        urn = await park(engine)
        await workers.enter_async_context(working(engine, "two"))
        before = len(receiver.arrivals)
        for number in range(10):
            await engine.publish(urn, f"number {number}")
        await eventually(lambda: len(receiver.arrivals) > before, "it is probed")
        first = receiver.arrivals[before].at
        receiver.behave("one", 200)
        await all_ended(engine)
        later = [arrival.at - first for arrival in receiver.arrivals[before + 1 :]]
        assert len(later) == 10
        assert min(later) >= PARKED_S


async def test_a_probe_reopens_whoever_was_proven_meanwhile(
    redis_url: str, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A success that was under way while others failed does not keep the endpoint parked."""
    failures = (500,) * FAILURES
    async with _engine(redis_url, tmp_path, receiver) as engine, working(engine):
        topic = await engine.create_topic("shaky")
        url = receiver.behave("one", 200, Hang(0.15, 200), *failures, 200)
        await engine.subscribe(topic.urn, "http", url, confirmed=True)
        await engine.publish(topic.urn, "it is proven")
        await all_ended(engine)
        for number in range(1 + FAILURES):
            await engine.publish(topic.urn, f"number {number}")
        await eventually(lambda: "endpoint.blacklisted" in caplog.messages, "it is parked")
        await all_ended(engine)

        async def reopened() -> bool:
            return await _parked(engine) == 0

        await eventually(reopened, "it is open again", 5)


async def test_a_new_worker_leaves_it_alone(
    redis_url: str, tmp_path: Path, receiver: Receiver, park: Park
) -> None:
    """A worker that has not seen the endpoint fail knows from its start that it is parked."""
    async with _engine(redis_url, tmp_path, receiver) as engine:
        async with working(engine, "first"):
            urn = await park(engine)
        receiver.behave("one", 200)
        failed = receiver.arrivals[-1].at
        async with working(engine, "second"):
            await engine.publish(urn, "for the second")
            await all_ended(engine)
    assert receiver.arrivals[FAILURES].at - failed >= PARKED_S


async def test_others_are_not_affected(
    redis_url: str, tmp_path: Path, receiver: Receiver, park: Park
) -> None:
    """Only the endpoint that failed waits, also in the same page."""
    async with _engine(redis_url, tmp_path, receiver) as engine, working(engine):
        urn = await park(engine)
        await engine.subscribe(urn, "http", receiver.url("neighbour"), confirmed=True)
        before = len(receiver.of("one"))
        await engine.publish(urn, "hello")
        await eventually(lambda: receiver.of("neighbour"), "the neighbour has it")
        assert len(receiver.of("one")) == before
        receiver.behave("one", 200)
        await all_ended(engine)


async def test_failing_at_once_is_a_choice(
    redis_url: str, tmp_path: Path, receiver: Receiver, park: Park
) -> None:
    """With the blacklist set to `fail` deliveries for a parked endpoint are rejected."""
    async with (
        _engine(redis_url, tmp_path, receiver, blacklist=Blacklist.FAIL) as engine,
        working(engine),
    ):
        urn = await park(engine)
        before = len(receiver.arrivals)
        message_id = await engine.publish(urn, "hello")
        await all_ended(engine)
        assert len(receiver.arrivals) == before
        letters = [x for x in await engine.dead_letters(urn) if x.message_id == message_id]
        assert [(letter.end, letter.reason) for letter in letters] == [
            (End.REJECTED, "endpoint blacklisted")
        ]


async def test_failures_count_within_a_window(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Failures that are further apart than the window park nobody."""
    async with (
        _engine(redis_url, tmp_path, receiver, blacklist_window=0.2) as engine,
        working(engine),
    ):
        topic = await engine.create_topic("seldom")
        await engine.subscribe(topic.urn, "http", receiver.behave("one", 500), confirmed=True)
        for number in range(2):
            await engine.publish(topic.urn, f"number {number}")
            await all_ended(engine)

            async def forgotten() -> bool:
                return not await engine.store.call("KEYS", "*:fails:*")

            await eventually(forgotten, "the window passes")
        assert len(receiver.arrivals) == 8
        assert await _parked(engine) == 0
