"""The embedded database against kill -9, second starts and foreign data."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from engine.data_lock import DataLock
from engine.embedded import EmbeddedServer
from engine.errors import ConfigurationError
from engine.settings import Durability, Settings
from engine.store.connection import Store
from tests.servers import make_settings, redis62_binary, until, valkey_binary

_PARENT = """
import asyncio, sys
from pathlib import Path
from engine.embedded import EmbeddedServer
from engine.settings import Settings

async def main():
    data = Path(sys.argv[1])
    server = await EmbeddedServer.start(data, Settings(data=data))
    print(server.pid, server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

_ORPHANING_PARENT = """
import os, subprocess, sys
from pathlib import Path
from engine.data_lock import DataLock

lock = DataLock.acquire(Path(sys.argv[1]))
home = lock.directory / "valkey"
home.mkdir()
socket = str(home / "socket")
server = subprocess.Popen(
    [sys.argv[2], "--port", "0", "--unixsocket", socket, "--dir", str(home), "--save", "",
     "--appendonly", "yes", "--appendfsync", "always", "--appenddirname", "aof"],
    pass_fds=[lock.descriptor], stdout=subprocess.DEVNULL, start_new_session=True,
)
lock.record(server.pid, socket=socket)
(lock.directory / "server.json").write_text('{"family": "valkey", "version": "9"}')
print(server.pid, "unix://" + socket, flush=True)
sys.stdin.read()
"""


class Parent:
    """A process that runs an embedded server."""

    def __init__(self, data: Path, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(data), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        server, self.url = self.process.stdout.readline().split()
        self.server = int(server)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., Parent]]:
    """Starts parents on the test's directory; whatever they leave behind is killed."""
    parents: list[Parent] = []

    def start(script: str = _PARENT, *arguments: str) -> Parent:
        parents.append(Parent(tmp_path / "data", script, *arguments))
        return parents[-1]

    yield start
    for each in parents:
        if each.process.poll() is None:
            each.kill()
        if _lives(each.server):
            os.kill(each.server, signal.SIGKILL)


@pytest.fixture
async def embedded(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """A running embedded server."""
    server = await EmbeddedServer.start(settings.data, settings)
    yield server
    await server.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _keys(server: EmbeddedServer, settings: Settings) -> int:
    store = await Store.connect(server.url, settings=settings)
    count = await store.call("DBSIZE", key="")
    await store.close()
    assert isinstance(count, int)
    return count


async def test_it_keeps_what_fsync_promises(embedded: EmbeddedServer, settings: Settings) -> None:
    """Its own server passes the check for the durability `fsync` and is bounded in memory."""
    store = await Store.connect(embedded.url, settings=settings)
    await store.verify_durability(Durability.FSYNC)
    assert (await store.used_memory())[1] == settings.max_memory
    await store.close()


async def test_nobody_else_can_reach_it(embedded: EmbeddedServer, settings: Settings) -> None:
    """It listens on a Unix socket of its owner's only."""
    store = await Store.connect(embedded.url, settings=settings)
    assert (await store.call("CONFIG", "GET", "port"))[1] == b"0"
    socket = Path(embedded.url.removeprefix("unix://"))
    assert socket.stat().st_mode & 0o077 == 0
    assert settings.data.stat().st_mode & 0o077 == 0
    await store.close()


async def test_acknowledged_keys_survive_the_kill_of_everything(
    parent: Callable[..., Parent], settings: Settings
) -> None:
    """After SIGKILL of parent and server the next start holds all 1,000 keys, within 10 s."""
    first = parent()
    with first.client as client:
        for number in range(1000):
            client.set(f"k{number}", "v")
        os.kill(first.server, signal.SIGKILL)
        first.kill()
    began = time.monotonic()
    server = await EmbeddedServer.start(settings.data, settings)
    assert time.monotonic() - began < 10
    assert await _keys(server, settings) == 1000
    await server.stop()


async def test_no_kill_in_a_row_of_kills_loses_a_key(parent: Callable[..., Parent]) -> None:
    """Parent killed, next started at once, five times: each finds all that was acknowledged."""
    for turn in range(5):
        current = parent()
        with current.client as client:
            assert client.dbsize() == turn * 50
            for number in range(50):
                client.set(f"k{turn}-{number}", "v")
        current.kill()


async def test_of_many_starts_at_once_one_succeeds(settings: Settings) -> None:
    """Starts that race for a directory end as one server and refusals, whoever wins."""
    script = _PARENT.replace("await asyncio.Event().wait()", "sys.stdin.read()")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(settings.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    try:
        until(lambda: [r.poll() for r in racers].count(None) == 1, "all but one are refused", 15)
        (winner,) = (racer for racer in racers if racer.poll() is None)
        assert winner.stdout is not None
        assert b"unix://" in winner.stdout.readline()
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


async def test_the_server_dies_with_its_parent(parent: Callable[..., Parent]) -> None:
    """SIGKILL of the parent alone ends the server."""
    first = parent()
    first.kill()
    until(lambda: not _lives(first.server), "the server is gone", 5)


async def test_an_orphaned_server_is_stopped_before_another_starts(
    parent: Callable[..., Parent], settings: Settings
) -> None:
    """If a server outlives its parent, the next start ends it and keeps what it held."""
    orphaned = parent(_ORPHANING_PARENT, str(valkey_binary()))
    with orphaned.client as client:
        until(lambda: _answers(client), "the server answers")
        for number in range(100):
            client.set(f"k{number}", "v")
    orphaned.kill()
    assert _lives(orphaned.server)
    server = await EmbeddedServer.start(settings.data, settings)
    assert not _lives(orphaned.server)
    assert await _keys(server, settings) == 100
    await server.stop()


async def test_a_stalled_orphan_does_not_keep_the_directory(
    parent: Callable[..., Parent], settings: Settings
) -> None:
    """An orphaned server that ignores SIGTERM is killed, and the start still takes < 10 s."""
    orphaned = parent(_ORPHANING_PARENT, str(valkey_binary()))
    os.kill(orphaned.server, signal.SIGSTOP)
    orphaned.kill()
    began = time.monotonic()
    server = await EmbeddedServer.start(settings.data, settings)
    assert time.monotonic() - began < 10
    assert not _lives(orphaned.server)
    await server.stop()


async def test_a_second_start_names_the_holder(
    parent: Callable[..., Parent], settings: Settings
) -> None:
    """While the first runs, another start on its directory is refused and leaves it alone."""
    first = parent()
    with pytest.raises(ConfigurationError, match=f"in use by process {first.process.pid};"):
        await EmbeddedServer.start(settings.data, settings)
    with first.client as client:
        assert client.ping()


async def test_a_dead_server_is_noticed_and_starts_again(
    embedded: EmbeddedServer, settings: Settings
) -> None:
    """Its death shows, and a restart under the same lock has the same URL and the same data."""
    store = await Store.connect(embedded.url, settings=settings)
    await store.call("SET", "k", "v")
    url, process = embedded.url, store.run_id
    os.kill(embedded.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await embedded.process_died.wait()
    await embedded.restart()
    assert embedded.url == url
    assert await store.call("GET", "k", repeatable=True) == b"v"
    assert store.run_id != process
    await store.close()


async def test_the_directory_is_free_after_a_stop(settings: Settings) -> None:
    """Start, stop and start again in one process finds the data again."""
    for expected in (0, 1):
        server = await EmbeddedServer.start(settings.data, settings)
        assert await _keys(server, settings) == expected
        store = await Store.connect(server.url, settings=settings)
        await store.call("SET", "k", "v")
        await store.close()
        await server.stop()


async def test_data_of_another_family_is_refused(settings: Settings) -> None:
    """A directory that Redis wrote is not opened, empty, by Valkey."""
    settings.data.mkdir()
    (settings.data / "server.json").write_text(json.dumps({"family": "redis", "version": "7.2.0"}))
    with pytest.raises(ConfigurationError, match="written by redis"):
        await EmbeddedServer.start(settings.data, settings)


@pytest.mark.needs("redis-server")
async def test_another_server_can_be_named(tmp_path: Path) -> None:
    """TOCSIN_REDIS_SERVER=redis-server runs that one; Valkey then refuses what it wrote."""
    redis_settings = make_settings(tmp_path, redis_server="redis-server")
    server = await EmbeddedServer.start(tmp_path, redis_settings)
    store = await Store.connect(server.url, settings=redis_settings)
    assert store.family == "redis"
    await store.close()
    await server.stop()
    with pytest.raises(ConfigurationError, match=r"written by redis, .* is valkey"):
        await EmbeddedServer.start(tmp_path, make_settings(tmp_path))


async def test_too_old_a_server_is_refused(tmp_path: Path) -> None:
    """The embedded database needs 7.0; Redis 6.2 is named and refused."""
    settings = make_settings(tmp_path, redis_server=str(redis62_binary()))
    with pytest.raises(ConfigurationError, match=r"is redis 6\.2\.\d+, but .* 7\.0 or later"):
        await EmbeddedServer.start(tmp_path, settings)


async def test_a_cut_last_write_does_not_stop_a_start(settings: Settings) -> None:
    """Half a command at the file's end, as a power cut leaves it, costs that command only."""
    server = await EmbeddedServer.start(settings.data, settings)
    store = await Store.connect(server.url, settings=settings)
    await store.call("SET", "k", "v")
    await store.close()
    await server.stop()
    (file,) = settings.data.glob("valkey/aof/*.incr.aof")
    file.write_bytes(file.read_bytes() + b"*3\r\n$3\r\nSET\r\n$1\r\nl")
    server = await EmbeddedServer.start(settings.data, settings)
    assert await _keys(server, settings) == 1
    await server.stop()


async def test_a_deep_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A path longer than a socket's may be works, and its short stand-in goes with the stop."""
    deep = tmp_path / ("d" * 120)
    server = await EmbeddedServer.start(deep, make_settings(deep))
    socket = Path(server.url.removeprefix("unix://"))
    assert socket.is_socket()
    assert socket.parent.stat().st_mode & 0o077 == 0
    await server.stop()
    assert not socket.parent.exists()


async def test_a_server_that_cannot_start_says_why(settings: Settings) -> None:
    """A damaged append-only file is reported in the server's own words, and the lock let go."""
    server = await EmbeddedServer.start(settings.data, settings)
    await server.stop()
    (manifest,) = settings.data.glob("valkey/aof/*.manifest")
    manifest.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match=r"did not start: .*valkey\.log"):
        await EmbeddedServer.start(settings.data, settings)
    DataLock.acquire(settings.data).release()


async def test_a_program_that_is_no_server_is_named(tmp_path: Path) -> None:
    """A wrong TOCSIN_REDIS_SERVER is one sentence that names it."""
    settings = make_settings(tmp_path, redis_server="/bin/true")
    with pytest.raises(ConfigurationError, match="true is not a Valkey or Redis server"):
        await EmbeddedServer.start(tmp_path, settings)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
