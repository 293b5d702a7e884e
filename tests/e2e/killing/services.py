"""What is killed: a whole service, or workers on a database of the test's own.

Both tell when which process died, to the millisecond, whoever killed it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from engine.data_lock import holder_of
from tests.e2e.killing.verdict import Kill
from tests.servers import RedisServer, free_port, valkey_binary
from tests.serving import Serve, run, until_gone

PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.02
_SABOTAGE = Path(__file__).parent / "sabotage.py"
CHILDREN: Final = ("api", "worker-1", "worker-2")

SETTINGS: Final = {
    "lease_seconds": "2",
    "retry_delays": "0.2,0.2,0.4,0.4,0.8,0.8,1.6,1.6",
    "blacklist_failures": "1000000",
    "allow_endpoints": "127.0.0.0/8",
    "max_claims": "20",
}
"""Short times; the failing endpoints are not to be parked, nor batches run seat by seat."""


async def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


class Whole:
    """``tocsin serve`` with two workers, started again when it is killed itself.

    ``faults`` are the fault points of its first life, its second, and so on; children that die
    of them are counted like those that are killed from outside.
    """

    def __init__(self, folder: Path, faults: Iterable[str] = ()) -> None:
        self.data = folder / "data"
        self.kills: list[Kill] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._faults = iter(faults)
        self._stack = AsyncExitStack()
        self._service: Serve | None = None
        self._watching: asyncio.Task[None] | None = None
        self._deaths: set[asyncio.Task[None]] = set()
        self._known: set[int] = set()
        self._mine: set[int] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running until the block ends."""
        try:
            await self._start()
            yield
        finally:
            await self._stop_watching()
            await self._stack.aclose()

    @property
    def redis(self) -> str:
        """The URL of its database."""
        holder = holder_of(self.data)
        assert holder is not None, "nobody holds the data directory"
        return f"unix://{holder.socket}"

    @property
    def log(self) -> str:
        """The end of what it has to say."""
        return self._service.log[-6000:] if self._service else ""

    async def kill(self, kind: str, which: int) -> None:
        """SIGKILL a process and wait until its successor is there."""
        if kind == "serve":
            await self._kill_all()
        elif kind == "database":
            await self._kill_database()
        else:
            child = "api" if kind == "api" else f"worker-{which % 2 + 1}"
            await self._kill_child(kind, child)

    async def _start(self) -> None:
        point = next(self._faults, "")
        extra = {"fault_point": point} if point else {}
        starting = run(
            "serve", self.data, "--port", str(self.port), "--workers", "2", **SETTINGS, **extra
        )
        self._service = await self._stack.enter_async_context(starting)
        assert self._service.url == self.url, self._service.log
        self._watching = asyncio.create_task(self._watch(self._service))

    async def _stop_watching(self) -> None:
        for task in (self._watching, *self._deaths):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _kill_all(self) -> None:
        service = self._running()
        await self._stop_watching()
        kill = Kill("serve", time.monotonic(), "order")
        await service.stop(signal.SIGKILL)
        await self._stack.aclose()
        self.kills.append(kill)
        await self._start()

    async def _kill_database(self) -> None:
        holder = holder_of(self.data)
        assert holder is not None
        kill = Kill("database", time.monotonic(), "order")
        os.kill(holder.server, signal.SIGKILL)

        def back() -> bool:
            found = holder_of(self.data)
            return found is not None and found.server not in {0, holder.server}

        await until(back, "the database is started again")
        seen = self._running()
        await until(lambda: bool(seen.pids("database")), "the database is ready")
        kill.back = time.monotonic()
        self.kills.append(kill)

    async def _kill_child(self, kind: str, child: str) -> None:
        service = self._running()
        await until(lambda: bool(service.pids(child)), f"{child} is started")
        pid = service.pids(child)[-1]
        self._mine.add(pid)
        self.kills.append(Kill(kind, time.monotonic(), "order"))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self.kills.pop()  # a fault was faster
        await until(lambda: service.pids(child)[-1] != pid, f"{child} is started again")

    def _running(self) -> Serve:
        assert self._service is not None
        return self._service

    async def _watch(self, service: Serve) -> None:
        """Find out about every child that lives, and wait for its end."""
        while True:
            for child in CHILDREN:
                for pid in service.pids(child):
                    if pid not in self._known:
                        self._known.add(pid)
                        death = asyncio.create_task(self._note_death(child, pid))
                        self._deaths.add(death)
                        death.add_done_callback(self._deaths.discard)
            await asyncio.sleep(_LOOK_S * 2)

    async def _note_death(self, child: str, pid: int) -> None:
        await until_gone(pid)
        if pid not in self._mine:
            kind = "api" if child == "api" else "worker"
            self.kills.append(Kill(kind, time.monotonic(), "fault"))


class Workers:
    """An API and two sabotaged workers on a database of the test's own; only workers die."""

    def __init__(self, folder: Path, variant: str) -> None:
        self.data = folder / "data"
        self.kills: list[Kill] = []
        self.url = ""
        self._variant = variant
        self._folder = folder
        self._server = RedisServer(valkey_binary())
        self._workers: list[Process] = []
        self.redis = self._server.url

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running until the block ends."""
        self._server.start()
        try:
            starting = run("api", self.data, "--redis", self.redis, "--port", "0", **SETTINGS)
            async with starting as api:
                self.url = api.url
                assert self.url, api.log
                self._workers = [await self._worker() for _ in range(2)]
                yield
        finally:
            for worker in self._workers:
                await _end(worker)
            self._server.close()

    @property
    def log(self) -> str:
        """The end of what the workers have to say."""
        return (self._folder / "workers.log").read_text(errors="replace")[-6000:]

    async def kill(self, kind: str, which: int) -> None:
        """SIGKILL a worker and start another."""
        number = which % 2
        self.kills.append(Kill(kind, time.monotonic(), "order"))
        await _end(self._workers[number])
        self._workers[number] = await self._worker()

    async def _worker(self) -> Process:
        ours = {f"TOCSIN_{name.upper()}": value for name, value in SETTINGS.items()}
        with (self._folder / "workers.log").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(_SABOTAGE), self._variant, "worker", "--data"),
                *(str(self.data), "--redis", self.redis, "--public-url", self.url),
                *("--parent", str(os.getpid())),
                cwd=self._folder,
                env={**os.environ, **ours},
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
            )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await process.stdout.readline()
        assert line.startswith(b"ready"), self.log
        return process


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
