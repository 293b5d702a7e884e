"""Engines and workers for tests, and looking at what they leave in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.app import Engine
from engine.store.connection import Store
from tests.receiver import Receiver
from tests.servers import make_settings

QUICK: dict[str, Any] = {"retry_delays": (0.05, 0.05), "retry_jitter": 0.0}
"""Settings under which a delivery fails for good in a fraction of a second."""


@asynccontextmanager
async def open_engine(
    url: str, data: Path, receiver: Receiver | None = None, **options: Any
) -> AsyncIterator[Engine]:
    """An engine on the Redis at ``url``; with a receiver it opens no sockets to endpoints."""
    settings = make_settings(data, **(QUICK | options))
    async with Engine.open(
        url, settings=settings, transport=receiver, public_url="http://tocsin.test"
    ) as engine:
        yield engine


@asynccontextmanager
async def working(engine: Engine, name: str = "worker-1") -> AsyncIterator[asyncio.Event]:
    """A worker that runs in here; the event stops it earlier. What it raises is raised here."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(engine.run_worker(stop, name=name, on_ready=lambda _: ready.set()))
    started = asyncio.create_task(ready.wait())
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield stop
    finally:
        started.cancel()
        stop.set()
        await task


async def eventually(condition: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Wait until the condition, a function or coroutine function, holds; its result."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.005)


async def unfinished(engine: Engine) -> int:
    """Messages that have not ended in any shard."""
    total = 0
    for shard in range(engine.keys.shards):
        gauge = await engine.store.call("HGET", engine.keys.gauges(shard), "messages")
        total += int(gauge or 0)
    return total


async def all_ended(engine: Engine, seconds: float = 15) -> None:
    """Wait until no message is under way."""

    async def ended() -> bool:
        return await unfinished(engine) == 0

    await eventually(ended, "every message has ended", seconds)


async def names_of_keys(store: Store) -> set[str]:
    """Every key on every master."""
    return {name.decode() for _, found in await store.each_master(("KEYS", "*")) for name in found}


async def keys_about(engine: Engine, identifier: str) -> set[str]:
    """Keys that name a topic or message, but for counters, which live on their own."""
    names = await names_of_keys(engine.store)
    return {name for name in names if identifier in name and ":counts:" not in name}


async def snapshot(store: Store) -> dict[str, Any]:
    """Everything that is stored, without what merely looking at a stream changes."""
    found: dict[str, Any] = {}
    for name in await names_of_keys(store):
        kind = await store.call("TYPE", name)
        if kind == b"stream":
            groups = await store.call("XINFO", "GROUPS", name, key=name)
            pending = [
                (entry[0], entry[1], entry[3])
                for group in groups
                for entry in await store.call("XPENDING", name, group[1], "-", "+", 1000)
            ]
            found[name] = (await store.call("XRANGE", name, "-", "+"), pending)
        elif kind == b"hash":
            flat = await store.call("HGETALL", name)
            found[name] = dict(zip(flat[::2], flat[1::2], strict=True))
        else:
            found[name] = await store.call("DUMP", name)
    return found


def same_shard_names(engine: Engine, project_id: str, count: int) -> list[str]:
    """Names of topics that end up in one shard."""
    by_shard: dict[int, list[str]] = {}
    for number in range(count * engine.keys.shards + 1):
        name = f"topic-{number}"
        found = by_shard.setdefault(engine.keys.shard_of_name(project_id, name), [])
        found.append(name)
        if len(found) == count:
            return found
    raise AssertionError("the pigeonhole principle does not hold")
