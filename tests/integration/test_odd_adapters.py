"""Whatever an adapter does, its deliveries end, and so do everybody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.models import End, Rejected, Throttled
from engine.testing import RecordingAdapter
from tests.engines import all_ended, open_engine, working


class Odd(RecordingAdapter):
    """Returns, or raises, what it was made with."""

    def __init__(self, what: Any) -> None:
        super().__init__("odd")
        self._what = what

    async def send(self, content: object, prepared: object) -> Any:
        """Not what the port asks for."""
        del content, prepared
        if isinstance(self._what, BaseException):
            raise self._what
        return self._what


@pytest.mark.parametrize(
    ("what", "end", "reason"),
    [
        (None, End.EXHAUSTED, "the adapter failed"),
        (Throttled(1.5), End.EXHAUSTED, "the adapter failed"),  # type: ignore[arg-type]
        (asyncio.CancelledError(), End.EXHAUSTED, "the adapter failed"),
        (Rejected("what a platform says: \ud800"), End.REJECTED, "what a platform says: ?"),
    ],
)
async def test_nothing_waits_for_an_odd_adapter(
    redis_url: str, tmp_path: Path, what: object, end: End, reason: str
) -> None:
    """Its attempt counts as failed; the worker goes on."""
    async with open_engine(redis_url, tmp_path, adapters=[Odd(what)], drain_seconds=0.5) as engine:
        topic = await engine.create_topic("odd")
        await engine.subscribe(topic.urn, "odd", "somebody", confirmed=True)
        async with working(engine):
            await engine.publish(topic.urn, "hello")
            await all_ended(engine, 10)
        (letter,) = await engine.dead_letters(topic.urn)
        assert (letter.end, letter.reason) == (end, reason)
        assert [line.reason for line in await engine.delivery_log(topic.urn)] == [reason]
