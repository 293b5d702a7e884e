"""The real thing under load: a ``tocsin serve`` process, or its parts, on a scratch directory."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import procs
from benchmarks.client import Credentials
from benchmarks.environment import OPTIONS, environment
from benchmarks.wait import until
from engine.app import Engine
from engine.embedded import EmbeddedServer
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Service:
    """A running ``tocsin serve --workers 1``."""

    pid: int
    data: Path
    credentials: Credentials
    redis_url: str

    def worker(self) -> int:
        """The process id of the worker."""
        return self._part("worker")

    def parts(self) -> dict[str, int]:
        """Process ids by what they do: ``api``, ``worker``, ``database``, ``parent``."""
        return {name: self._part(name) for name in ("api", "worker", "database")} | {
            "parent": self.pid
        }

    def _part(self, name: str) -> int:
        for pid in procs.descendants(self.pid):
            words = procs.command(pid)
            if words and name == _role(words):
                return pid
        raise LookupError(f"`serve` has no {name} process")


def _role(words: list[str]) -> str:
    # The server rewrites its title into one word: "PATH/valkey-server unixsocket:…".
    if "valkey-server" in words[0] or "redis-server" in words[0]:
        return "database"
    return next((name for name in ("api", "worker") if name in words), "")


@asynccontextmanager
async def service(scratch: Path, **options: str) -> AsyncIterator[Service]:
    """Run ``tocsin serve`` on an empty data directory until the block ends."""
    data = scratch / "data"
    process = await _start(
        scratch, "serve", "--data", str(data), "--port", "0", options=options, log="serve.log"
    )
    try:
        await _ready(process, scratch / "serve.log")
        yield Service(process.pid, data, _credentials(data), _socket_url(data))
    finally:
        await procs.stop(process)


@asynccontextmanager
async def database(scratch: Path, **options: str) -> AsyncIterator[EmbeddedServer]:
    """Run only the embedded server, as `serve` would start it."""
    server = await EmbeddedServer.start(scratch / "data", settings(scratch, **options))
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def worker(scratch: Path, url: str, **options: str) -> AsyncIterator[int]:
    """Run one ``tocsin worker`` against a database; yields its process id."""
    process = await _start(
        scratch,
        "worker",
        "--data",
        str(scratch / "data"),
        "--redis",
        url,
        options=options,
        log="worker.log",
    )
    try:
        await _ready(process, scratch / "worker.log")
        yield process.pid
    finally:
        await procs.stop(process)


@asynccontextmanager
async def api(scratch: Path, url: str, **options: str) -> AsyncIterator[tuple[Credentials, int]]:
    """Run one ``tocsin api`` against a database; yields how to call it, and its process id."""
    data = scratch / "data"
    process = await _start(
        scratch,
        *("api", "--data", str(data), "--redis", url, "--port", "0"),
        options=options,
        log="api.log",
    )
    try:
        await _ready(process, scratch / "api.log")
        yield _credentials(data), process.pid
    finally:
        await procs.stop(process)


@asynccontextmanager
async def library(scratch: Path, url: str, **options: str) -> AsyncIterator[Engine]:
    """The engine in this process, on the same data set: for what the API does not offer."""
    chosen = settings(scratch, **options)
    async with Engine.open(url, data=scratch / "data", settings=chosen) as engine:
        yield engine


async def new_topic(engine: Engine, name: str) -> str:
    """Create a topic through the library; returns its URN."""
    return (await engine.create_topic(name)).urn


async def subscribe(engine: Engine, topic_urn: str, endpoints: Iterable[str]) -> int:
    """Add confirmed ``http`` subscriptions; returns how many there are now."""
    return await engine.subscriptions.add_many(topic_urn, "http", endpoints)


def settings(scratch: Path, **options: str) -> Settings:
    """The settings that the processes get, for this one."""
    empty = scratch / "empty.toml"
    empty.touch()
    return Settings.read(empty, data=scratch / "data", **{**OPTIONS, **options})


async def _start(
    scratch: Path, *arguments: str, options: Mapping[str, str], log: str
) -> asyncio.subprocess.Process:
    with (scratch / log).open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine",
            *arguments,
            cwd=scratch,
            env=environment(**options),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    if process.stdout is None:
        raise RuntimeError("the process has no standard output")
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode().strip()
    if not line.startswith("ready "):
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the process did not get ready: {line!r}\n{tail}")


def _credentials(data: Path) -> Credentials:
    found = json.loads((data / "credentials.json").read_text(encoding="utf-8"))
    names = ("endpoint", "project_id", "access_key", "secret_key")
    return Credentials(**{name: found[name] for name in names})


def _socket_url(data: Path) -> str:
    for path in sorted(data.rglob("*")):
        if path.is_socket():
            return f"unix://{path}"
    raise LookupError(f"no database socket in {data}")


async def settled(engine: Engine, topic_urn: str) -> int:
    """Deliveries of a topic that the engine's own counters call delivered, this run's all."""
    topic = await engine.topics.get(topic_urn)
    first, last = topic.created_ms // 300_000, engine.clock.now_ms() // 300_000
    total = 0
    for bucket in range(first, last + 1):
        key = engine.keys.counts(topic.id, bucket * 300)
        flat: list[bytes] = await engine.store.call("HGETALL", key)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        total += sum(int(value) for name, value in pairs if name.endswith(b"delivered"))
    return total


async def all_settled(engine: Engine, topic_urn: str, count: int, timeout_s: float) -> None:
    """Wait until the counters say ``count``."""

    async def done() -> bool:
        return await settled(engine, topic_urn) >= count

    await until(done, timeout_s, f"{count} deliveries to settle")
