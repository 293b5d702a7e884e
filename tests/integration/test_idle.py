"""Waiting costs next to nothing, and ends at once."""

from __future__ import annotations

import asyncio
import re

from engine.app import Engine
from tests.engines import eventually, working
from tests.receiver import Receiver
from tests.servers import RedisServer

LONG_ENOUGH_S = 12.5
"""Longer than any timer of a worker, twice the longest blocking read."""
_BY_A_SCRIPT = re.compile(rb"^\+[0-9.]+ \[[0-9]+ lua\]")


async def _commands_sent(server: RedisServer, seconds: float) -> list[bytes]:
    """What clients send to a server in a time; not what scripts call."""
    reader, writer = await asyncio.open_unix_connection(str(server.socket))
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    found = []
    try:
        async with asyncio.timeout(seconds):
            while line := await reader.readline():
                if not _BY_A_SCRIPT.match(line):
                    found.append(line)
    except TimeoutError:
        return found
    finally:
        writer.close()
        await writer.wait_closed()
    raise AssertionError("the server has gone")


async def test_an_idle_worker_sends_at_most_five_commands_a_second(
    engine: Engine, valkey: RedisServer, receiver: Receiver
) -> None:
    """All its timers and blocking reads of all shards together."""
    topic = await engine.create_topic("quiet")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    async with working(engine):
        await engine.publish(topic.urn, "before the silence")
        await eventually(lambda: receiver.arrivals, "it works")
        sent = await _commands_sent(valkey, LONG_ENOUGH_S)
    assert len(sent) <= 5 * LONG_ENOUGH_S, sent
    assert sent, "the count itself works"


async def test_an_idle_worker_starts_at_once(engine: Engine, receiver: Receiver) -> None:
    """A message is on its way within milliseconds of being accepted."""
    topic = await engine.create_topic("quick")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    loop = asyncio.get_running_loop()
    waits = []
    async with working(engine):
        for number in range(10):
            accepted = loop.time()
            await engine.publish(topic.urn, f"number {number}")
            await eventually(lambda: len(receiver.arrivals) > number, "it arrives")  # noqa: B023
            waits.append(receiver.arrivals[-1].at - accepted)
    assert sorted(waits)[len(waits) // 2] < 0.1
