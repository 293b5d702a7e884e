"""A worker with nothing to do: commands, processor time, and how soon it starts again.

The worker runs alone against its database, so that every command counted is its own.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import procs
from benchmarks.chart import Bar, Bars, Goal
from benchmarks.feed import text_of
from benchmarks.monitor import monitor
from benchmarks.report import Result, at_most
from benchmarks.service import database, library, new_topic, subscribe, worker
from benchmarks.sink import recorder
from benchmarks.stats import percentile

if TYPE_CHECKING:
    from benchmarks.bench import Bench

COMMANDS: Final = 5.0
CPU_PERCENT: Final = 1.0
START_MS: Final = 20.0
"""What "within milliseconds" is held to, publish and its fsync included."""
_SETTLE_S: Final = 6.0
"""Longer than the longest timer that the start of a worker arms."""


class Idle(NamedTuple):
    """What a worker did in a while of nothing."""

    seconds: float
    commands: float
    inside: float
    cpu_percent: float
    by_command: dict[str, float]


async def run(bench: Bench) -> Result:
    """Measure; about a minute and a half."""
    seconds, starts = bench.size((60.0, 30), (5.0, 3))
    room = bench.room("idle")
    async with recorder() as kept, database(room) as server:
        # The data set exists and has a topic before the worker starts; then nobody else is on.
        async with library(room, server.url) as engine:
            topic = await new_topic(engine, "idle")
            await subscribe(engine, topic, kept.urls(1))
        async with worker(room, server.url) as pid:
            await asyncio.sleep(bench.size(_SETTLE_S, 1))
            bench.say(f"nothing to do for {seconds:.0f} s")
            idle = await _watch(server.url, pid, seconds)
            async with library(room, server.url) as engine:
                took = []
                for _ in range(starts):
                    await asyncio.sleep(1)
                    begun = time.monotonic()
                    message_id = await engine.publish(topic, text_of(bench.seed))
                    async with asyncio.timeout(30):
                        took.append(((await kept.first(message_id)).at - begun) * 1000)
    return _result(idle, took)


async def _watch(url: str, pid: int, seconds: float) -> Idle:
    async with monitor(url) as counts:
        cpu, begun = procs.cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - begun
        used = procs.cpu_seconds(pid) - cpu
    return Idle(
        took,
        counts.sent.total() / took,
        counts.inside.total() / took,
        used / took * 100,
        {name: round(n / took, 3) for name, n in counts.sent.most_common()},
    )


def _result(idle: Idle, took: list[float]) -> Result:
    start = percentile(took, 0.5)
    return Result(
        suite="idle",
        title="A worker with nothing to do",
        subtitle=f"one worker, 8 shards, watched for {idle.seconds:.0f} s; then "
        f"{len(took)} messages, each after a second of rest",
        checks=(
            at_most("commands sent", idle.commands, "/s", COMMANDS),
            at_most("processor", idle.cpu_percent, "% of a core", CPU_PERCENT),
            at_most("starts on a new message, p50", start, "ms", START_MS),
        ),
        facts={
            "inside_scripts_per_s": idle.inside,
            "by_command_per_s": idle.by_command,
            "slowest_start_ms": max(took),
        },
        samples={"idle": idle._asdict(), "start_ms": [round(each, 3) for each in took]},
        panels=(
            Bars(
                "Commands sent to the database",
                "a second",
                (Bar("idle worker", idle.commands),),
                Goal(COMMANDS, f"goal ≤ {COMMANDS:.0f}"),
            ),
            Bars(
                "Processor",
                "% of a core",
                (Bar("idle worker", idle.cpu_percent),),
                Goal(CPU_PERCENT, f"goal ≤ {CPU_PERCENT:.0f}"),
            ),
            Bars(
                "Publish to arrival after a second of rest",
                "ms",
                (Bar("p50, all samples as dots", start, tuple(took)),),
                Goal(START_MS, f"goal ≤ {START_MS:.0f}"),
            ),
        ),
    )
