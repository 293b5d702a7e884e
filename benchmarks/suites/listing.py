"""Any page of any list: 3,000 topics, 12,000 subscriptions, 100 templates, every offset alike.

Each topic has a display name and two tags, which the searches look through; one of them
changes before each search.

Through the API, one request at a time. The commands that a page takes are counted with MONITOR
in requests of their own, since it slows the database. At the end the largest topic is deleted:
the answer must not wait for its 10,000 subscriptions.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.monitor import Counts, monitor
from benchmarks.report import Result, at_most
from benchmarks.service import library, service, subscribe
from benchmarks.stats import percentile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.bench import Bench
    from engine.app import Engine

P99_MS: Final = 20.0
DELETE_MS: Final = 100.0
SPREAD: Final = 2.0
"""Commands by which pages of a list may differ: a timer's may be counted with one of them."""
_PAGE: Final = 100
_COUNTED: Final = 20
_TEAMS: Final = 10
_TOGETHER: Final = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """A list: its path below the project's, the answer's member, how many there are.

    ``asked`` is what the path is asked besides offset and limit; ``searched`` the body of a query
    that is posted. A list ``whole`` has no pages. Before one that ``searches`` something changes.
    """

    name: str
    path: str
    member: str
    total: int
    asked: dict[str, str] = field(default_factory=dict)
    searched: dict[str, object] | None = None
    whole: bool = False

    @property
    def searches(self) -> bool:
        """Whether it looks through all topics."""
        return bool(self.asked or self.searched or self.whole)

    def offsets(self) -> dict[str, int]:
        """Full pages at both ends and between, and one beyond the end."""
        if self.whole:
            return {"all": 0}
        last = max(0, self.total - _PAGE)
        return {"first": 0, "middle": last // 2, "last": last, "beyond": self.total + 1000}


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
    """Measure; about two minutes."""
    topics, large, small, templates = bench.size((3000, 10_000, 2000, 100), (250, 600, 200, 100))
    rounds = bench.size(100, 10)
    async with (
        service(bench.room("service")) as serving,
        ApiClient(serving.credentials) as client,
    ):
        bench.say(f"{topics:,} topics, {large + small:,} subscriptions, {templates} templates")
        async with library(bench.scratch / "service", serving.redis_url) as engine:
            project = serving.credentials.project_id
            urns: list[str] = []
            while len(urns) < topics:
                numbers = range(len(urns), min(topics, len(urns) + _TOGETHER))
                urns += await asyncio.gather(*(_topic(engine, project, n) for n in numbers))
            for urn, count in ((urns[0], large), (urns[1], small)):
                urls = (f"http://127.0.0.1:9/{number}" for number in range(count))
                await subscribe(engine, urn, urls)
        for number in range(templates):
            await client.create_template(f"template-{number}")
        lists = (
            Listed("topics", "notifications/topics", "topics", topics),
            Listed(
                "topics by part of the name",
                "notifications/topics",
                "topics",
                topics,
                asked={"fuzzy_name": "LISTING"},
            ),
            Listed(
                "topics by part of the display name",
                "notifications/topics",
                "topics",
                topics // _TEAMS,
                asked={"fuzzy_display_name": "team-3"},
            ),
            Listed(
                "topics with what is theirs",
                "notifications/topics-with-associated-resources",
                "topics",
                topics,
            ),
            Listed(
                "topics by tag",
                "smn_topic/resource_instances/action",
                "resources",
                topics,
                searched={
                    "action": "filter",
                    "tags": [{"key": "env", "values": ["*d", "none"]}],
                    "not_tags_any": [{"key": "absent", "values": []}],
                    "matches": [{"key": "resource_name", "value": "listing"}],
                },
            ),
            Listed("tags of the project", "smn_topic/tags", "tags", 3, whole=True),
            Listed(
                "a topic's subscriptions",
                f"notifications/topics/{quote(urns[0], safe='')}/subscriptions",
                "subscriptions",
                large,
            ),
            Listed(
                "all subscriptions", "notifications/subscriptions", "subscriptions", large + small
            ),
            Listed("templates", "notifications/message_template", "message_templates", templates),
        )
        change = partial(_change, client, urns)
        turns = [
            await _turn(client, serving.redis_url, listed, where, offset, rounds, change)
            for listed in lists
            for where, offset in listed.offsets().items()
        ]
        begun = time.monotonic()
        await client.delete_topic(urns[0])
        deleted_ms = (time.monotonic() - begun) * 1000
    return _result(turns, deleted_ms, f"{topics:,} topics, {large + small:,} subscriptions")


async def _topic(engine: Engine, project: str, number: int) -> str:
    topic, _ = await engine.topics.create(
        project, f"listing-{number}", display_name=_display_name(number)
    )
    env = "prod" if number % 3 else "dev-d"
    await engine.tags.add(topic, [("env", env), ("team", f"team-{number % _TEAMS}")])
    return topic.urn


def _display_name(number: int) -> str:
    return f"Listing {number} of team-{number % _TEAMS}"


async def _change(client: ApiClient, urns: Sequence[str]) -> None:
    """Change what a topic is called and its tags: whoever has looked has to look again."""
    number = random.randrange(len(urns))
    mark = random.randrange(1000)
    await client.rename_topic(urns[number], f"{_display_name(number)}, {mark}")
    await client.tag_topic(f"listing-{number}", "mark", str(mark))


async def _turn(
    client: ApiClient,
    url: str,
    listed: Listed,
    where: str,
    offset: int,
    rounds: int,
    change: Callable[[], Awaitable[object]],
) -> Turn:
    async def ask() -> float:
        begun = time.monotonic()
        if listed.searched is not None:
            page = {"offset": str(offset), "limit": str(_PAGE)}
            answer = await client.query(listed.path, listed.searched | page)
        else:
            answer = await client.get(listed.path, listed.asked, offset=offset, limit=_PAGE)
        took_ms = (time.monotonic() - begun) * 1000
        items = answer[listed.member]
        if not isinstance(items, list) or len(items) != min(_PAGE, max(0, listed.total - offset)):
            raise RuntimeError(f"{listed.path} at {offset} is not the page that it should be")
        return took_ms

    await change()
    await ask()
    took_ms = []
    for _ in range(rounds):
        if listed.searches:
            # Or there would be nothing new to find.
            await change()
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
        subtitle=f"{world}; {_PAGE} items a page, through the API, one request at a time",
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
