"""Engines and workers for tests, and looking at what they leave in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from engine.app import Engine
from engine.pipeline.batch import Batch, Delivery, Flush, Taken
from engine.pipeline.intake import Intake
from engine.pipeline.pages import Pages
from engine.pipeline.settle import Settler
from engine.ports import Adapter, Transport
from engine.signing import make_certificate
from engine.store.connection import Store
from engine.store.keys import GROUP
from tests.servers import make_settings

_made_once = cache(make_certificate)
"""Making a key pair takes longer than most tests."""

QUICK: dict[str, Any] = {"retry_delays": (0.05, 0.05), "retry_jitter": 0.0}
"""Settings under which a delivery fails for good in a fraction of a second."""


@asynccontextmanager
async def open_engine(
    url: str,
    data: Path,
    transport: Transport | None = None,
    adapters: Iterable[Adapter[Any, Any]] = (),
    tables: Mapping[str, dict[str, Any]] | None = None,
    **options: Any,
) -> AsyncIterator[Engine]:
    """An engine on the Redis at ``url``; with a transport it opens no sockets to endpoints.

    ``adapters`` are there beside the installed ones, and instead of those of their protocols;
    ``tables`` are the installed ones' settings, as in the file.
    """
    settings = make_settings(data, adapters=dict(tables or {}), **(QUICK | options))
    opening = Engine.open(
        url,
        settings=settings,
        transport=transport,
        public_url="http://tocsin.test",
        adapters=tuple(adapters),
    )
    async with AsyncExitStack() as stack:
        with patch("engine.store.dataset.make_certificate", _made_once):
            engine = await stack.enter_async_context(opening)
        yield engine


@asynccontextmanager
async def working(engine: Engine, name: str = "worker-1") -> AsyncIterator[asyncio.Event]:
    """A worker that runs in here; the event stops it earlier. What it raises is raised here."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(engine.run_worker(stop, name=name, on_ready=lambda _: ready.set()))
    started = asyncio.create_task(ready.wait())
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if task.done():
        await task  # it has failed
    try:
        yield stop
    finally:
        stop.set()
        await task


async def eventually(
    condition: Callable[[], Any], what: str, seconds: float = 60, *, pause: float = 0.005
) -> Any:
    """Wait until the condition, a function or coroutine function, holds; its result.

    ``pause`` is how long to wait between two looks; in virtual time each is a jump.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(pause)


async def unfinished(engine: Engine) -> int:
    """Messages that have not ended in any shard."""
    total = 0
    for shard in range(engine.keys.shards):
        gauge = await engine.store.call("HGET", engine.keys.gauges(shard), "messages")
        total += int(gauge or 0)
    return total


async def all_ended(engine: Engine, seconds: float = 60, *, pause: float = 0.005) -> None:
    """Wait until no message is under way."""

    async def ended() -> bool:
        return await unfinished(engine) == 0

    await eventually(ended, "every message has ended", seconds, pause=pause)


async def names_of_keys(store: Store) -> set[str]:
    """Every key on every master."""
    return {name.decode() for _, found in await store.each_master(("KEYS", "*")) for name in found}


async def keys_about(engine: Engine, identifier: str) -> set[str]:
    """Keys that name a topic or message, but for counters, which live on their own."""
    names = await names_of_keys(engine.store)
    return {name for name in names if identifier in name and ":counts:" not in name}


async def snapshot(store: Store) -> dict[str, Any]:
    """Everything that is stored, without what merely looking at a stream changes.

    The audit is left out: it notes refused requests, too.
    """
    found: dict[str, Any] = {}
    for name in await names_of_keys(store):
        if name.endswith(":audit"):
            continue
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


class Hands:
    """What a worker does with the batches of one shard, a step at a time."""

    def __init__(self, engine: Engine, shard: int, name: str) -> None:
        self._engine = engine
        self._shard = shard
        self.name = name
        self.intake = Intake(
            shard,
            engine.store,
            engine.keys,
            engine.settings,
            name,
            engine.adapters,
            Pages(engine.roster),
            engine.keyring,
        )
        self.settler = Settler(
            shard,
            engine.store,
            engine.keys,
            engine.settings,
            name,
            engine.faults,
            lambda _flush, _written: None,
        )

    async def take(self, protocol: str = "http") -> list[Batch]:
        """Read what is new in a lane."""
        await self.intake.ensure_groups()
        lane = self._engine.keys.lane(self._shard, protocol)
        reply = await self._engine.store.call(
            *("XREADGROUP", "GROUP", GROUP, self.name, "COUNT", 100, "STREAMS", lane, ">"),
            key=lane,
        )
        batches, _ = await self.intake.load(
            [
                Taken.of(protocol, entry_id, fields)
                for _, entries in reply or ()
                for entry_id, fields in entries
            ]
        )
        return batches

    async def claim(self, protocol: str = "http") -> list[Batch]:
        """Take over what has passed its lease, once there is something."""
        taken = await eventually(
            lambda: self.intake.claim([protocol]),
            "a lease passes",
            self._engine.settings.lease_seconds + 5,
        )
        batches, _ = await self.intake.load(taken)
        return batches

    async def write(self, flush: Flush) -> bool:
        """Run the settle script once for one flush; whether the batch was still held."""
        (written,) = await self.settler._write([flush])
        return bool(written)

    def deliver(self, batch: Batch) -> None:
        """Call every seat that is owed the message delivered."""
        for seat, entry in batch.page.entries.items():
            if entry.open and entry.first <= batch.sequence and not batch.row.ended >> seat & 1:
                delivery = Delivery(batch, seat, entry, 0)
                delivery.started_ms = self._engine.clock.now_ms()
                batch.delivered(delivery, 200, 1)
