"""Real Tocsin processes for tests, started as a user would start it."""

import asyncio
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_READY_SECONDS = 60.0
_CHILD = re.compile(r"child\.ready child=(\S+) pid=(\d+)")


class Serve:
    """A process that has said ``ready …``, or has ended without."""

    def __init__(self, process: Process, data: Path, log: Path, line: str) -> None:
        self.process = process
        self.data = data
        self.line = line
        self.url = line.removeprefix("ready ").strip()
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote on standard error so far."""
        return self._log.read_text(errors="replace")

    def pids(self, child: str) -> list[int]:
        """The process ids that a child (``api``, ``worker-1``, ``database``) has had."""
        return [int(pid) for name, pid in _CHILD.findall(self.log) if name == child]

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end; returns the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def serve(data: Path, *options: str, **variables: str) -> AsyncIterator[Serve]:
    """Run ``tocsin serve`` until the block ends; ``variables`` are ``TOCSIN_…`` settings.

    Yields when it is ready or has ended.
    """
    ours = ("--port", "0", "--workers", "1", "--allow-endpoints", "127.0.0.0/8")
    async with run("serve", data, *ours, *options, **variables) as service:
        yield service


@asynccontextmanager
async def run(command: str, data: Path, *options: str, **variables: str) -> AsyncIterator[Serve]:
    """Run a command that says when it is ready, ``serve``, ``api`` or ``worker``."""
    log = data.parent / f"{command}-{time.monotonic_ns()}.log"
    ours = {f"TOCSIN_{name.upper()}": value for name, value in variables.items()}
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", command, "--data", str(data), *options),
            *("--parent", str(os.getpid())),  # a test run that is killed leaves nothing behind
            cwd=data.parent,
            env={**os.environ, **ours},
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_SECONDS):
            line = (await process.stdout.readline()).decode()
            if not line:
                await process.wait()
        yield Serve(process, data, log, line)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def until_gone(pid: int) -> None:
    """Wait until a process that is not ours to wait for has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
