"""Mails a second of one worker, beside a bare loop of pooled aiosmtplib connections.

One topic with ``email`` subscriptions, published through the API of a real ``serve`` process
with everything on. The relay is Postfix's smtp-sink on loopback. Engine and loop alternate in
one run, with as many connections, and the loop sends the bytes of one captured mail. What the
engine reaches with DKIM signatures stands beside it.
"""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import mail_loop, procs
from benchmarks.chart import Bar, Bars, Goal
from benchmarks.client import ApiClient
from benchmarks.feed import Feed, text_of
from benchmarks.mail_sink import mail_recorder, mail_sink
from benchmarks.report import Result, at_least
from benchmarks.service import all_settled, library, service, settled
from benchmarks.sink import free_port
from benchmarks.stats import spread
from benchmarks.yardstick import Size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.bench import Bench
    from benchmarks.service import Service
    from engine.app import Engine

RATIO: Final = 0.7
CONNECTIONS: Final = 16
SENDER: Final = "noreply@example.org"


FULL: Final = Size(2_000, rounds=3, engine_s=8, loop_s=4, warm_up_s=1)
QUICK: Final = Size(500, rounds=1, engine_s=3, loop_s=1.5, warm_up_s=1)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the engine and of the loop."""

    settled: float
    worker_cpu_us: float
    loop: mail_loop.Measured

    @property
    def ratio(self) -> float:
        """The engine's settled mails beside the loop's."""
        return self.settled / self.loop.per_second


@dataclass(slots=True)
class Scene:
    """A service whose mail goes to a sink, and a topic with readers."""

    serving: Service
    engine: Engine
    port: int
    feed: Feed
    mail: bytes

    async def turn(self, size: Size) -> tuple[float, float]:
        """Mails settled a second, and the worker's processor time for one (µs)."""
        pid = self.serving.worker()
        await self.feed.run(size.warm_up_s)
        cpu, before = procs.cpu_seconds(pid), await self.feed.arrived()
        begun = time.monotonic()
        await self.feed.run(size.engine_s)
        done = await self.feed.arrived() - before
        took = time.monotonic() - begun
        cpu = procs.cpu_seconds(pid) - cpu
        await self.feed.drain(60)
        return done / took, cpu / max(1, done) * 1e6


async def run(bench: Bench) -> Result:
    """Measure; about a minute."""
    size = bench.size(FULL, QUICK)
    rounds = []
    async with scene(bench.room("plain"), size.subscriptions, bench.seed) as plain:
        job = mail_loop.Job(
            plain.port,
            SENDER,
            size.subscriptions,
            plain.mail.decode(),
            CONNECTIONS,
            size.loop_warm_up_s,
            size.loop_s,
        )
        for number in range(size.rounds):
            bench.say(f"round {number + 1} of {size.rounds}")
            reached, cpu_us = await plain.turn(size)
            rounds.append(Round(reached, cpu_us, await mail_loop.run(job)))
            bench.say(_said(rounds[-1]))
        body = len(plain.mail)
    bench.say("the same with DKIM")
    room = bench.room("dkim")
    # Signing is slow: a smaller backlog does, and drains in time.
    async with scene(room, size.subscriptions // 10, bench.seed, **_dkim(room)) as signed:
        dkim, dkim_cpu_us = await signed.turn(size)
    return _result(rounds, size, body, (dkim, dkim_cpu_us))


@asynccontextmanager
async def scene(room: Path, subscriptions: int, seed: int, **options: str) -> AsyncIterator[Scene]:
    """Set everything up; captures one mail on the way."""
    port = free_port()
    relay = {"host": "127.0.0.1", "port": port, "tls": "none", "connections": CONNECTIONS}
    async with (
        service(room, smtp_relays=json.dumps([relay]), smtp_sender=SENDER, **options) as serving,
        ApiClient(serving.credentials) as client,
        library(room, serving.redis_url) as engine,
    ):
        topic = await client.create_topic("mails")
        await readers(engine, topic, 1)
        async with mail_recorder(port) as kept:
            await client.publish(topic, text_of(seed))
            mail = await kept.first
            await all_settled(engine, topic, 1, 10)
        topic = await client.create_topic("many")
        await readers(engine, topic, subscriptions)

        async def sent() -> int:
            return await settled(engine, topic)

        async with mail_sink(port):
            backlog = 4 * subscriptions
            feed = Feed(client.publish, topic, text_of(seed), sent, subscriptions, backlog)
            yield Scene(serving, engine, port, feed, mail)


async def readers(engine: Engine, topic: str, count: int) -> None:
    """Subscribe so many mailboxes."""
    names = (mail_loop.recipient(number) for number in range(count))
    await engine.subscriptions.add_many(topic, "email", names)


def _dkim(room: Path) -> dict[str, str]:
    key = rsa.generate_private_key(65_537, 2048)
    file = room / "dkim.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return {
        "smtp_dkim_domain": "example.org",
        "smtp_dkim_selector": "bench",
        "smtp_dkim_key_file": str(file),
    }


def _said(turn: Round) -> str:
    return (
        f"engine {turn.settled:,.0f}/s settled,"
        f" loop {turn.loop.per_second:,.0f}/s: ratio {turn.ratio:.2f}"
    )


def _result(rounds: list[Round], size: Size, body: int, dkim: tuple[float, float]) -> Result:
    reached = spread([each.settled for each in rounds])
    loop = spread([each.loop.per_second for each in rounds])
    ratio = spread([each.ratio for each in rounds])
    return Result(
        suite="email",
        title="Mails a second, one worker process",
        subtitle=f"1 topic × {size.subscriptions:,} email subscriptions, {CONNECTIONS} connections"
        f" to smtp-sink, mails of {body:,} bytes, fsync, ledger and log on;"
        f" {size.rounds} × {size.engine_s:.0f} s, alternating with the loop",
        checks=(at_least("engine ÷ bare loop, median", ratio.median, "", RATIO),),
        facts={
            "settled_per_s": reached._asdict(),
            "bare_loop_per_s": loop._asdict(),
            "ratio": ratio._asdict(),
            "worker_cpu_us_per_mail": spread([each.worker_cpu_us for each in rounds])._asdict(),
            "loop_cpu_us_per_mail": spread([each.loop.cpu_us for each in rounds])._asdict(),
            "with_dkim_per_s": dkim[0],
            "with_dkim_cpu_us_per_mail": dkim[1],
            "mail_bytes": body,
        },
        samples={"rounds": [asdict(each) for each in rounds]},
        panels=(
            Bars(
                "Sustained rate, median of the rounds",
                "mails/s",
                (
                    Bar("engine, settled", reached.median, tuple(e.settled for e in rounds)),
                    Bar(
                        f"bare loop, {CONNECTIONS} connections",
                        loop.median,
                        tuple(each.loop.per_second for each in rounds),
                        colour=1,
                    ),
                    Bar("engine with DKIM", dkim[0], (dkim[0],), colour=2),
                ),
                Goal(RATIO * loop.median, f"goal {RATIO} × loop"),
            ),
        ),
    )
