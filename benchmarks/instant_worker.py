"""A worker whose transport answers 200 at once: what is left is what the engine costs.

``python -m benchmarks.instant_worker SCRATCH URL`` runs until its standard input ends and
prints one JSON line ten times a second: processor seconds used and deliveries made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.service import settings
from engine.app import Engine
from engine.cli.running import collect_seldom
from engine.ports import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

_OK = Answer(200)


class CountingTransport:
    """Counts what it is asked to send and does nothing else; the ``Transport`` port."""

    def __init__(self) -> None:
        self.count = 0

    def parse(self, url: str) -> str:
        """The URL itself."""
        return url

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer 200."""
        del url, headers, body
        self.count += 1
        return _OK


async def _report(transport: CountingTransport) -> None:
    while True:
        line = {"at": time.monotonic(), "cpu_s": time.process_time(), "sent": transport.count}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(0.1)


async def _main(scratch: Path, url: str) -> None:
    transport, stop = CountingTransport(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    async with Engine.open(
        url, data=scratch / "data", settings=settings(scratch), transport=transport
    ) as engine:
        report = asyncio.create_task(_report(transport))
        await engine.run_worker(stop, on_ready=lambda _: collect_seldom())
        report.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await report


if __name__ == "__main__":
    uvloop.run(_main(Path(sys.argv[1]), sys.argv[2]))
