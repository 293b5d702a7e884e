"""Any page of any list: 3,000 topics, 12,000 subscriptions, 100 templates, every offset alike.

One topic has 10,000 of the subscriptions, most others have one each. Each topic has a display
name and two tags, each subscription a remark; beside them there are users of the account, and
applications, one of them with many endpoints. Before each search something of what it looks
through has changed.

Through the API, one request at a time. The commands that a page takes are counted with MONITOR
in requests of their own, since it slows the database. At the end the largest topic is deleted:
the answer must not wait for its 10,000 subscriptions.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.lists import PAGE, Sizes, World
from benchmarks.monitor import Counts, monitor
from benchmarks.report import Result, at_most
from benchmarks.service import library, service
from benchmarks.stats import percentile

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.lists import Listed

P99_MS: Final = 20.0
DELETE_MS: Final = 100.0
SPREAD: Final = 16.0
"""Commands by which pages of a list may differ: what is on a page lies in one shard or in all
eight, and a shard is asked at most twice where that is."""
_COUNTED: Final = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """What one offset of one list took."""

    listed: str
    where: str
    offset: int
    took_ms: list[float]
    commands: float

    @property
    def label(self) -> str:
        """For a person."""
        return f"{self.listed}, {self.where} ({self.offset:,})"


async def run(bench: Bench) -> Result:
    """Measure; about five minutes."""
    sizes = bench.size(
        Sizes(3000, 10_000, 2000, 100, 1000, 100, 10_000), Sizes(250, 600, 200, 100, 200, 100, 300)
    )
    rounds = bench.size(100, 10)
    async with (
        service(bench.room("service"), push_enabled="true") as serving,
        ApiClient(serving.credentials) as client,
        library(bench.scratch / "service", serving.redis_url) as engine,
    ):
        described = f"{sizes.topics:,} topics, {sizes.large + sizes.small:,} subscriptions"
        bench.say(f"{described}, {sizes.templates} templates, {sizes.users:,} users and more")
        account = await engine.accounts.bootstrap()
        world = World(engine, client, account.project_id, account.domain_id, sizes)
        await world.fill()
        turns = [
            await _turn(client, serving.redis_url, listed, where, offset, rounds)
            for listed in world.lists()
            for where, offset in listed.offsets().items()
        ]
        begun = time.monotonic()
        await client.delete_topic(world.topics[0])
        deleted_ms = (time.monotonic() - begun) * 1000
    return _result(turns, deleted_ms, described)


async def _turn(
    client: ApiClient, url: str, listed: Listed, where: str, offset: int, rounds: int
) -> Turn:
    async def ask() -> float:
        begun = time.monotonic()
        if listed.searched is not None:
            page = {"offset": str(offset), "limit": str(PAGE)}
            answer = await client.query(listed.path, listed.searched | page)
        else:
            answer = await client.get(listed.path, listed.asked, offset=offset, limit=PAGE)
        took_ms = (time.monotonic() - begun) * 1000
        items = answer[listed.member]
        if not isinstance(items, list) or len(items) != min(PAGE, max(0, listed.total - offset)):
            raise RuntimeError(f"{listed.name} at {offset} is not the page that it should be")
        return took_ms

    await ask()
    took_ms = []
    for _ in range(rounds):
        if listed.change is not None:
            # Or there would be nothing new to find.
            await listed.change()
        took_ms.append(await ask())
    async with monitor(url) as counts:
        await ask()
        await _still(counts)
        counts.reset()
        for _ in range(_COUNTED):
            await ask()
        await _still(counts)
        commands = counts.sent.total() / _COUNTED
    return Turn(listed.name, where, offset, took_ms, commands)


async def _still(counts: Counts) -> None:
    """Wait until what was sent has also been seen."""
    seen = -1
    while seen != counts.sent.total():
        seen = counts.sent.total()
        await asyncio.sleep(0.05)


def _result(turns: list[Turn], deleted_ms: float, world: str) -> Result:
    p99 = {turn.label: percentile(turn.took_ms, 0.99) for turn in turns}
    full = [turn for turn in turns if turn.where != "beyond"]
    spreads = {
        name: max(part) - min(part)
        for name in {turn.listed for turn in full}
        if (part := [turn.commands for turn in full if turn.listed == name])
    }
    return Result(
        suite="listing",
        title="A page of a list, at every offset",
        subtitle=f"{world}; {PAGE} items a page, through the API, one request at a time",
        checks=(
            at_most("p99 of the slowest page", max(p99.values()), "ms", P99_MS),
            at_most("commands, by offset", max(spreads.values()), "more", SPREAD),
            at_most("deleting the largest topic", deleted_ms, "ms", DELETE_MS),
        ),
        facts={
            "p99_ms": {label: round(value, 2) for label, value in p99.items()},
            "p50_ms": {turn.label: round(percentile(turn.took_ms, 0.5), 2) for turn in turns},
            "commands": {turn.label: round(turn.commands, 2) for turn in turns},
        },
        samples={turn.label: [round(each, 3) for each in turn.took_ms] for turn in turns},
        panels=(
            Bars(
                "The slowest of a hundred",
                "ms, p99",
                tuple(Bar(turn.label, p99[turn.label]) for turn in turns),
                Goal(P99_MS, f"goal ≤ {P99_MS:.0f} ms"),
            ),
            Bars(
                "Sent to the database",
                "commands a page",
                tuple(Bar(turn.label, turn.commands, colour=1) for turn in turns),
            ),
        ),
    )
