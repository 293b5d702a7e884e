"""Endpoints to deliver to: nginx that answers at once, a recorder, and servers that hang."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import aiohttp

from benchmarks import procs
from benchmarks.machine import tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

_CONF: Final = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.err warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    log_format arrivals '$msec $http_x_smn_message_id';
    access_log {access_log};
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{port} backlog=16384;
        location / {{ return 200; }}
        location = /status {{ stub_status; access_log off; }}
    }}
}}
"""
_CONNECTIONS = re.compile(r"Active connections: (\d+)")
_COUNTS = re.compile(r"^ (\d+) (\d+) (\d+)", re.MULTILINE)
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")


class Sink:
    """An nginx that answers 200 to every POST; counts what it answered."""

    def __init__(self, port: int, directory: Path, pid: int) -> None:
        self.pid = pid
        self._port = port
        self._directory = directory
        self._asked = 0
        self._session = aiohttp.ClientSession()

    def urls(self, count: int) -> list[str]:
        """``count`` endpoints that differ in their path."""
        return [f"http://127.0.0.1:{self._port}/e/{number:06d}" for number in range(count)]

    async def count(self) -> int:
        """Requests answered so far, without the ones that asked for this."""
        found = await self._status(_COUNTS)
        return int(found[3]) - self._asked

    async def connections(self) -> int:
        """Connections open now, without the one that asks."""
        return int((await self._status(_CONNECTIONS))[1]) - 1

    async def _status(self, pattern: re.Pattern[str]) -> re.Match[str]:
        async with self._session.get(f"http://127.0.0.1:{self._port}/status") as answer:
            found = pattern.search(await answer.text())
        if found is None:
            raise RuntimeError("nginx's stub_status has an unknown form")
        self._asked += 1
        return found

    def arrivals(self) -> list[tuple[float, str]]:
        """(seconds since the epoch, message id) of each answered request, as logged."""
        with (self._directory / "arrivals.log").open(encoding="utf-8") as file:
            pairs = (line.split() for line in file)
            return [(float(at), name) for at, name in pairs]

    async def ceiling(self, headers: dict[str, str], body: bytes, seconds: float) -> float:
        """Requests/s that wrk reaches against this sink with one delivery's bytes."""
        script = self._directory / "post.lua"
        script.write_text(_wrk_script(headers, body), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            tool("wrk", "wrk"),
            "-t1",
            "-c128",
            f"-d{max(1, round(seconds))}s",
            f"-s{script}",
            self.urls(1)[0],
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        found = _RATE.search(out.decode())
        if found is None:
            raise RuntimeError(f"wrk printed no rate: {out.decode()}")
        return float(found[1])

    async def close(self) -> None:
        """Close the connection for counts."""
        await self._session.close()


def _wrk_script(headers: dict[str, str], body: bytes) -> str:
    def literal(text: str) -> str:
        return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'

    lines = ['wrk.method = "POST"', f"wrk.body = {literal(body.decode())}"]
    lines += [f"wrk.headers[{literal(k)}] = {literal(v)}" for k, v in headers.items()]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def nginx(directory: Path, *, log_arrivals: bool = False) -> AsyncIterator[Sink]:
    """Run a sink; its files go to ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = f"{directory}/arrivals.log arrivals buffer=256k flush=1s" if log_arrivals else "off"
    conf = directory / "nginx.conf"
    conf.write_text(_CONF.format(directory=directory, access_log=log, port=port), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        tool("nginx", "nginx-light"), "-p", str(directory), "-e", "stderr", "-c", str(conf)
    )
    sink = Sink(port, directory, process.pid)
    try:
        await listening(port, process)
        yield sink
    finally:
        await sink.close()
        await procs.stop(process)


async def listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until a process listens; raises `RuntimeError` if it ends instead."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                if process.returncode is not None:
                    raise RuntimeError("the sink did not start; see its message above") from None
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Arrival(NamedTuple):
    """One request as it came: when (monotonic seconds), path, headers as sent, body."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """Answers 200 at once and keeps what arrived."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[Arrival]] = field(default_factory=dict)

    def urls(self, count: int) -> list[str]:
        """``count`` endpoints that differ in their path."""
        return [f"http://127.0.0.1:{self.port}/r/{number:06d}" for number in range(count)]

    def add(self, arrival: Arrival) -> None:
        """Keep an arrival and wake who waits for its message."""
        self.arrivals.append(arrival)
        name = header(arrival.headers, "x-smn-message-id")
        waiter = self._waiting.setdefault(name, asyncio.get_running_loop().create_future())
        if not waiter.done():
            waiter.set_result(arrival)

    async def first(self, message_id: str) -> Arrival:
        """The first arrival of a message, also if it came before this was asked."""
        waiter = self._waiting.setdefault(message_id, asyncio.get_running_loop().create_future())
        return await waiter


def header(headers: dict[str, str], name: str) -> str:
    """A header's value whatever its case, empty if it is not there."""
    return next((value for key, value in headers.items() if key.lower() == name), "")


class _Recording(asyncio.Protocol):
    """As little HTTP as one sender on a kept connection needs."""

    def __init__(self, add: Callable[[Arrival], None]) -> None:
        self._add = add
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not registered as asyncio's: nothing to check against.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name: value.strip() for name, _, value in (x.partition(":") for x in lines)}
            total = end + 4 + int(header(headers, "content-length") or 0)
            if len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self._add(Arrival(at, first.split(" ")[1], headers, body))


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """Run a recorder in this process."""
    kept = Recorder()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Recording(kept.add), "127.0.0.1", 0, backlog=1024)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()


@dataclass
class Hung:
    """Endpoints that accept, read and never answer."""

    urls: list[str]
    attempts: int = 0
    """Requests that they have been sent."""


class _Silent(asyncio.Protocol):
    def __init__(self, hung: Hung) -> None:
        self._hung = hung

    def data_received(self, data: bytes) -> None:
        self._hung.attempts += data.startswith(b"POST ")


@asynccontextmanager
async def silent(ports: int, count: int) -> AsyncIterator[Hung]:
    """Run ``count`` hung endpoints, spread over ``ports`` listeners, in this process."""
    loop, hung, numbers = asyncio.get_running_loop(), Hung([]), []
    async with AsyncExitStack() as stack:
        for _ in range(ports):
            server = await loop.create_server(lambda: _Silent(hung), "127.0.0.1", 0, backlog=1024)
            stack.callback(server.close)
            numbers.append(server.sockets[0].getsockname()[1])
        hung.urls += [f"http://127.0.0.1:{numbers[i % ports]}/h/{i:06d}" for i in range(count)]
        yield hung
