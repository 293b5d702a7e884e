"""Peak memory of a worker that sends mail to 1,000 and to 100,000 subscribers.

As `memory`: a fresh worker for each, so that only the topic's size differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.report import Result
from benchmarks.suites.email import scene
from benchmarks.suites.memory import Peak, peak, result

if TYPE_CHECKING:
    from benchmarks.bench import Bench

WITHIN: Final = 1.1


async def run(bench: Bench) -> Result:
    """Measure; two or three minutes."""
    # (subscribers, messages): enough of the small topic to reach what there is to reach.
    sizes = bench.size(((1_000, 50), (100_000, 2)), ((200, 10), (4_000, 2)))
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
        return await peak(mails.serving, mails.feed, messages)
