"""A durability is claimed only where the servers keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from engine.errors import StoreUnavailable, StoreUnfit
from engine.settings import Durability, Settings
from engine.store.connection import Script, Store
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
    replies = await store.run_many([(SET, ["k"], [n]) for n in range(3)], wait_replicas=True)
    assert replies == [b"OK"] * 3
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
