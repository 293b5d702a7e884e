"""Commands that clients send to the database for each message to 10,000 subscriptions.

Counted with MONITOR, which marks what runs inside scripts; the API's, the worker's and the
timers' commands all count. Once with one message at a time, once with a backlog.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import Feed, text_of
from benchmarks.monitor import Counts, monitor
from benchmarks.report import Result, at_most
from benchmarks.service import library, service, subscribe
from benchmarks.sink import nginx
from benchmarks.wait import until

if TYPE_CHECKING:
    from benchmarks.bench import Bench

GOAL: Final = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """Commands for each message of one way of publishing."""

    name: str
    messages: int
    sent: float
    inside: float
    by_command: dict[str, float]


async def run(bench: Bench) -> Result:
    """Measure; about a minute."""
    messages, subscriptions = bench.size((10, 10_000), (2, 1_000))
    async with (
        nginx(bench.room("sink")) as sink,
        service(bench.room("service")) as serving,
        ApiClient(serving.credentials) as client,
    ):
        topic = await client.create_topic("commands")
        # Closed again before anything is counted: its own timers would count.
        async with library(bench.scratch / "service", serving.redis_url) as engine:
            await subscribe(engine, topic, sink.urls(subscriptions))
        feed = Feed(
            client.publish, topic, text_of(bench.seed), sink.count, subscriptions, subscriptions
        )
        await feed.arrived()
        async with monitor(serving.redis_url) as counts:
            await _one(feed)  # the first finds caches cold
            await _rest(counts)
            turns = []
            for name, together in (("one at a time", 1), ("a backlog", messages)):
                bench.say(f"{messages} messages, {name}")
                turns.append(await _turn(name, feed, counts, messages, together))
    return _result(turns, subscriptions)


async def _turn(name: str, feed: Feed, counts: Counts, messages: int, together: int) -> Turn:
    counts.reset()
    for _ in range(messages // together):
        for _ in range(together):
            await feed.publish()
        await feed.drain(120)
    await _rest(counts)
    return Turn(
        name,
        messages,
        counts.sent.total() / messages,
        counts.inside.total() / messages,
        {key: round(n / messages, 2) for key, n in Counter(counts.sent).most_common()},
    )


async def _one(feed: Feed) -> None:
    await feed.publish()
    await feed.drain(60)


async def _rest(counts: Counts) -> None:
    """Wait until what follows the last delivery is written: nothing but timers for a second."""
    before = -1

    async def quiet() -> bool:
        nonlocal before
        now = counts.sent.total()
        still, before = now - before <= 10 and before >= 0, now
        return still

    await until(quiet, 60, "the database to come to rest", every_s=1.0)


def _result(turns: list[Turn], subscriptions: int) -> Result:
    worst = max(each.sent for each in turns)
    return Result(
        suite="commands",
        title="Database commands for each message",
        subtitle=f"1 topic × {subscriptions:,} http subscriptions; API, worker and timers "
        "together, counted with MONITOR",
        checks=(at_most("commands sent by clients, worst", worst, "", GOAL),),
        facts={
            **{f"sent_{each.name.replace(' ', '_')}": each.sent for each in turns},
            **{f"inside_scripts_{each.name.replace(' ', '_')}": each.inside for each in turns},
            "by_command_in_a_backlog": turns[-1].by_command,
        },
        samples={
            each.name: {
                "messages": each.messages,
                "sent": each.sent,
                "inside_scripts": each.inside,
                "by_command": each.by_command,
            }
            for each in turns
        },
        panels=(
            Bars(
                "Sent by clients",
                "commands for each message",
                tuple(Bar(each.name, each.sent) for each in turns),
                Goal(GOAL, f"goal ≤ {GOAL}"),
            ),
            Bars(
                "Run inside scripts",
                "commands for each message",
                tuple(Bar(each.name, each.inside, colour=1) for each in turns),
            ),
        ),
    )
