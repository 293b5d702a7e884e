"""No healthy delivery waits for an endpoint that hangs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.models import End
from tests.engines import all_ended, eventually, open_engine, working
from tests.receiver import Hang, Receiver

HEALTHY = 400
HUNG = 100
TIMEOUT_S = 4.0


async def _hanging_fifth(receiver: Receiver) -> list[str]:
    """Endpoints of which every fifth accepts and never answers, in mixed order."""
    endpoints = []
    for number in range(HEALTHY + HUNG):
        if number % 5:
            endpoints.append(receiver.url(f"healthy{number}"))
        else:
            endpoints.append(receiver.behave(f"hung{number}", Hang(TIMEOUT_S)))
    return endpoints


def _healthy(receiver: Receiver, messages: set[str]) -> list[float]:
    return [
        arrival.at
        for arrival in receiver.arrivals
        if arrival.message_id in messages and arrival.name.startswith("healthy")
    ]


async def test_healthy_endpoints_do_not_wait_for_hung_ones(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A fifth hangs: the healthy have all messages before the first hung one is given up."""
    async with open_engine(
        redis_url, tmp_path, receiver, send_timeout=TIMEOUT_S, drain_seconds=0.1
    ) as engine:
        topic = await engine.create_topic("mixed")
        await engine.subscribe_many(topic.urn, "http", await _hanging_fifth(receiver))
        loop = asyncio.get_running_loop()
        async with working(engine):
            began = loop.time()
            published = {await engine.publish(topic.urn, f"number {n}") for n in range(5)}
            await eventually(
                lambda: len(_healthy(receiver, published)) == 5 * HEALTHY, "the healthy have it"
            )
            assert loop.time() - began < TIMEOUT_S


async def test_more_hung_endpoints_than_places_hold_up_no_proven_one(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """When the hung alone would fill every place, endpoints that answered lately keep theirs."""
    async with open_engine(
        redis_url,
        tmp_path,
        receiver,
        send_timeout=TIMEOUT_S,
        drain_seconds=0.1,
        in_flight=HUNG,
    ) as engine:
        topic = await engine.create_topic("mixed")
        endpoints = [receiver.url(f"healthy{n}") for n in range(HEALTHY)]
        endpoints += [receiver.url(f"hung{n}") for n in range(HUNG)]
        await engine.subscribe_many(topic.urn, "http", endpoints)
        loop = asyncio.get_running_loop()
        async with working(engine):
            first = await engine.publish(topic.urn, "all of them answer")
            await eventually(
                lambda: len(receiver.names(first)) == HEALTHY + HUNG, "all have the first"
            )
            for number in range(HUNG):
                receiver.behave(f"hung{number}", Hang(TIMEOUT_S))
            published = {await engine.publish(topic.urn, f"number {n}") for n in range(3)}
            began = loop.time()
            await eventually(
                lambda: len(_healthy(receiver, published)) == 3 * HEALTHY, "the healthy have it"
            )
            assert loop.time() - began < TIMEOUT_S


async def test_a_hung_topic_holds_up_no_other(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A topic whose endpoints all hang leaves another topic's new endpoints undisturbed."""
    async with open_engine(
        redis_url, tmp_path, receiver, send_timeout=TIMEOUT_S, drain_seconds=0.1
    ) as engine:
        hung = await engine.create_topic("hung")
        await engine.subscribe_many(
            hung.urn, "http", [receiver.behave(f"hung{n}", Hang(TIMEOUT_S)) for n in range(HUNG)]
        )
        fine = await engine.create_topic("fine")
        await engine.subscribe_many(fine.urn, "http", receiver.urls("healthy", HEALTHY))
        loop = asyncio.get_running_loop()
        async with working(engine):
            await engine.publish(hung.urn, "to nobody")
            await eventually(lambda: len(receiver.arrivals) == HUNG, "the hung are in flight")
            began = loop.time()
            message_id = await engine.publish(fine.urn, "to somebody")
            await eventually(
                lambda: len(receiver.names(message_id)) == HEALTHY, "the other topic has it"
            )
            assert loop.time() - began < TIMEOUT_S / 2


async def test_an_endpoint_is_not_flooded(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """One endpoint that never answers has few deliveries in flight; its neighbour has them all."""
    async with open_engine(redis_url, tmp_path, receiver, drain_seconds=0.1) as engine:
        topic = await engine.create_topic("one")
        await engine.subscribe(topic.urn, "http", receiver.behave("hung", Hang(60)), confirmed=True)
        await engine.subscribe(topic.urn, "http", receiver.url("fine"), confirmed=True)
        async with working(engine):
            for number in range(100):
                await engine.publish(topic.urn, f"number {number}")
            await eventually(lambda: len(receiver.of("fine")) == 100, "the other one has them all")
            assert 1 <= len(receiver.of("hung")) <= 16


async def test_a_full_endpoint_strands_nothing(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Deliveries that wait for a place at a slow endpoint end, also those that expire there."""
    async with open_engine(redis_url, tmp_path, receiver, endpoint_in_flight=1) as engine:
        topic = await engine.create_topic("one")
        slow = receiver.behave("slow", 200, Hang(0.3, answer=200))
        await engine.subscribe(topic.urn, "http", slow, confirmed=True)
        async with working(engine):
            await engine.publish(topic.urn, "answered at once")
            await all_ended(engine)
            for number in range(8):
                await engine.publish(topic.urn, f"number {number}", ttl=1)
            await all_ended(engine)
        lines = await engine.delivery_log(topic.urn)
        assert len(lines) == 9
        dead = await engine.dead_letters(topic.urn)
        assert {letter.end for letter in dead} == {End.EXPIRED}
        assert len(receiver.arrivals) == 9 - len(dead)
