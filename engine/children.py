"""A child process that is kept alive: started, started again when it dies, stopped by asking."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

MISUSED: Final = 2
"""The exit status by which a child says that its configuration is wrong."""

_READY: Final = b"ready "
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next start: doubling, forgotten after a good run.

    All times are in seconds.
    """

    first: float = 0.1
    most: float = 5.0
    good_run: float = 10.0
    _next: float = field(default=0.0, init=False)

    def delay(self, ran: float) -> float:
        """The wait after a run of ``ran`` seconds."""
        if ran > self.good_run:
            self._next = 0.0
        now, self._next = self._next, min(max(self._next * 2, self.first), self.most)
        return now


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a child. Settings travel by environment: arguments are public."""

    name: str
    program: tuple[str, ...]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


class Child:
    """Keeps one `Command` running.

    It says ``ready …`` on its standard output once it serves; the rest of that output goes to
    standard error.
    """

    def __init__(self, command: Command, backoff: Backoff | None = None) -> None:
        self.name = command.name
        self.ready = asyncio.Event()
        self.refused = False
        self._command = command
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while the child runs."""
        return self._process.pid if self._process else None

    async def keep(self) -> None:
        """Run until `stop`, or until the child has ``refused`` its configuration.

        That is: it ended with status 2 before it was ever ready, and has said why.
        """
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run()
            if self._stopping.is_set():
                return
            if status == MISUSED and not self.ready.is_set():
                self.refused = True
                return
            wait = self._backoff.delay(loop.time() - started)
            _log.warning(
                "child.died", extra={"child": self.name, "status": status, "restart_in": wait}
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    def drain(self) -> None:
        """Ask the child to take nothing new until `stop`; if it ends now it stays ended."""
        self._stopping.set()
        if self._process is not None:
            _signal(self._process, signal.SIGUSR1)

    async def stop(self, deadline: float) -> None:
        """Ask the child to end; kill it at ``deadline`` (the loop's clock, seconds)."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout_at(deadline):
                await process.wait()
        except TimeoutError:
            _log.warning("child.cut", extra={"child": self.name})
            _signal(process, signal.SIGKILL)
            await process.wait()

    async def _run(self) -> int:
        """One life of the child; returns its exit status, negative for a signal."""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command.program,
            env=self._command.environment,
            stdin=PIPE,  # never written to: its end tells the child that this process is gone
            stdout=PIPE,
            pass_fds=self._command.descriptors,
            start_new_session=True,  # Ctrl-C reaches this process, which stops them in order
        )
        try:
            if self._stopping.is_set():  # stop() came while it started
                _signal(process, signal.SIGTERM)
            await self._read(process)
            return await process.wait()
        finally:
            if process.returncode is None:  # cancelled: nothing of ours may stay behind
                _signal(process, signal.SIGKILL)
                await process.wait()
            self._process = None

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for with PIPE
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the buffer: dropped, and nothing of ours
                continue
            if not line:
                return
            if line.startswith(_READY):
                self.ready.set()
                _log.info("child.ready", extra={"child": self.name, "pid": process.pid})
            else:
                sys.stderr.write(line.decode(errors="replace"))


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        process.send_signal(number)
