"""Cluster, Sentinel and TLS: the same store, the same promises."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.crc import key_slot

from engine.errors import StoreUnavailable, StoreUnfit
from engine.settings import Settings
from engine.store.connection import Script, Store
from tests.servers import RedisCluster, RedisServer, free_port, until, valkey_binary

_SET = "return redis.call('SET', KEYS[1], ARGV[1])"
SET = Script("set", _SET, hashlib.sha1(_SET.encode()).hexdigest())


async def test_keys_of_a_cluster_are_routed_to_their_masters(
    cluster: RedisCluster, settings: Settings
) -> None:
    """Scripts and commands reach the master of their slot, whichever that is."""
    store = await Store.connect(cluster.url, settings=settings)
    for number in range(100):
        await store.run(SET, [f"k{number}"], [number])
        assert await store.call("GET", f"k{number}") == str(number).encode()
    await store.close()


async def test_each_shard_of_a_cluster_takes_pipelines_and_readers(
    cluster: RedisCluster, settings: Settings
) -> None:
    """All keys of one tag go in one pipeline, and a reader blocks on their master."""
    store = await Store.connect(cluster.url, settings=settings)
    sets = [(SET, [f"{{{shard}}}{n}"], [n]) for n in range(5) for shard in range(8)]
    assert await store.run_many(sets) == [b"OK"] * 40
    for shard in range(8):
        key = f"{{{shard}}}s"
        reader = store.reader(key)
        await store.call("XADD", key, "*", "a", "1")
        assert await reader.call("XREAD", "BLOCK", 1000, "STREAMS", key, "0")
        await reader.close()
    await store.close()


async def test_a_moved_slot_is_followed(cluster: RedisCluster, settings: Settings) -> None:
    """A slot that has moved to another master costs nobody an error."""
    key = "{moving}"
    store = await Store.connect(cluster.url, settings=settings)
    await store.run(SET, [key], ["before"])
    slot, source, target = _ends(cluster, key)
    _migrate(slot, key, source, target)
    try:
        assert await store.call("GET", key) == b"before"
        assert await store.run_many([(SET, [key], [n]) for n in range(3)]) == [b"OK"] * 3
    finally:
        _migrate(slot, key, target, source)
    assert await store.call("GET", key) == b"2"
    await store.close()


async def test_a_moving_slot_is_followed(cluster: RedisCluster, settings: Settings) -> None:
    """While a slot migrates its keys are found on either side (ASK)."""
    key = "{asking}"
    store = await Store.connect(cluster.url, settings=settings)
    slot, source, target = _ends(cluster, key)
    with source.client as old, target.client as new:
        new_id, old_id = (c.execute_command("CLUSTER MYID").decode() for c in (new, old))
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
        try:
            assert await store.run_many([(SET, [key], [n]) for n in range(3)]) == [b"OK"] * 3
            assert await store.call("GET", key) == b"2"
            reader = store.reader(key)
            with pytest.raises(StoreUnavailable):
                await reader.call("XREAD", "BLOCK", 10, "STREAMS", key + "s", "0")
            assert reader.broken
        finally:
            for client in (new, old):
                client.execute_command("CLUSTER SETSLOT", slot, "STABLE")
            new.execute_command("FLUSHALL")
    await store.close()


async def test_a_cluster_reports_its_fullest_master(
    cluster: RedisCluster, settings: Settings
) -> None:
    """Memory is that of the master closest to its bound."""
    store = await Store.connect(cluster.url, settings=settings)
    for node, bound in zip(cluster.nodes, ("100mb", "64mb", "0"), strict=True):
        with node.client as client:
            client.config_set("maxmemory", bound)
    assert (await store.used_memory())[1] == 64 * 1024**2
    for node in cluster.nodes:
        with node.client as client:
            client.config_set("maxmemory", "0")
    await store.close()


async def test_the_form_of_the_url_must_fit(
    cluster: RedisCluster, redis_url: str, settings: Settings
) -> None:
    """A Cluster's node is not taken for a lone server; the sentence names the right form."""
    with pytest.raises(StoreUnfit, match=r"redis\+cluster://"):
        await Store.connect(f"redis://127.0.0.1:{cluster.nodes[0].port}", settings=settings)


def _ends(cluster: RedisCluster, key: str) -> tuple[int, RedisServer, RedisServer]:
    """A key's slot, the node that serves it and one that does not."""
    slot = key_slot(key.encode())
    owner = 0 if slot < 5461 else 1 if slot < 10923 else 2
    return slot, cluster.nodes[owner], cluster.nodes[(owner + 1) % 3]


def _migrate(slot: int, key: str, source: RedisServer, target: RedisServer) -> None:
    """Move a slot that holds one key (CLUSTER SETSLOT, as the manual's resharding does)."""
    with source.client as old, target.client as new:
        new_id, old_id = (c.execute_command("CLUSTER MYID").decode() for c in (new, old))
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
        for client in (new, old):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)


class Watched:
    """A master, its replica and a Sentinel that watches them."""

    def __init__(self) -> None:
        binary = valkey_binary()
        at_once = ["--repl-diskless-sync-delay", "0"]
        self.master = RedisServer(binary, port=free_port(), options=at_once)
        following = ["--replicaof", "127.0.0.1", str(self.master.port)]
        self.replica = RedisServer(binary, port=free_port(), options=following)
        self.sentinel = RedisServer(binary, port=free_port(), sentinel=True)
        # Port 1: a Sentinel that is not there must not matter.
        self.url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/svc"

    def start(self) -> None:
        for server in (self.master, self.replica, self.sentinel):
            server.start()
        with self.sentinel.client as client:
            client.execute_command("SENTINEL MONITOR svc 127.0.0.1", self.master.port, 1)
            client.execute_command("SENTINEL SET svc down-after-milliseconds 500")
            client.execute_command("SENTINEL SET svc failover-timeout 3000")
        until(self._knows_replica, "the Sentinel knows the replica", 30)

    def close(self) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.close()

    def _knows_replica(self) -> bool:
        with self.sentinel.client as client:
            replicas = client.execute_command("SENTINEL REPLICAS svc")
        # The only field that can be "ok" is master-link-status.
        return any(b"ok" in fields for fields in replicas)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A master and a replica behind a Sentinel."""
    watched = Watched()
    try:
        watched.start()
        yield watched
    finally:
        watched.close()


async def test_a_failed_over_master_is_found(watched: Watched, settings: Settings) -> None:
    """After the master's death the store follows the Sentinel to the next, data and all."""
    store = await Store.connect(watched.url, settings=settings)
    assert await store.run(SET, ["k"], ["v"], wait_replicas=True) == b"OK"
    before = store.run_id
    watched.master.kill()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await store.call("GET", "k", repeatable=True) == b"v"
                await store.run(SET, ["k"], ["w"])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    assert store.run_id != before
    await store.close()


async def test_a_service_that_no_sentinel_knows_is_named(
    watched: Watched, settings: Settings
) -> None:
    """A wrong service name is said, with the Sentinels that were asked."""
    with pytest.raises(StoreUnavailable, match="knows no master of that name"):
        await Store.connect(watched.url.replace("svc", "other"), settings=settings)


@pytest.mark.needs("redis-server")
async def test_tls_checks_the_certificate(tmp_path: Path, settings: Settings) -> None:
    """rediss:// speaks TLS to a server whose certificate it can check, and to no other."""
    _make_certificate(tmp_path)
    port = free_port()
    server = RedisServer(
        Path("/usr/bin/redis-server"),
        options=[
            *("--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(tmp_path / "cert.pem")),
            *("--tls-key-file", str(tmp_path / "key.pem")),
            *("--tls-ca-cert-file", str(tmp_path / "cert.pem")),
        ],
    ).start()
    try:
        url = f"rediss://127.0.0.1:{port}"
        store = await Store.connect(f"{url}?ssl_ca_certs={tmp_path}/cert.pem", settings=settings)
        assert await store.run(SET, ["k"], ["v"]) == b"OK"
        await store.close()
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await Store.connect(url, settings=settings)
    finally:
        server.close()


def _make_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
