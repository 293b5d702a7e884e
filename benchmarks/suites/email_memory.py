"""Peak memory of a worker that sends mail to 1,000 and to 100,000 subscribers.

As `memory`: a fresh worker for each, so that only the topic's size differs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks import procs
from benchmarks.report import Result
from benchmarks.suites.email import scene
from benchmarks.suites.memory import Peak, result
from benchmarks.wait import until

if TYPE_CHECKING:
    from benchmarks.bench import Bench

WITHIN: Final = 1.2


async def run(bench: Bench) -> Result:
    """Measure; two or three minutes."""
    # (subscribers, messages): enough of the small topic to reach what there is to reach.
    sizes = bench.size(((1_000, 50), (100_000, 1)), ((200, 10), (4_000, 1)))
    peaks = [await _measure(bench, *each) for each in sizes]
    return result(
        peaks,
        suite="email_memory",
        title="Peak memory of a worker that sends mail",
        protocol="email",
        within=WITHIN,
    )


async def _measure(bench: Bench, subscriptions: int, messages: int) -> Peak:
    bench.say(f"{messages} messages to {subscriptions:,} mailboxes")
    async with scene(bench.room(f"mail-{subscriptions}"), subscriptions, bench.seed) as mails:
        pid, begun = mails.serving.worker(), time.monotonic()
        start = procs.resident_kib(pid)
        await mails.feed.arrived()
        for _ in range(messages):
            await mails.feed.publish()
        timeline: list[tuple[float, float]] = []

        async def arrived() -> bool:
            timeline.append((time.monotonic() - begun, procs.resident_kib(pid) / 1024))
            return await mails.feed.arrived() >= messages * subscriptions

        await until(arrived, 600, "all mails to arrive", every_s=0.5)
        peak = procs.peak_kib(pid)
        if mails.serving.worker() != pid:
            raise RuntimeError("the worker was restarted while it was measured")
    return Peak(subscriptions, messages * subscriptions, start / 1024, peak / 1024, tuple(timeline))
