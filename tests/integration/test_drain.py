"""A worker that stops in the middle of a decision leaves the delivery to the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.models import Limits, Message, Outcome, Rate, Subscription
from engine.pipeline.settle import Settler
from engine.store.limiter import Limiter
from engine.testing import RecordingAdapter
from tests.engines import all_ended, open_engine, unfinished, working


@pytest.mark.parametrize(
    ("owner", "name", "options"),
    [
        (Limiter, "reserve", {}),
        (Limiter, "grant", {"flow_topic_sms": 10}),
        (Settler, "write_now", {}),
    ],
    ids=["rate", "flow limit", "one by one"],
)
async def test_nothing_is_lost_when_a_worker_is_cut(
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    options: dict[str, Any],
) -> None:
    """Redis hangs while it is asked, the drain ends: the batch goes back and is delivered."""
    adapter = RecordingAdapter("sms", limits=Limits(confirm=False, rates=(Rate(1, 0.08, 0.02),)))
    reached = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with open_engine(redis_url, tmp_path, drain_seconds=0.1, **options) as engine:
        usual = engine.settings
        if owner is Settler:
            # As if the batch had been claimed too often.
            engine.settings = usual.model_copy(update={"max_claims": 0})
        engine.adapters["sms"] = adapter
        topic = await engine.create_topic("cut")
        await engine.subscribe(topic.urn, "sms", "+8613600000001", confirmed=True)
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, hang)
            async with working(engine, "w-1"):
                await engine.publish(topic.urn, "hello")
                await reached.wait()
        assert (await unfinished(engine), len(adapter.sent)) == (1, 0)
        engine.settings = usual
        async with working(engine, "w-2"):
            await all_ended(engine)
        assert len(adapter.sent) == 1


async def test_nobody_is_suspected_because_a_worker_was_cut(redis_url: str, tmp_path: Path) -> None:
    """A seat that is tried alone when the drain ends is not taken for one that kills workers."""
    adapter = Hanging("sms")
    async with open_engine(redis_url, tmp_path, adapters=[adapter], drain_seconds=0.1) as engine:
        # As if the batch had been claimed too often, also when it has been given back.
        engine.settings = engine.settings.model_copy(update={"max_claims": 0})
        topic = await engine.create_topic("cut")
        await engine.subscribe(topic.urn, "sms", "+8613600000001", confirmed=True)
        async with working(engine, "w-1"):
            await engine.publish(topic.urn, "hello")
            await adapter.reached.wait()
        adapter.hangs = False
        async with working(engine, "w-2"):
            await all_ended(engine)
        assert not await engine.dead_letters(topic.urn)
        assert len(adapter.sent) == 1


class Hanging(RecordingAdapter):
    """Takes what it is given and does not answer, for a while."""

    def __init__(self, *protocols: str) -> None:
        super().__init__(*protocols)
        self.hangs = True
        self.reached = asyncio.Event()

    async def send(self, content: Message, prepared: Subscription) -> Outcome:
        """Hang, or deliver."""
        if self.hangs:
            self.reached.set()
            await asyncio.Event().wait()
        return await super().send(content, prepared)
