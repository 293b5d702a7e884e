"""Peak memory of a worker that delivers to 10,000 and to 200,000 subscriptions.

The same number of deliveries each, by a fresh worker, so that only the topic's size differs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import procs
from benchmarks.chart import Bar, Bars, Curve, Curves, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import Feed, text_of
from benchmarks.report import Result, at_most
from benchmarks.service import Service, library, service, subscribe
from benchmarks.sink import nginx
from benchmarks.wait import until

if TYPE_CHECKING:
    from benchmarks.bench import Bench

WITHIN: Final = 1.2


@dataclass(frozen=True, slots=True)
class Peak:
    """What one topic size needed."""

    subscriptions: int
    deliveries: int
    at_start_mib: float
    peak_mib: float
    timeline: tuple[tuple[float, float], ...]
    """(seconds, resident MiB) while it delivered."""


async def run(bench: Bench) -> Result:
    """Measure; about three minutes."""
    small, large, messages = bench.size((10_000, 200_000, 2), (500, 8_000, 1))
    peaks = []
    for subscriptions in (small, large):
        count = messages * large // subscriptions
        bench.say(f"{count} messages to {subscriptions:,} subscriptions")
        peaks.append(await _measure(bench, subscriptions, count))
    return result(peaks)


async def _measure(bench: Bench, subscriptions: int, messages: int) -> Peak:
    room = bench.room(f"memory-{subscriptions}")
    async with (
        nginx(room / "sink") as sink,
        service(room) as serving,
        ApiClient(serving.credentials) as client,
    ):
        topic = await client.create_topic("memory")
        async with library(room, serving.redis_url) as engine:
            await subscribe(engine, topic, sink.urls(subscriptions))
        feed = Feed(client.publish, topic, text_of(bench.seed), sink.count, subscriptions, 0)
        return await peak(serving, feed, messages)


async def peak(serving: Service, feed: Feed, messages: int) -> Peak:
    """Publish so many messages, and watch the worker until all have arrived."""
    pid, begun = serving.worker(), time.monotonic()
    start = procs.resident_kib(pid)
    await feed.arrived()
    for _ in range(messages):
        await feed.publish()
    deliveries = messages * feed.fanout
    timeline: list[tuple[float, float]] = []

    async def arrived() -> bool:
        timeline.append((time.monotonic() - begun, procs.resident_kib(pid) / 1024))
        return await feed.arrived() >= deliveries

    await until(arrived, 600, "all deliveries to arrive", every_s=0.5)
    most = procs.peak_kib(pid)
    if serving.worker() != pid:
        raise RuntimeError("the worker was restarted while it was measured")
    return Peak(feed.fanout, deliveries, start / 1024, most / 1024, tuple(timeline))


def result(
    peaks: list[Peak],
    *,
    suite: str = "memory",
    title: str = "Peak memory of a worker",
    protocol: str = "http",
    within: float = WITHIN,
) -> Result:
    """What the peaks of a small and a large topic say."""
    small, large = peaks
    ratio = large.peak_mib / small.peak_mib
    return Result(
        suite=suite,
        title=title,
        subtitle=f"{small.deliveries:,} and {large.deliveries:,} deliveries, to a topic of "
        f"{small.subscriptions:,} and of {large.subscriptions:,} {protocol} subscriptions",
        checks=(at_most("large topic ÷ small topic", ratio, "", within),),
        facts={
            f"{each.subscriptions}_subscriptions_mib": {
                "at start": each.at_start_mib,
                "peak": each.peak_mib,
            }
            for each in peaks
        },
        samples={
            str(each.subscriptions): {
                "peak_mib": each.peak_mib,
                "at_start_mib": each.at_start_mib,
                "timeline": [[round(at, 2), round(mib, 2)] for at, mib in each.timeline],
            }
            for each in peaks
        },
        panels=(
            Bars(
                "Peak resident memory",
                "MiB",
                tuple(
                    Bar(f"{each.subscriptions:,} subscriptions", each.peak_mib, colour=2 * place)
                    for place, each in enumerate(peaks)
                ),
                Goal(small.peak_mib * within, f"goal ≤ {within} × small"),
            ),
            Curves(
                "Resident memory while delivering",
                "seconds",
                "MiB",
                tuple(
                    Curve(f"{each.subscriptions:,} subscriptions", each.timeline, colour=2 * place)
                    for place, each in enumerate(peaks)
                ),
            ),
        ),
    )
