"""Thousands of deliveries while processes die, and what came of them."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from engine import credentials
from engine.app import Engine
from engine.cli.demo_world import Client
from tests.e2e.killing.services import PATIENCE_S, Whole, Workers
from tests.e2e.killing.verdict import Pair, Verdict, judge
from tests.engines import open_engine

TOPICS: Final = {"narrow": 40, "middle": 130, "wide": 300}
"""Topics and how many subscribe; ``wide`` has two pages."""
PUBLISHERS: Final = 3
AHEAD: Final = 2000
"""Deliveries owed but not made at which the publishers wait."""
_PACE_S: Final = 0.05
_CALM_S: Final = 240.0
_STILL_S: Final = 3.0
_HOPELESS_S: Final = 20.0
"""Nothing moves for so long only if it never will: leases and polls are much shorter."""
_REST_S: Final = 0.3


class Receiver:
    """The subscribers' process, from outside."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    @classmethod
    @asynccontextmanager
    async def running(cls, session: aiohttp.ClientSession) -> AsyncIterator[Receiver]:
        program = Path(__file__).parent / "receiver.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), stdin=PIPE, stdout=PIPE
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                line = (await process.stdout.readline()).decode()
            yield cls(f"http://127.0.0.1:{line.removeprefix('ready ').strip()}", session)
        finally:
            process.kill()
            await process.wait()

    async def count(self) -> int:
        """How many pairs were delivered."""
        return int(await self._get("count"))

    async def log(self) -> list[list[Any]]:
        """Every request."""
        found: list[list[Any]] = await self._get("log")
        return found

    async def _get(self, what: str) -> Any:
        async with self._session.get(f"{self.url}/{what}") as answer:
            return json.loads(await answer.read())


class Publishing:
    """Publishers that do not give up: each message is sent until it is accepted."""

    def __init__(self, service: Whole | Workers, receiver: Receiver, topics: Sequence[str]) -> None:
        self.accepted: dict[str, str] = {}
        self.unknown = 0
        """Answers that left open whether the message was accepted."""
        self._service = service
        self._receiver = receiver
        self._topics = topics
        self._stop = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @asynccontextmanager
    async def going_on(self, session: aiohttp.ClientSession) -> AsyncIterator[None]:
        """Publish until the block ends; then finish what was begun."""
        async with asyncio.TaskGroup() as group:
            for number in range(PUBLISHERS):
                group.create_task(self._publish(session, number))
            watching = group.create_task(self._watch())
            try:
                yield
            finally:
                self._stop.set()
                self._room.set()
                watching.cancel()

    async def _watch(self) -> None:
        """Let nobody run ahead of the deliveries."""
        while True:
            owed = sum(TOPICS[_name(topic)] for topic in self.accepted.values())
            (self._room.clear if owed - await self._receiver.count() > AHEAD else self._room.set)()
            await asyncio.sleep(_PACE_S)

    async def _publish(self, session: aiohttp.ClientSession, publisher: int) -> None:
        number = publisher
        while not self._stop.is_set():
            await self._room.wait()
            topic = self._topics[number % len(self._topics)]
            await self._insist(session, topic, f"message-{number}")
            number += PUBLISHERS
            await asyncio.sleep(_PACE_S)

    async def _insist(self, session: aiohttp.ClientSession, topic: str, key: str) -> None:
        account = credentials.read(self._service.data)
        url = f"{self._service.url}/v2/{account['project_id']}/notifications/topics/{topic}/publish"
        deadline = time.monotonic() + PATIENCE_S
        last = ""
        while time.monotonic() < deadline:
            try:
                async with session.post(
                    url, json={"message": key}, headers={"Idempotency-Key": key}
                ) as answer:
                    text = await answer.text()
                    if answer.ok:
                        self.accepted[json.loads(text)["message_id"]] = topic
                        return
                    last = f"{answer.status} {text}"
                    assert answer.status in {429, 500, 503}, last
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                last = repr(error)
            self.unknown += 1
            await asyncio.sleep(_PACE_S)
        raise AssertionError(f"{key} was not accepted within {PATIENCE_S} s: {last}")


def _name(topic: str) -> str:
    return topic.rpartition(":")[2]


async def run_scenario(service: Whole | Workers, kills: Sequence[str], seed: int) -> Verdict:
    """Run it: everything is up, subscribe, publish and kill, wait for the end, judge."""
    chance = random.Random(seed)
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        Receiver.running(session) as receiver,
        service.running(),
    ):
        client = Client(session, service.data)
        await client.log_in()
        topics = [await client.create_topic(name) for name in TOPICS]
        paths = {topic: [f"/{_name(topic)}/{n}" for n in range(TOPICS[_name(topic)])]
                 for topic in topics}  # fmt: skip
        async with _attached(service) as engine:
            for topic, found in paths.items():
                urls = [receiver.url + path for path in found]
                assert await engine.subscribe_many(topic, "http", urls) == len(found)
        publishing = Publishing(service, receiver, topics)
        async with publishing.going_on(session):
            for kind in kills:
                await asyncio.sleep(_REST_S * (0.5 + chance.random()))
                await service.kill(kind, chance.randrange(2))
        async with _attached(service) as engine:
            ended = await _calm(engine, receiver)
            dead = await _buried(engine)
            verdict = judge(publishing.accepted, paths, await receiver.log(), dead, service.kills)
            verdict.notes = [ended, *[await _state(engine, topic, message) for message, topic in (
                (m, publishing.accepted[m]) for m in dict.fromkeys(m for m, _ in verdict.lost[:5])
            )]]  # fmt: skip
        return verdict


@asynccontextmanager
async def _attached(service: Whole | Workers) -> AsyncIterator[Engine]:
    async with open_engine(service.redis, service.data) as engine:
        yield engine


async def _calm(engine: Engine, receiver: Receiver) -> str:
    """Wait until nothing is on its way; says how that ended."""
    deadline = time.monotonic() + _CALM_S
    before, since, moved = -1, 0.0, time.monotonic()
    while True:
        found = await _on_its_way(engine)
        count = await receiver.count()
        now = time.monotonic()
        if count != before or any(due for _, due, _ in found):
            # What has a due time comes by itself, however late; an entry that is stuck does not.
            before = count
            moved = now
        if any(map(any, found)) or moved == now:
            since = now
        told = f"lane, retries and inbox of each shard: {found}"
        if now - since > _STILL_S or now - moved > _HOPELESS_S:
            return f"nothing moved any more; {told}"
        if now > deadline:
            return f"it still moved after {_CALM_S} s; {told}"
        await asyncio.sleep(_PACE_S)


async def _on_its_way(engine: Engine) -> list[tuple[int, int, int]]:
    """How many entries are in each shard's lane, retry set and inbox."""
    keys = engine.keys
    found = []
    for shard in range(keys.shards):
        lane, retry, inbox = await engine.store.call_many(
            [
                ("XLEN", keys.lane(shard, "http")),
                ("ZCARD", keys.retry(shard, "http")),
                ("LLEN", keys.inbox(shard, "http")),
            ],
            key=keys.shard(shard),
            repeatable=True,
        )
        found.append((lane, retry, inbox))
    return found


async def _buried(engine: Engine) -> list[Pair]:
    letters = await engine.dead_letters(limit=1_000_000)
    return [(letter.message_id, urlsplit(letter.endpoint).path) for letter in letters]


async def _state(engine: Engine, topic: str, message: str) -> str:
    """What Redis still knows of a message, for whoever must find out where it went."""
    topic_id = (await engine.topics.get(topic)).id
    keys = engine.keys
    ledger = await engine.store.call("HKEYS", keys.ledger(topic_id, message))
    left = await engine.store.call("HGET", keys.message(topic_id, message), "l")
    lane = keys.lane(keys.shard_of_topic(topic_id), "http")
    held = await engine.store.call("XPENDING", lane, "workers", key=lane)
    known = await engine.store.call("XINFO", "GROUPS", lane, key=lane)
    waiting = await engine.store.call("XRANGE", lane, "-", "+", "COUNT", 10, key=lane)
    return (
        f"message {message}: pages left {left!r}, ledger {ledger!r}, lane's pending {held!r},"
        f" group {known!r}, entries {waiting!r}"
    )
