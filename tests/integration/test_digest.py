"""What has to wait for a protocol's rate shares the next turn, if its adapter merges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.app import Engine
from engine.models import (
    Delivered,
    End,
    Limits,
    Message,
    Outcome,
    Rate,
    Rejected,
    Retry,
    Subscription,
)
from engine.pipeline.digest import merged
from engine.testing import RecordingAdapter
from tests.engines import all_ended, eventually, open_engine, working
from tests.virtual_time import virtually

ONE_SHARD: dict[str, Any] = {"shards": 1}
PAUSE_S = 5.0
FEW = 20
"""Messages that a hundred become, however slowly a busy machine reads them again."""
TEXTS = [f"number {number}" for number in range(100)]


class Merging(RecordingAdapter):
    """Makes one message of several: their texts, a line each."""

    def __init__(self, max_bytes: int = 20_000, count: int = 20) -> None:
        limits = Limits(
            confirm=False, rates=(Rate(count, 60, 5),), digest=True, max_bytes=max_bytes
        )
        super().__init__("bot", limits=limits)
        self.answers: list[Outcome] = []
        self.hangs = False
        self.at: list[float] = []
        self.texts: list[str] = []

    def merge(self, contents: Sequence[Message]) -> Message:
        """Join them."""
        lines = [content.text("bot") for content in contents]
        return contents[0]._replace(content={"default": "\n".join(lines)})

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Note the text."""
        self.at.append(asyncio.get_running_loop().time())
        self.texts.append(content.text("bot"))
        if self.hangs:
            await asyncio.Event().wait()
        return self.answers.pop(0) if self.answers else Delivered()

    @property
    def lines(self) -> list[str]:
        """Everything that was said, in order."""
        return "\n".join(self.texts).split("\n")


@asynccontextmanager
async def merging(
    url: str, data: Path, adapter: Merging, **options: Any
) -> AsyncIterator[tuple[Engine, str]]:
    """An engine, and the URN of a topic with one group."""
    async with open_engine(url, data, adapters=[adapter], **(ONE_SHARD | options)) as engine:
        topic = await engine.create_topic("merged")
        await engine.subscribe(topic.urn, "bot", "group", confirmed=True)
        yield engine, topic.urn


async def _publish(engine: Engine, urn: str, texts: Sequence[str] = TEXTS) -> None:
    for text in texts:
        await engine.publish(urn, text)


def test_a_burst_becomes_few_messages(redis_url: str, tmp_path: Path) -> None:
    """All is said once, in order within each; every message is a delivery in log and ledger."""
    adapter = Merging(count=1)

    async def scene() -> None:
        async with merging(redis_url, tmp_path, adapter) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, ["before"])
                await eventually(lambda: adapter.texts, "the first", pause=0.1)
                await _publish(engine, urn)
                await all_ended(engine, pause=PAUSE_S)
            lines = await engine.delivery_log(urn, limit=200)
        assert [(line.status, len(line.attempts)) for line in lines] == [("DELIVERED", 1)] * 101

    virtually(scene)
    assert sorted(adapter.lines) == sorted(["before", *TEXTS])
    assert len(adapter.texts) <= FEW
    assert all(later - earlier >= 60 for earlier, later in pairwise(adapter.at))
    for text in adapter.texts:
        assert text.split("\n") == sorted(text.split("\n"), key=["before", *TEXTS].index)


def test_what_does_not_fit_waits_for_the_next_turn(redis_url: str, tmp_path: Path) -> None:
    """No message is above the bound, and none is lost."""
    adapter = Merging(count=1, max_bytes=300)

    async def scene() -> None:
        async with merging(redis_url, tmp_path, adapter) as (engine, urn), working(engine):
            await _publish(engine, urn)
            await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert sorted(adapter.lines) == sorted(TEXTS)
    assert max(len(text) for text in adapter.texts) <= 300
    assert all(later - earlier >= 60 for earlier, later in pairwise(adapter.at))


def test_workers_share_the_turns_of_digests(redis_url: str, tmp_path: Path) -> None:
    """What two of them gather goes in two turns, not in one twice."""
    adapter = Merging(count=1)

    async def scene() -> None:
        async with (
            merging(redis_url, tmp_path, adapter) as (engine, urn),
            working(engine, "w-1"),
            working(engine, "w-2"),
        ):
            await _publish(engine, urn)
            await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert sorted(adapter.lines) == sorted(TEXTS)
    assert all(later - earlier >= 60 for earlier, later in pairwise(adapter.at))


@pytest.mark.parametrize(
    ("answers", "ends", "attempts"),
    [([Rejected("no")], [End.REJECTED] * 10, 1), ([Retry("busy")], [], 2)],
    ids=["rejected", "another try"],
)
def test_what_came_of_it_came_of_each(
    redis_url: str, tmp_path: Path, answers: list[Outcome], ends: list[End], attempts: int
) -> None:
    """One outcome ends, or brings back, all that shared the message."""
    adapter = Merging()
    adapter.answers = list(answers)

    async def scene() -> None:
        async with merging(redis_url, tmp_path, adapter) as (engine, urn):
            async with working(engine):
                await _publish(engine, urn, TEXTS[:10])
                await all_ended(engine, pause=PAUSE_S)
            assert [letter.end for letter in await engine.dead_letters(urn)] == ends
            lines = await engine.delivery_log(urn, limit=200)
        assert {len(line.attempts) for line in lines} == {attempts}

    virtually(scene)
    assert len(adapter.texts) == attempts


def test_a_worker_that_is_cut_loses_nothing(redis_url: str, tmp_path: Path) -> None:
    """What it was sending, and what it had gathered, is sent by the next one."""
    adapter = Merging()

    async def scene() -> None:
        async with merging(redis_url, tmp_path, adapter, drain_seconds=0.1) as (engine, urn):
            adapter.hangs = True
            async with working(engine, "w-1"):
                await _publish(engine, urn, TEXTS[:10])
                await eventually(lambda: adapter.texts, "it is under way", pause=0.1)
                await _publish(engine, urn, TEXTS[10:])
            adapter.hangs = False
            adapter.texts.clear()
            async with working(engine, "w-2"):
                await all_ended(engine, pause=PAUSE_S)

    virtually(scene)
    assert sorted(adapter.lines) == sorted(TEXTS)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 200))
def test_as_many_are_merged_as_fit(lengths: list[int], most: int) -> None:
    """One more would be too large; the first goes in any case."""
    adapter: Any = Merging(max_bytes=most)
    message = Message("", "", "", "", None, {}, 0, 0)  # type: ignore[arg-type]
    contents = [message._replace(content={"default": "x" * length}) for length in lengths]
    content, count = merged(adapter, contents)
    assert count >= 1
    assert content.text("bot") == "\n".join("x" * length for length in lengths[:count])
    if count > 1:
        assert adapter.size(content) <= most
    if count < len(contents):
        assert adapter.size(adapter.merge(contents[: count + 1])) > most
