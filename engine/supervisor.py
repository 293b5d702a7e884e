"""``tocsin serve``: a database, an API and workers as one service.

    serve ── embedded database       restarted with back-off when they die; all die with this
          ├─ api (listening socket   process; at a stop the API takes nothing new, then workers,
          │       is held here)      API and database end, each asked first, then cut
          └─ worker × N

The listening socket belongs to this process: while a dead API is replaced, connections wait
in its queue instead of being refused, and the port stays the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from engine.children import Backoff, Child, Command
from engine.data_lock import DataLock
from engine.embedded import EmbeddedServer
from engine.errors import ConfigurationError, TocsinError
from engine.settings import INHERITED, Settings

_GRACE: Final = 5.0
"""Seconds beyond the drain in which workers give back what they hold before they are cut."""

_log = logging.getLogger(__name__)


def environment(settings: Settings) -> Mapping[str, str]:
    """This process's environment, changed so that a child reads exactly these settings."""
    return {**os.environ, INHERITED: settings.model_dump_json()}


class Database:
    """Where the data is: an embedded server that is kept alive, or one that others run.

    Either way the data directory is locked, because credentials and master key live there.
    """

    def __init__(self, url: str, server: EmbeddedServer | None) -> None:
        self.url = url
        self._server = server

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Database]:
        """Raises `ConfigurationError` where the directory or the server cannot be had."""
        lock = await asyncio.to_thread(DataLock.acquire, settings.data)
        try:
            if settings.redis:
                yield cls(settings.redis, None)
                return
            server = await EmbeddedServer.start(settings.data, settings, lock=lock)
            try:
                yield cls(server.url, server)
            finally:
                await server.stop()
        finally:
            lock.release()

    async def keep(self) -> None:
        """Start an embedded server again whenever it dies; ends only by cancellation."""
        server = self._server
        if server is None:
            return
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        while True:
            started = loop.time()
            await server.process_died.wait()
            running = False
            while not running:
                wait = backoff.delay(loop.time() - started)
                about = {"child": "database", "restart_in": wait, "see": server.log}
                _log.warning("child.died", extra=about)
                await asyncio.sleep(wait)
                started = loop.time()
                running = await _restarted(server)


async def _restarted(server: EmbeddedServer) -> bool:
    try:
        await server.restart()
    except TocsinError:
        _log.exception("database.unstarted")
        return False
    _log.info("child.ready", extra={"child": "database", "pid": server.pid})
    return True


async def supervise(
    settings: Settings,
    listener: int,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    beside: Sequence[Callable[[], Awaitable[None]]] = (),
) -> None:
    """Keep an API on the listening descriptor and ``settings.workers`` workers until ``stop``.

    ``on_ready`` is called once, when the API and a worker serve; what is ``beside`` them (the
    database's keeper) runs until they have ended. Raises `ConfigurationError` if a child
    refuses its settings.
    """
    if stop.is_set():
        return
    variables = environment(settings)
    descriptor = ("--listen-fd", str(listener))
    api = Child(Command("api", _program("api", *descriptor), variables, (listener,)))
    workers = [
        Child(Command(f"worker-{number}", _program("worker"), variables))
        for number in range(1, settings.workers + 1)
    ]
    async with asyncio.TaskGroup() as group:
        extra = [group.create_task(_run(task)) for task in beside]
        extra.append(group.create_task(_wait_ready(api, workers, on_ready)))
        for child in (api, *workers):
            group.create_task(_keep(child, stop))
        await stop.wait()
        _log.info("service.stopping", extra={"drain_seconds": settings.drain_seconds})
        await _stop(api, workers, settings.drain_seconds + _GRACE)
        for task in extra:
            task.cancel()
    if refused := [child.name for child in (api, *workers) if child.refused]:
        raise ConfigurationError(f"{refused[0]} refused its configuration; see its message above.")


def _program(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "engine", *arguments, "--parent", str(os.getpid()))


async def _run(task: Callable[[], Awaitable[None]]) -> None:
    await task()


async def _keep(child: Child, stop: asyncio.Event) -> None:
    await child.keep()
    stop.set()  # where nobody asked for it, the child has refused its configuration


async def _wait_ready(api: Child, workers: Sequence[Child], on_ready: Callable[[], None]) -> None:
    await api.ready.wait()
    waiting = [asyncio.ensure_future(worker.ready.wait()) for worker in workers]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for other in waiting:
            other.cancel()
    on_ready()


async def _stop(api: Child, workers: Sequence[Child], seconds: float) -> None:
    """While the workers finish what they hold the API answers, but takes nothing new."""
    deadline = asyncio.get_running_loop().time() + seconds
    api.drain()
    await asyncio.gather(*(worker.stop(deadline) for worker in workers))
    await api.stop(deadline)
