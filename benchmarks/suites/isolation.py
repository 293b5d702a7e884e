"""A fifth of the endpoints accept and never answer: what do the healthy ones notice?

Three runs, repeated: only the healthy endpoints; with the hung ones on 2,000 ports; with all
of them on one port. Each has some seconds to learn its endpoints before it counts; a run is
compared with the one of only healthy endpoints in the same round, since machines change their
speed. Healthy arrivals are read from nginx's own log: the time at which the endpoint had its
message.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import Feed, rate, text_of
from benchmarks.report import Check, Result, at_least, at_most
from benchmarks.service import library, service, subscribe
from benchmarks.sink import Sink, nginx, silent
from benchmarks.stats import median, percentile
from benchmarks.wait import until

if TYPE_CHECKING:
    from benchmarks.bench import Bench

KEPT: Final = 0.9
SLOWER: Final = 2.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    healthy: int
    hung: int
    rounds: int
    warm_up_s: float
    seconds: float


FULL: Final = Size(8_000, 2_000, rounds=4, warm_up_s=15, seconds=20)
QUICK: Final = Size(400, 100, rounds=1, warm_up_s=1, seconds=3)


@dataclass(frozen=True, slots=True)
class Run:
    """What the healthy endpoints saw in one run."""

    cold_per_second: float
    """While nothing was known of any endpoint yet; not part of the goal."""
    per_second: float
    p50_ms: float
    p99_ms: float
    deliveries: int
    hung_attempts: int


async def run(bench: Bench) -> Result:
    """Measure; about nine minutes."""
    size = bench.size(FULL, QUICK)
    ways = {
        "only healthy": 0,
        f"hung on {size.hung:,} ports": size.hung,
        "hung on one port": 1,
    }
    found: dict[str, list[Run]] = {way: [] for way in ways}
    for number in range(size.rounds):
        for way, ports in ways.items():
            bench.say(f"round {number + 1} of {size.rounds}: {way}")
            one = await _measure(bench, size, ports, f"isolation-{number}-{ports}")
            bench.say(f"{one.per_second:,.0f}/s, p99 {one.p99_ms:,.0f} ms")
            found[way].append(one)
    return _result(found, size)


async def _measure(bench: Bench, size: Size, ports: int, name: str) -> Run:
    room = bench.room(name)
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(nginx(room / "sink", log_arrivals=True))
        hung = await stack.enter_async_context(silent(ports, size.hung)) if ports else None
        serving = await stack.enter_async_context(service(room))
        client = await stack.enter_async_context(ApiClient(serving.credentials))
        topic = await client.create_topic("isolation")
        async with library(room, serving.redis_url) as engine:
            await subscribe(engine, topic, _mixed(sink, size, hung.urls if hung else []))
        feed = Feed(
            client.publish, topic, text_of(bench.seed), sink.count, size.healthy, 2 * size.healthy
        )
        cold = await feed.run(size.warm_up_s)
        early = set(feed.published)
        readings = await feed.run(size.seconds)
        await feed.drain(60)
        waits = await _waits(sink, feed, early, size)
        return Run(
            rate(cold),
            rate(readings),
            percentile(waits, 0.5),
            percentile(waits, 0.99),
            len(waits),
            hung.attempts if hung else 0,
        )


def _mixed(sink: Sink, size: Size, hung: list[str]) -> list[str]:
    """Every fifth endpoint is a hung one, so that pages hold both kinds."""
    healthy = sink.urls(size.healthy)
    if not hung:
        return healthy
    step = size.healthy // size.hung
    mixed: list[str] = []
    for place, url in enumerate(hung):
        mixed += [*healthy[place * step : (place + 1) * step], url]
    return mixed + healthy[len(hung) * step :]


async def _waits(sink: Sink, feed: Feed, early: set[str], size: Size) -> list[float]:
    """Milliseconds from publish to arrival, of the messages published while measuring."""

    async def flushed() -> bool:
        return len(sink.arrivals()) >= len(feed.published) * size.healthy

    await until(flushed, 30, "nginx to write its log", every_s=0.5)
    return [
        (at - feed.published[message_id]) * 1000
        for at, message_id in sink.arrivals()
        if message_id in feed.published and message_id not in early
    ]


def _result(found: dict[str, list[Run]], size: Size) -> Result:
    rates = {way: median([each.per_second for each in runs]) for way, runs in found.items()}
    p99s = {way: median([each.p99_ms for each in runs]) for way, runs in found.items()}
    alone, *hung = found
    checks: list[Check] = []
    for way in hung:
        rounds = list(zip(found[way], found[alone], strict=True))
        kept = median([one.per_second / other.per_second for one, other in rounds])
        slower = median([one.p99_ms / other.p99_ms for one, other in rounds])
        checks += [
            at_least(f"throughput beside alone, {way}", kept, "×", KEPT),
            at_most(f"p99 beside alone, {way}", slower, "×", SLOWER),
        ]
    return Result(
        suite="isolation",
        title="Healthy endpoints beside hung ones",
        subtitle=f"{size.healthy:,} healthy endpoints and {size.hung:,} that accept and never "
        f"answer; {size.rounds} × {size.seconds:.0f} s each, a backlog of two messages",
        checks=tuple(checks),
        facts={
            **{f"{way}, per s": value for way, value in rates.items()},
            **{f"{way}, p99 ms": value for way, value in p99s.items()},
            **{
                f"{way}, per s at first": median([each.cold_per_second for each in runs])
                for way, runs in found.items()
            },
            **{
                f"{way}, attempts at hung endpoints": [each.hung_attempts for each in found[way]]
                for way in hung
            },
        },
        samples={way: [asdict(each) for each in runs] for way, runs in found.items()},
        panels=(
            _panel(
                found,
                "per_second",
                "Healthy deliveries",
                "a second",
                Goal(rates[alone] * KEPT, f"goal ≥ {KEPT} × alone"),
            ),
            _panel(
                found,
                "p99_ms",
                "Publish to arrival, p99 of healthy deliveries",
                "ms",
                Goal(p99s[alone] * SLOWER, f"goal ≤ {SLOWER:.0f} × alone"),
            ),
        ),
    )


def _panel(found: dict[str, list[Run]], field: str, title: str, unit: str, goal: Goal) -> Bars:
    bars = []
    for place, (way, runs) in enumerate(found.items()):
        values = tuple(float(getattr(each, field)) for each in runs)
        bars.append(Bar(way, median(values), values, colour=1 if place == 0 else 0))
    return Bars(title, unit, tuple(bars), goal)
