"""The yardstick: a bare aiohttp POST loop, in a process of its own.

``python -m benchmarks.loop`` reads a `Job` as JSON on standard input and prints one JSON line
for each number of requests in flight. It has no queue, no rendering, no ledger: what is left
is what the HTTP client costs. Session and bound of a request come from the engine's transport,
and garbage is collected as a worker does, so that the two cannot differ in settings.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import uvloop

from benchmarks.yardstick import measure
from engine.cli.running import collect_seldom
from engine.guard import AddressGuard
from engine.transport import AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import aiohttp
    from yarl import URL


@dataclass(frozen=True, slots=True)
class Job:
    """What to send: the bytes and headers of one captured delivery, to each URL in turn."""

    urls: Sequence[str]
    headers: Mapping[str, str]
    body: str
    in_flight: Sequence[int]
    warm_up_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one number of requests in flight reached."""

    in_flight: int
    per_second: float
    cpu_us: float
    """Microseconds of this process's processor time for each request."""


async def run(job: Job) -> list[Measured]:
    """Run the loop."""
    return [Measured(**line) for line in await measure("benchmarks.loop", job)]


async def _drive(job: Job) -> None:
    transport = AiohttpTransport(AddressGuard("127.0.0.0/8"))
    urls = itertools.cycle([transport.parse(url) for url in job.urls])
    for width in job.in_flight:
        bound = transport._timeout  # noqa: SLF001 - the two must not differ
        async with transport._open() as session:  # noqa: SLF001 - as above
            await _measure(session, bound, urls, job, width, job.warm_up_s)
            collect_seldom()
            measured = await _measure(session, bound, urls, job, width, job.seconds)
        sys.stdout.write(json.dumps(asdict(measured)) + "\n")


async def _measure(
    session: aiohttp.ClientSession,
    bound: aiohttp.ClientTimeout,
    urls: Iterator[URL],
    job: Job,
    width: int,
    seconds: float,
) -> Measured:
    body, headers = job.body.encode(), dict(job.headers)
    sent = 0
    end = time.monotonic() + seconds

    async def post() -> None:
        nonlocal sent
        while time.monotonic() < end:
            async with session.post(
                next(urls), data=body, headers=headers, allow_redirects=False, timeout=bound
            ) as answer:
                await answer.read()
            sent += 1

    begun, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(post())
    took = time.monotonic() - begun
    return Measured(width, sent / took, (time.process_time() - cpu) / max(1, sent) * 1e6)


if __name__ == "__main__":
    uvloop.run(_drive(Job(**json.loads(sys.stdin.read()))))
