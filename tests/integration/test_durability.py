"""A durability is claimed only where the servers keep it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import StoreUnavailable, StoreUnfit
from engine.settings import Durability, Settings
from engine.store.connection import Script, Store
from tests.api_client import serving
from tests.engines import eventually, open_engine, unfinished, working
from tests.proxy import Proxy
from tests.receiver import Receiver
from tests.servers import RedisCluster, RedisServer, free_port, until, valkey_binary

_SET = "return redis.call('SET', KEYS[1], ARGV[1])"
SET = Script("set", _SET, hashlib.sha1(_SET.encode()).hexdigest())


@pytest.fixture
def master() -> Iterator[RedisServer]:
    """A server that the test may configure."""
    at_once = ["--repl-diskless-sync-delay", "0"]
    server = RedisServer(valkey_binary(), port=free_port(), options=at_once).start()
    yield server
    server.close()


@pytest.fixture
def replica(master: RedisServer) -> Iterator[RedisServer]:
    """A replica of it, in step."""
    options = ["--replicaof", "127.0.0.1", str(master.port)]
    server = RedisServer(valkey_binary(), options=options).start()
    with master.client as client:
        client.set("written", "before")  # WAIT waits only for this connection's own writes
        until(lambda: client.wait(1, 10) == 1, "the replica is in step")
    yield server
    server.close()


@pytest.mark.parametrize(("setting", "value"), [("appendonly", "no"), ("appendfsync", "everysec")])
async def test_fsync_needs_a_server_that_always_syncs(
    master: RedisServer, settings: Settings, setting: str, value: str
) -> None:
    """A server that answers before its disk has the write is refused; `memory` is named."""
    store = await Store.connect(master.url, settings=settings)
    await store.verify_durability(Durability.FSYNC)
    await store.call("CONFIG", "SET", setting, value, key="")
    with pytest.raises(StoreUnfit, match=rf"has {setting} {value}; .*'memory'"):
        await store.verify_durability(Durability.FSYNC)
    await store.verify_durability(Durability.MEMORY)
    await store.close()


async def test_every_master_of_a_cluster_must_sync(
    cluster: RedisCluster, settings: Settings
) -> None:
    """One master that does not always sync makes the whole Cluster unfit for `fsync`."""
    store = await Store.connect(cluster.url, settings=settings)
    await store.verify_durability(Durability.FSYNC)
    with cluster.nodes[2].client as client:
        client.config_set("appendfsync", "everysec")
        with pytest.raises(StoreUnfit, match=f"127.0.0.1:{cluster.nodes[2].port} has appendfsync"):
            await store.verify_durability(Durability.FSYNC)
        client.config_set("appendfsync", "always")
    await store.close()


async def test_replica_needs_a_replica(master: RedisServer, settings: Settings) -> None:
    """A server without one is refused for the durability `replica`."""
    store = await Store.connect(master.url, settings=settings)
    with pytest.raises(StoreUnfit, match="needs a connected replica"):
        await store.verify_durability(Durability.REPLICA)
    await store.close()


async def test_a_write_waits_for_the_replica(
    master: RedisServer, replica: RedisServer, settings: Settings
) -> None:
    """When a write that waits returns, the replica has it."""
    store = await Store.connect(master.url, settings=settings)
    await store.verify_durability(Durability.REPLICA)
    for number in range(20):
        assert await store.run(SET, ["k"], [number], wait_replicas=True) == b"OK"
        with replica.client as client:
            assert client.get("k") == str(number).encode()
    await store.close()


async def test_a_write_that_no_replica_has_is_unknown(
    master: RedisServer, replica: RedisServer, settings: Settings
) -> None:
    """Without the replica the write is not called kept, though the master has it."""
    store = await Store.connect(master.url, settings=settings)
    await store.run(SET, ["k"], ["known"])
    replica.kill()
    with pytest.raises(StoreUnavailable, match="No replica"):
        await store.run(SET, ["k"], ["v"], wait_replicas=True)
    assert await store.call("GET", "k") == b"v"
    await store.close()


@pytest.fixture
async def proxy(valkey: RedisServer, redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy before an empty Valkey."""
    async with Proxy(valkey) as proxy:
        yield proxy


async def _subscribed(engine: Engine, receiver: Receiver) -> str:
    topic = await engine.create_topic("kept")
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.publish(topic.urn, "teaches the server the scripts")
    return topic.urn


async def _accepted_while_held(
    proxy: Proxy, engine: Engine, beside: Engine, publishing: asyncio.Task[object]
) -> None:
    """Wait until the server has the message, and see that its publisher does not know yet."""

    async def there() -> bool:
        return await unfinished(beside) == 2

    await eventually(there, "the server has the second message")
    done, _ = await asyncio.wait([publishing], timeout=0.2)
    assert not done


async def test_publish_returns_only_after_the_servers_reply(
    proxy: Proxy, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """With the reply held back the message is stored, and still `publish` does not return."""
    async with (
        open_engine(proxy.url, tmp_path, receiver) as engine,
        open_engine(redis_url, tmp_path, receiver) as beside,
    ):
        urn = await _subscribed(engine, receiver)
        proxy.replies.clear()
        publishing: asyncio.Task[object] = asyncio.create_task(engine.publish(urn, "held"))
        await _accepted_while_held(proxy, engine, beside, publishing)
        proxy.replies.set()
        assert isinstance(await publishing, str)


async def test_no_success_leaves_the_api_before_the_servers_reply(
    proxy: Proxy, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """With the reply held back there is no 2xx; it comes when the reply does."""
    async with (
        open_engine(proxy.url, tmp_path, receiver) as engine,
        open_engine(redis_url, tmp_path, receiver) as beside,
    ):
        urn = await _subscribed(engine, receiver)
        account = await engine.accounts.bootstrap()
        path = f"/v2/{account.project_id}/notifications/topics"
        async with serving(engine, engine.settings, account) as (client, _):
            await client.call("GET", "/v2/notifications/protocols")  # leaves no audit to write
            # Neither who the caller is nor how full the memory is need be asked again.
            later = time.monotonic() + 60
            engine.directory.live._fresh_until = engine.publisher._memory_checked = later
            proxy.replies.clear()
            publishing: asyncio.Task[object] = asyncio.create_task(
                client.call("POST", f"{path}/{urn}/publish", {"message": "held"})
            )
            await _accepted_while_held(proxy, engine, beside, publishing)
            proxy.replies.set()
            answer = await publishing
        assert getattr(answer, "status", None) == 200


async def test_a_lost_answer_is_an_unknown_outcome(
    proxy: Proxy, tmp_path: Path, receiver: Receiver
) -> None:
    """A reply that never comes is an error within two seconds, never a silent success."""
    async with open_engine(proxy.url, tmp_path, receiver) as engine:
        urn = await _subscribed(engine, receiver)
        proxy.replies.clear()
        with pytest.raises(StoreUnavailable):
            await engine.publish(urn, "lost")
        proxy.replies.set()


async def test_memory_works_on_a_server_that_keeps_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Without an append-only file `fsync` is refused at start, and `memory` delivers."""
    server = RedisServer(valkey_binary(), options=["--appendonly", "no"]).start()
    try:
        with pytest.raises(StoreUnfit, match="'memory'"):
            async with open_engine(server.url, tmp_path, receiver):
                pass
        async with open_engine(
            server.url, tmp_path, receiver, durability=Durability.MEMORY
        ) as engine:
            await _subscribed(engine, receiver)
            async with working(engine):
                await eventually(lambda: receiver.arrivals, "it is delivered")
    finally:
        server.close()


async def test_an_accepted_message_survives_the_servers_death(
    tmp_path: Path, receiver: Receiver
) -> None:
    """After `publish` returned, SIGKILL of the database loses neither message nor delivery."""
    server = RedisServer(valkey_binary()).start()
    try:
        async with open_engine(server.url, tmp_path, receiver) as engine:
            topic = await engine.create_topic("kept")
            await engine.subscribe_many(topic.urn, "http", receiver.urls("one", 20))
            published = {await engine.publish(topic.urn, f"number {n}") for n in range(20)}
            server.kill()
            server.start()
            async with working(engine):
                await eventually(lambda: len(receiver.pairs()) == 400, "all is delivered")
            assert {message_id for message_id, _ in receiver.pairs()} == published
    finally:
        server.close()
