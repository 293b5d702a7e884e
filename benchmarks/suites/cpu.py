"""Processor time of a worker for each delivery, with a transport that answers 200 at once.

What the HTTP client costs is left out on purpose: this is the engine's own share, the speed
it would have with a transport that costs nothing. Rendering, ledger, log and counters are on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.chart import Bar, Bars, Curve, Curves, Goal
from benchmarks.environment import environment
from benchmarks.feed import Feed, text_of
from benchmarks.report import Result, at_most
from benchmarks.service import (
    all_settled,
    database,
    library,
    new_topic,
    settled,
    subscribe,
)
from benchmarks.stats import spread
from benchmarks.wait import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.bench import Bench

GOAL_US: Final = 15.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    subscriptions: int
    warm_up: int
    deliveries: int


FULL: Final = Size(10_000, 100_000, 1_000_000)
QUICK: Final = Size(2_000, 4_000, 60_000)


class Reading(NamedTuple):
    """The worker's own numbers at a moment."""

    at: float
    cpu_s: float
    sent: int


class Instant:
    """A running `benchmarks.instant_worker`."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    async def sent(self) -> int:
        """Deliveries made so far, as of the last report."""
        return self.readings[-1].sent if self.readings else 0

    async def listen(self, stream: asyncio.StreamReader) -> None:
        """Collect the worker's reports until it ends."""
        while line := await stream.readline():
            self.readings.append(Reading(**json.loads(line)))


async def run(bench: Bench) -> Result:
    """Measure; about half a minute."""
    size = bench.size(FULL, QUICK)
    room = bench.room("cpu")
    async with (
        database(room) as server,
        library(room, server.url) as engine,
        _instant_worker(room, server.url) as worker,
    ):
        topic = await new_topic(engine, "cpu")
        endpoints = [f"http://127.0.0.1:9/e/{number:06d}" for number in range(size.subscriptions)]
        await subscribe(engine, topic, endpoints)
        bench.say(f"{size.deliveries:,} deliveries to a transport that answers at once")
        feed = Feed(
            engine.publish,
            topic,
            text_of(bench.seed),
            worker.sent,
            size.subscriptions,
            10 * size.subscriptions,
        )
        while await worker.sent() < size.warm_up + size.deliveries:
            await feed.run(0.5)
        await feed.drain(60)
        total = len(feed.published) * size.subscriptions
        await all_settled(engine, topic, total, 30)
        lost = total - await settled(engine, topic)
    return _result(worker.readings, size, lost)


@asynccontextmanager
async def _instant_worker(scratch: Path, url: str) -> AsyncIterator[Instant]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.instant_worker",
        str(scratch),
        url,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker = Instant()
    listening = asyncio.create_task(worker.listen(process.stdout))

    async def reported() -> bool:
        if listening.done():
            raise RuntimeError("the worker ended before it reported; see its message above")
        return bool(worker.readings)

    try:
        await until(reported, 30, "the worker to start")
        yield worker
    finally:
        process.stdin.close()
        await process.wait()
        await listening


def _result(readings: list[Reading], size: Size, lost: int) -> Result:
    kept = [each for each in readings if each.sent >= size.warm_up]
    end = next(n for n, each in enumerate(kept) if each.sent >= size.warm_up + size.deliveries)
    kept = kept[: end + 1]
    first, last = kept[0], kept[-1]
    deliveries = last.sent - first.sent
    each_us = (last.cpu_s - first.cpu_s) / deliveries * 1e6
    parts = [
        (after.cpu_s - before.cpu_s) / (after.sent - before.sent) * 1e6
        for before, after in pairwise(kept)
        if after.sent > before.sent
    ]
    curve = [
        (after.at - first.at, (after.sent - before.sent) / (after.at - before.at))
        for before, after in pairwise(kept)
    ]
    return Result(
        suite="cpu",
        title="Worker processor time for each delivery, instant transport",
        subtitle=f"{deliveries:,} deliveries, 1 topic × {size.subscriptions:,} http "
        "subscriptions; user and system time of the worker process",
        checks=(
            at_most("worker CPU per delivery", each_us, "µs", GOAL_US),
            at_most("published but not settled", lost, "", 0),
        ),
        facts={
            "deliveries": deliveries,
            "deliveries_per_s": deliveries / (last.at - first.at),
            "cpu_us_between_readings": spread(parts)._asdict(),
        },
        samples={"readings": [each._asdict() for each in kept]},
        panels=(
            Bars(
                "Processor time for each delivery",
                "µs",
                (Bar("worker, all deliveries", each_us, (min(parts), max(parts))),),
                Goal(GOAL_US, f"goal ≤ {GOAL_US:.0f} µs"),
            ),
            Curves(
                "Deliveries a second with an instant transport",
                "seconds",
                "deliveries/s",
                (Curve("worker", tuple(curve)),),
            ),
        ),
    )
