"""Publish to first arrival, at rest: 1,000 publishes at 20 a second.

From when the signed request is written to its socket until the first byte of the first delivery
is read, by one clock in one process: what an HTTP client costs is its own affair. That process
runs at real-time priority where it may: a receiver that waits for a core which the worker is using
would measure the scheduler. The publish is acknowledged under ``fsync``, so the disk's own time for
that is printed beside it.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.chart import Curve, Curves, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import text_of
from benchmarks.machine import at_once, fsync_ms
from benchmarks.replay import publishes
from benchmarks.report import Result, at_most
from benchmarks.service import library, service, subscribe
from benchmarks.sink import Recorder, recorder
from benchmarks.stats import percentile
from benchmarks.wire import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.wire import Wire

P50_MS: Final = 5.0
P99_MS: Final = 20.0
_RATE: Final = 20.0
_SUBSCRIPTIONS: Final = 10


class Sample(NamedTuple):
    """Milliseconds since one signed request was written."""

    acknowledged: float
    arrived: float


async def run(bench: Bench) -> Result:
    """Measure; about a minute."""
    count = bench.size(1000, 60)
    async with (
        recorder() as kept,
        service(bench.room("service")) as serving,
        ApiClient(serving.credentials) as client,
        wire(serving.credentials.endpoint) as api,
    ):
        topic = await client.create_topic("latency")
        async with library(bench.scratch / "service", serving.redis_url) as engine:
            await subscribe(engine, topic, kept.urls(_SUBSCRIPTIONS))
        requests = publishes(serving.credentials, topic, text_of(bench.seed), count + 1)
        await _publish(api, kept, next(requests))  # connections are open, caches are warm
        before = fsync_ms(serving.data)
        bench.say(f"{count} publishes at {_RATE:.0f}/s")
        with at_once() as prompt:
            samples = await _paced(api, kept, requests, bench.seed)
        after = fsync_ms(serving.data)
    return _result(samples, {"before": before, "after": after}, prompt=prompt)


async def _paced(api: Wire, kept: Recorder, requests: Iterator[bytes], seed: int) -> list[Sample]:
    # Even spacing could keep step with a timer of the engine's: spread it by a fifth.
    source = random.Random(seed)
    due, tasks = time.monotonic(), []
    async with asyncio.TaskGroup() as group:
        for request in requests:
            due += source.uniform(0.8, 1.2) / _RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(group.create_task(_publish(api, kept, request)))
    return [task.result() for task in tasks]


async def _publish(api: Wire, kept: Recorder, request: bytes) -> Sample:
    published = await api.publish(request)
    acknowledged = time.monotonic()
    async with asyncio.timeout(30):
        arrival = await kept.first(published.message_id)
    sent = published.sent
    return Sample((acknowledged - sent) * 1000, (arrival.at - sent) * 1000)


def _result(samples: list[Sample], fsync: dict[str, object], *, prompt: bool) -> Result:
    arrived = [each.arrived for each in samples]
    acknowledged = [each.acknowledged for each in samples]
    p50, p99 = percentile(arrived, 0.5), percentile(arrived, 0.99)
    shares = [n / 200 for n in range(1, 200)]
    return Result(
        suite="latency",
        title="Publish to first arrival, at rest",
        subtitle=f"{len(samples):,} publishes through the API at {_RATE:.0f}/s, 1 topic × "
        f"{_SUBSCRIPTIONS} http subscriptions, fsync",
        checks=(
            at_most("p50", p50, "ms", P50_MS),
            at_most("p99", p99, "ms", P99_MS),
        ),
        facts={
            "slowest_ms": max(arrived),
            "acknowledged_ms": {
                "p50": percentile(acknowledged, 0.5),
                "p99": percentile(acknowledged, 0.99),
            },
            "disk_fdatasync_4KiB": fsync,
            "receiver_at_real_time_priority": prompt,
        },
        samples={
            "arrived_ms": [round(each, 3) for each in arrived],
            "acknowledged_ms": [round(each, 3) for each in acknowledged],
        },
        panels=(
            Curves(
                "Share of messages that had arrived after …",
                "milliseconds since the signed request was written",
                "% of messages",
                (
                    Curve("first arrival", _shares(arrived, shares)),
                    Curve("publish acknowledged", _shares(acknowledged, shares), colour=1),
                ),
                (Goal(P50_MS, "goal p50"), Goal(P99_MS, "goal p99")),
            ),
        ),
    )


def _shares(values: list[float], shares: list[float]) -> tuple[tuple[float, float], ...]:
    return tuple((percentile(values, share), share * 100) for share in shares)
