"""Blocking reads on a connection of their own."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.errors import StoreError, StoreUnavailable
from engine.settings import Settings
from engine.store import exchange
from engine.store.connection import Store
from tests.proxy import Proxy
from tests.servers import RedisServer, valkey_binary

_READ = ("XREAD", "BLOCK")


async def test_a_blocked_read_wakes_with_the_entry(store: Store) -> None:
    """What is appended while a reader blocks arrives in milliseconds."""
    reader = store.reader("s")
    waiting = asyncio.create_task(reader.call(*_READ, 5000, "STREAMS", "s", "$"))
    while b"cmd=xread" not in await store.call("CLIENT", "LIST", key=""):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await store.call("XADD", "s", "*", "a", "1")
    assert (await waiting)[0][0] == b"s"
    assert time.monotonic() - began < 0.5
    await reader.close()


async def test_a_read_may_block_longer_than_a_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound of a read is its own BLOCK plus the bound of a call; none for BLOCK 0."""
    monkeypatch.setattr(exchange, "CALL_SECONDS", 0.2)
    reader = store.reader("s")
    assert await reader.call(*_READ, 400, "STREAMS", "s", "$") is None
    assert not reader.broken
    for_ever = asyncio.create_task(reader.call(*_READ, 0, "STREAMS", "s", "$"))
    await asyncio.sleep(0.4)
    await store.call("XADD", "s", "*", "a", "1")
    assert await for_ever
    await reader.close()


async def test_a_read_that_outstays_its_block_breaks_the_reader(
    valkey: RedisServer, redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that says nothing past BLOCK and margin is `StoreUnavailable`."""
    async with Proxy(valkey) as proxy:
        store = await Store.connect(proxy.url, settings=settings)
        monkeypatch.setattr(exchange, "CALL_SECONDS", 0.2)
        reader = store.reader("s")
        assert await reader.call("PING") == b"PONG"
        proxy.replies.clear()
        with pytest.raises(StoreUnavailable):
            await reader.call(*_READ, 100, "STREAMS", "s", "$")
        assert reader.broken
        proxy.replies.set()
        await store.close()


async def test_a_refused_read_leaves_the_reader_whole(store: Store) -> None:
    """An error reply, such as NOGROUP, is raised; the next read works."""
    reader = store.reader("s")
    with pytest.raises(StoreError, match="NOGROUP"):
        await reader.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    assert not reader.broken
    assert await reader.call("PING") == b"PONG"
    await reader.close()


async def test_a_cancelled_read_breaks_the_reader(store: Store) -> None:
    """A read that was cancelled leaves no connection behind that could answer another."""
    reader = store.reader("s")
    waiting = asyncio.create_task(reader.call(*_READ, 5000, "STREAMS", "s", "$"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert reader.broken
    with pytest.raises(StoreUnavailable):
        await reader.call("PING")


async def test_a_dead_server_breaks_the_reader_at_once(settings: Settings) -> None:
    """The server's death ends a blocked read; a new reader works when the server is back."""
    server = RedisServer(valkey_binary()).start()
    store = await Store.connect(server.url, settings=settings)
    reader = store.reader("s")
    waiting = asyncio.create_task(reader.call(*_READ, 5000, "STREAMS", "s", "$"))
    await asyncio.sleep(0.05)
    server.kill()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await waiting
    assert time.monotonic() - began < 1
    assert reader.broken
    server.start()
    reader = store.reader("s")
    assert await reader.call("PING") == b"PONG"
    await reader.close()
    await store.close()
    server.close()
