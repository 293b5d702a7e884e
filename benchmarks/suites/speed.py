"""Sustained deliveries a second of one worker, beside a bare aiohttp loop.

One topic with 10,000 ``http`` subscriptions, published through the API of a real ``serve``
process with everything on: durability ``fsync``, signatures, ledger, log. The sink is nginx
on loopback; wrk tells what it could take. Engine and loop alternate in one run; the loop sends
the bytes and headers of one captured delivery through the engine's own client session.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import loop, procs
from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import Feed, each_second, rate, text_of
from benchmarks.report import Result, at_least, at_most
from benchmarks.service import Service, all_settled, library, service, settled, subscribe
from benchmarks.sink import Arrival, Sink, nginx, recorder
from benchmarks.stats import spread
from benchmarks.yardstick import Size

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from engine.app import Engine

RATIO: Final = 0.75
CEILING: Final = 2.0
IN_FLIGHT: Final = (64, 128, 256)
# What the HTTP client adds by itself to every request, or what differs with each connection.
_CLIENTS_OWN: Final = frozenset({"host", "content-length", "user-agent"})


FULL: Final = Size(10_000, rounds=3, engine_s=32, loop_s=10, warm_up_s=4)
QUICK: Final = Size(1_000, rounds=1, engine_s=4, loop_s=1.5, warm_up_s=1)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the engine and of the loop."""

    engine: float
    settled: float
    each_second: list[float]
    cores: dict[str, float]
    """Processor seconds per second of each process while the engine's turn was measured."""
    worker_cpu_us: float
    connections: int
    """What the engine had open to the sink when its turn ended."""
    loops: list[loop.Measured]

    @property
    def best(self) -> loop.Measured:
        """The loop's best width."""
        return max(self.loops, key=lambda each: each.per_second)

    @property
    def ratio(self) -> float:
        """The engine's settled deliveries beside the loop's best."""
        return self.settled / self.best.per_second


async def run(bench: Bench) -> Result:
    """Measure; about four minutes."""
    size = bench.size(FULL, QUICK)
    text = text_of(bench.seed)
    async with (
        nginx(bench.room("sink")) as sink,
        service(bench.room("service")) as serving,
        ApiClient(serving.credentials) as client,
        library(bench.scratch / "service", serving.redis_url) as engine,
    ):
        sample = await _capture(client, engine, text)
        headers = {k: v for k, v in sample.headers.items() if k.lower() not in _CLIENTS_OWN}
        await _same_bytes(headers, sample)
        bench.say(f"nginx's ceiling with one delivery of {len(sample.body)} bytes")
        ceiling = await sink.ceiling(headers, sample.body, bench.size(5, 1))
        topic = await client.create_topic("speed")
        await subscribe(engine, topic, sink.urls(size.subscriptions))
        backlog = 4 * size.subscriptions
        feed = Feed(client.publish, topic, text, sink.count, size.subscriptions, backlog)
        job = loop.Job(
            sink.urls(size.subscriptions),
            headers,
            sample.body.decode(),
            IN_FLIGHT,
            size.loop_warm_up_s,
            size.loop_s,
        )
        rounds = []
        for number in range(size.rounds):
            bench.say(f"round {number + 1} of {size.rounds}: the engine for {size.engine_s:.0f} s")
            rounds.append(await _round(serving, engine, sink, feed, size, job))
            bench.say(_said(rounds[-1]))
        lost = len(feed.published) * size.subscriptions - await settled(engine, topic)
    return _result(rounds, ceiling, lost, size, len(sample.body))


async def _capture(client: ApiClient, engine: Engine, text: str) -> Arrival:
    """One real delivery, as it came over the wire."""
    async with recorder() as kept:
        topic = await client.create_topic("sample")
        await subscribe(engine, topic, kept.urls(1))
        return await kept.first(await client.publish(topic, text))


async def _same_bytes(headers: dict[str, str], sample: Arrival) -> None:
    """Refuse to compare unless the loop's requests are byte for byte the engine's."""
    async with recorder() as kept:
        await loop.run(loop.Job(kept.urls(1), headers, sample.body.decode(), (1,), 0, 0.01))
        sent = kept.arrivals[0]

    def comparable(arrival: Arrival) -> dict[str, str]:
        return {k.lower(): v for k, v in arrival.headers.items() if k.lower() != "host"}

    if comparable(sent) != comparable(sample) or sent.body != sample.body:
        raise RuntimeError(f"the loop sends {comparable(sent)}, not {comparable(sample)}")


async def _round(
    serving: Service, engine: Engine, sink: Sink, feed: Feed, size: Size, job: loop.Job
) -> Round:
    parts = serving.parts()
    await feed.run(size.warm_up_s)
    cpu, before, begun = _cpu(parts), await settled(engine, feed.topic_urn), time.monotonic()
    readings = await feed.run(size.engine_s)
    after, took = await settled(engine, feed.topic_urn), time.monotonic() - begun
    cores = {name: round((used - cpu[name]) / took, 3) for name, used in _cpu(parts).items()}
    connections = await sink.connections()
    await feed.drain(60)
    await all_settled(engine, feed.topic_urn, len(feed.published) * feed.fanout, 30)
    loops = await loop.run(job)
    await feed.rebase()
    reached = rate(readings)
    return Round(
        engine=reached,
        settled=(after - before) / took,
        each_second=each_second(readings),
        cores=cores,
        worker_cpu_us=cores["worker"] / reached * 1e6,
        connections=connections,
        loops=loops,
    )


def _cpu(parts: dict[str, int]) -> dict[str, float]:
    return {name: procs.cpu_seconds(pid) for name, pid in parts.items()}


def _said(turn: Round) -> str:
    best = turn.best
    return (
        f"engine {turn.settled:,.0f}/s settled ({turn.engine:,.0f}/s arrived), loop "
        f"{best.per_second:,.0f}/s with {best.in_flight} in flight: ratio {turn.ratio:.2f}"
    )


def _result(rounds: list[Round], ceiling: float, lost: int, size: Size, body: int) -> Result:
    reached = spread([each.settled for each in rounds])
    ratio = spread([each.ratio for each in rounds])
    best = spread([each.best.per_second for each in rounds])
    fastest = max(reached.high, best.high)
    bars = [
        Bar("engine, settled", reached.median, tuple(each.settled for each in rounds)),
        *(
            _loop_bar(width, [each.loops[place] for each in rounds])
            for place, width in enumerate(IN_FLIGHT)
        ),
    ]
    goal = Goal(RATIO * best.median, f"goal {RATIO} × best loop")
    return Result(
        suite="speed",
        title="Deliveries a second, one worker process",
        subtitle=f"1 topic × {size.subscriptions:,} http subscriptions, fsync, signed, ledger and "
        f"log on; {size.rounds} × {size.engine_s:.0f} s, alternating with the loop",
        checks=(
            at_least("engine ÷ bare loop, median", ratio.median, "", RATIO),
            at_least("sink's ceiling ÷ fastest", ceiling / fastest, "", CEILING),
            at_most("published but not settled", lost, "", 0),
        ),
        facts={
            "settled_per_s": reached._asdict(),
            "arrived_per_s": spread([each.engine for each in rounds])._asdict(),
            "bare_loop_per_s": best._asdict(),
            "ratio": ratio._asdict(),
            "worker_cpu_us_per_delivery": spread([e.worker_cpu_us for e in rounds])._asdict(),
            "loop_cpu_us_per_request": spread([e.best.cpu_us for e in rounds])._asdict(),
            "ratio_by_processor_time": spread(
                [each.best.cpu_us / each.worker_cpu_us for each in rounds]
            )._asdict(),
            "connections": [each.connections for each in rounds],
            "cores_used": rounds[-1].cores,
            "sink_ceiling_per_s": ceiling,
            "body_bytes": body,
        },
        samples={"rounds": [asdict(each) for each in rounds]},
        panels=(
            Bars("Sustained rate, median of the rounds", "deliveries/s", tuple(bars), goal),
            Bars(
                "Engine ÷ bare loop",
                "ratio",
                (Bar("each round", ratio.median, tuple(each.ratio for each in rounds)),),
                Goal(RATIO, f"goal ≥ {RATIO}"),
            ),
        ),
    )


def _loop_bar(width: int, measured: list[loop.Measured]) -> Bar:
    samples = tuple(each.per_second for each in measured)
    return Bar(f"bare loop, {width} in flight", spread(samples).median, samples, colour=1)
