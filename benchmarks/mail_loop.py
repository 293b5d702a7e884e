"""The yardstick for mail: a bare loop of pooled aiosmtplib connections, in a process of its own.

``python -m benchmarks.mail_loop`` reads a `Job` as JSON on standard input and prints one JSON
line. It has no queue, no rendering, no ledger: what is left is what the SMTP client costs, with
``sendmail`` and its timeouts as anybody would use them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass

import aiosmtplib
import uvloop

from benchmarks.yardstick import measure
from engine.cli.running import collect_seldom


@dataclass(frozen=True, slots=True)
class Job:
    """What to send: one captured mail's bytes, to so many recipients in turn."""

    port: int
    sender: str
    recipients: int
    mail: str
    connections: int
    warm_up_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What it reached."""

    per_second: float
    cpu_us: float
    """Microseconds of this process's processor time for each mail."""


def recipient(number: int) -> str:
    """The address of a recipient."""
    return f"reader{number:06d}@example.com"


async def run(job: Job) -> Measured:
    """Run the loop."""
    (line,) = await measure("benchmarks.mail_loop", job)
    return Measured(**line)


async def _drive(job: Job) -> None:
    pool = [
        aiosmtplib.SMTP(hostname="127.0.0.1", port=job.port, start_tls=False, timeout=30)
        for _ in range(job.connections)
    ]
    for smtp in pool:
        await smtp.connect()
    recipients = itertools.cycle([recipient(number) for number in range(job.recipients)])
    mail = job.mail.encode()
    sent = 0
    end = time.monotonic() + job.warm_up_s

    async def send(smtp: aiosmtplib.SMTP) -> None:
        nonlocal sent
        while time.monotonic() < end:
            await smtp.sendmail(job.sender, [next(recipients)], mail)
            sent += 1

    await asyncio.gather(*(send(smtp) for smtp in pool))
    sent = 0
    collect_seldom()  # as a worker does
    begun, cpu = time.monotonic(), time.process_time()
    end = begun + job.seconds
    await asyncio.gather(*(send(smtp) for smtp in pool))
    took, used = time.monotonic() - begun, time.process_time() - cpu
    for smtp in pool:
        await smtp.quit()
    measured = Measured(sent / took, used / max(1, sent) * 1e6)
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


if __name__ == "__main__":
    uvloop.run(_drive(Job(**json.loads(sys.stdin.read()))))
