"""Signed publishes through one API process, beside a bare aiohttp handler in the same run.

The bare handler only parses the JSON: what lies between the two is authentication, checks, the
script that stores the message, and its fsync. Both get the same bytes from the same client, in
turn. No worker runs: the topic has one subscription, and its messages wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import procs
from benchmarks.bare_server import bare_server
from benchmarks.chart import Bar, Bars, Goal
from benchmarks.feed import text_of
from benchmarks.replay import Replayed, publishes, replay, written
from benchmarks.report import Result, at_least
from benchmarks.service import api, database, library, new_topic, subscribe
from benchmarks.stats import median

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.client import Credentials

GOAL: Final = 0.35
CONNECTIONS: Final = 64
BODY_BYTES: Final = 1024
_OVERHEAD: Final = len('{"subject": "benchmark", "message": "00000000 "}')


@dataclass(frozen=True, slots=True)
class Size:
    """How long is measured, and how many requests are signed for each round."""

    rounds: int
    warm_up_s: float
    seconds: float
    signed: int


FULL: Final = Size(5, 3, 10, 80_000)
QUICK: Final = Size(1, 1, 3, 30_000)


@dataclass(frozen=True, slots=True)
class Round:
    """What one server did in one round; microseconds of processor time are per request."""

    seen: Replayed
    cpu_us: float
    database_us: float = 0.0


async def run(bench: Bench) -> Result:
    """Measure; about two and a half minutes."""
    size = bench.size(FULL, QUICK)
    room = bench.room("publish")
    text = text_of(bench.seed, BODY_BYTES - _OVERHEAD)
    async with database(room) as server, bare_server() as (bare_url, bare_pid):
        async with library(room, server.url) as engine:
            topic = await new_topic(engine, "publish")
            await subscribe(engine, topic, ["http://127.0.0.1:9/nobody"])
        async with api(room, server.url) as (credentials, api_pid):
            pids = [api_pid, server.pid]
            bare, real = [], []
            for number in range(size.rounds):
                bench.say(f"round {number + 1} of {size.rounds}")
                file = _signed(room, credentials, topic, text, size, number)
                bare.append(await _round(bare_url, file, size, [bare_pid]))
                real.append(await _round(credentials.endpoint, file, size, pids))
    _check(bare + real, real, size)
    return _result(bare, real)


def _signed(
    room: Path, credentials: Credentials, topic: str, text: str, size: Size, number: int
) -> Path:
    made = publishes(credentials, topic, text, size.signed, number * size.signed)
    return written(room / "requests", made)


async def _round(url: str, file: Path, size: Size, pids: list[int]) -> Round:
    await replay(url, file, CONNECTIONS, size.warm_up_s)
    before = [procs.cpu_seconds(pid) for pid in pids]
    seen = await replay(url, file, CONNECTIONS, size.seconds)
    used = [procs.cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    return Round(seen, *(each / max(1, seen.requests) * 1e6 for each in used))


def _check(every: list[Round], real: list[Round], size: Size) -> None:
    wrong = [each.seen for each in every if each.seen.refused or each.seen.failed]
    if wrong:
        raise RuntimeError(f"not every request was accepted: {wrong[0]}")
    if any(each.seen.requests > size.signed for each in real):
        raise RuntimeError("a signature was sent twice in one round: sign more requests")


def _result(bare: list[Round], real: list[Round]) -> Result:
    ratios = [
        mine.seen.per_second / theirs.seen.per_second
        for mine, theirs in zip(real, bare, strict=True)
    ]
    ratio = median(ratios)
    rates = {
        "bare handler": tuple(each.seen.per_second for each in bare),
        "publish": tuple(each.seen.per_second for each in real),
    }
    return Result(
        suite="publish",
        title="Signed publishes through one API process",
        subtitle=f"{BODY_BYTES} B bodies, {CONNECTIONS} connections, every request signed on its "
        "own, durability fsync; beside an aiohttp handler that only parses the JSON",
        checks=(at_least("publishes beside the bare handler, median", ratio, "×", GOAL),),
        facts={
            "publishes_per_second": median(rates["publish"]),
            "bare_handler_per_second": median(rates["bare handler"]),
            "cpu_us_per_publish": {
                "api": median([each.cpu_us for each in real]),
                "database": median([each.database_us for each in real]),
                "bare handler": median([each.cpu_us for each in bare]),
            },
            "publish_p50_ms": median([each.seen.p50_ms for each in real]),
            "publish_p99_ms": median([each.seen.p99_ms for each in real]),
        },
        samples={
            "ratio": [round(each, 4) for each in ratios],
            **{name: [round(one, 1) for one in found] for name, found in rates.items()},
        },
        panels=(
            Bars(
                "Requests answered",
                "per second",
                tuple(
                    Bar(name, median(found), found, colour)
                    for colour, (name, found) in enumerate(rates.items())
                ),
                Goal(GOAL * median(rates["bare handler"]), f"goal {GOAL} × bare"),
            ),
            Bars(
                "Processor time of a request",
                "microseconds",
                (
                    Bar("bare handler", median([each.cpu_us for each in bare])),
                    Bar("publish: API", median([each.cpu_us for each in real]), colour=1),
                    Bar("publish: database", median([each.database_us for each in real]), colour=2),
                ),
            ),
        ),
    )
