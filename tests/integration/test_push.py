"""From a publish to Apple's devices: the service breaks, leaves and comes back under an engine."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.app import Engine
from tests.apple import BUNDLE, push_certificate
from tests.apple_push import CUT, ApplePush, apple_push
from tests.engines import all_ended, eventually, open_engine, working

DEVICES = 80
ALERT = json.dumps({"aps": {"alert": "hello"}})


@asynccontextmanager
async def phones(
    redis_url: str, folder: Path, *, timeout_s: float = 5
) -> AsyncIterator[tuple[Engine, ApplePush, str]]:
    """An engine, Apple's service, and a topic that many devices subscribe to."""
    tokens = [f"{number:064x}" for number in range(DEVICES)]
    async with apple_push(folder, devices=dict.fromkeys(tokens, BUNDLE)) as (service, ca_file):
        push = {"enabled": True, "apns_url": service.url, "apns_ca_file": str(ca_file)}
        opened = open_engine(redis_url, folder, tables={"push": push}, send_timeout=timeout_s)
        async with opened as engine:
            topic = await engine.create_topic("orders")
            project_id = topic.project_id
            urn, _, _ = await engine.applications.create(
                project_id, "APNS", "shop", push_certificate()
            )
            for token in tokens:
                device, _ = await engine.devices.register(project_id, urn, token, "")
                await engine.subscribe(topic.urn, "application", device.urn, confirmed=True)
            yield engine, service, topic.urn


async def test_a_connection_that_breaks_costs_what_was_under_way_a_repeat(
    redis_url: str, tmp_path: Path
) -> None:
    """Every device shows the message, once; the others are not pushed to again."""
    async with phones(redis_url, tmp_path) as (engine, service, topic):
        service.answers.extend([(200, "")] * 30 + [CUT])
        await engine.publish(topic, ALERT)
        async with working(engine):
            await all_ended(engine)
        lines = await engine.delivery_log(topic)
    assert [line.status for line in lines] == ["DELIVERED"] * DEVICES
    assert service.shown() == Counter(dict.fromkeys(service.devices, 1))
    assert {len(line.attempts) for line in lines} <= {1, 2}
    # Answers that were still on their way when it broke are lost, too.
    failed = sum(len(line.attempts) - 1 for line in lines)
    again = len(service.arrivals) - DEVICES
    assert 1 <= again <= failed
    ids = {(push.token, push.headers["apns-id"]) for push in service.pushes}
    assert len(ids) == DEVICES


async def test_a_goodbye_in_the_middle_costs_nothing(redis_url: str, tmp_path: Path) -> None:
    """What the service had begun with is answered, the rest goes by another connection."""
    async with phones(redis_url, tmp_path) as (engine, service, topic):
        service.held = asyncio.Event()
        await engine.publish(topic, ALERT)
        async with working(engine):
            await eventually(lambda: len(service.arrivals) >= DEVICES / 2, "half have arrived")
            service.go_away()
            service.held.set()
            await engine.publish(topic, ALERT)
            await all_ended(engine)
        lines = await engine.delivery_log(topic)
    assert [len(line.attempts) for line in lines] == [1] * DEVICES * 2
    assert Counter(service.arrivals) == Counter(dict.fromkeys(service.devices, 2))
    assert service.connections == 2


async def test_an_outage_spends_no_tries(redis_url: str, tmp_path: Path) -> None:
    """However often it is asked for: everything goes out once it is over."""
    async with phones(redis_url, tmp_path, timeout_s=1) as (engine, service, topic):
        service.silent = True
        await engine.publish(topic, ALERT)
        async with working(engine):
            await eventually(lambda: service.connections >= 3, "it is asked for three times")
            service.silent = False
            await all_ended(engine)
        lines = await engine.delivery_log(topic)
    assert [(line.status, len(line.attempts)) for line in lines] == [("DELIVERED", 1)] * DEVICES
    assert Counter(service.arrivals) == Counter(dict.fromkeys(service.devices, 1))


@pytest.mark.parametrize("told", ["Shutdown", "TooManyRequests"])
async def test_who_is_told_to_wait_waits(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """And is delivered after that."""
    monkeypatch.setattr("adapters._apns._PAUSE_MS", 50)
    monkeypatch.setattr("adapters._apns._MOMENT_MS", 50)
    async with phones(redis_url, tmp_path) as (engine, service, topic):
        status = 503 if told == "Shutdown" else 429
        service.first = (status, told)
        await engine.publish(topic, ALERT)
        async with working(engine):
            await all_ended(engine)
        lines = await engine.delivery_log(topic)
    assert {line.status for line in lines} == {"DELIVERED"}
    codes = [tuple(attempt.code for attempt in line.attempts) for line in lines]
    assert codes == [(status, 200)] * DEVICES
