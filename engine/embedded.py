"""The embedded default: a private Valkey or Redis server in the data directory.

A real server under a real client. It appends every write to a file and syncs it before it
answers, listens on a Unix socket only, and dies with the process that started it. What it
answered survives the SIGKILL of everything; the directory's lock, which it inherits, keeps
two servers from ever running on one append-only file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from engine import embedded_child
from engine.data_lock import DataLock, terminate_group
from engine.embedded_binary import ServerBinary, find_server
from engine.errors import ConfigurationError, StoreUnavailable
from engine.settings import Settings

_LISTEN_SECONDS: Final = 8.0
"""Until the socket answers at all; the server opens it before it reads its files."""

_LOAD_SECONDS: Final = 300.0
"""Until the append-only file is read: gigabytes from a slow disk."""

_POLL_SECONDS: Final = 0.01
_LOG_BYTES: Final = 10 * 1024**2
"""Size at which the server's log is put aside at the next start."""

_LONGEST_SOCKET: Final = 100
"""Bytes of a Unix socket's path: the kernels take 104 (macOS) to 108 (Linux)."""


class EmbeddedServer:
    """A running database server of our own; `start` makes one.

    ``process_died`` is set when it ends, asked or not; `restart` clears it.
    """

    def __init__(self, lock: DataLock, binary: ServerBinary, max_memory: int) -> None:
        """Use `start`."""
        self.process_died = asyncio.Event()
        self._lock = lock
        self._owns_lock = False
        self._binary = binary
        self._max_memory = max_memory
        self._directory = lock.directory / "valkey"
        self._temporary = ""
        self._socket = self._directory / "socket"
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._pipe = -1
        self.log = self._directory / "valkey.log"
        self._log_read = 0

    @classmethod
    async def start(cls, data: Path, settings: Settings, *, lock: DataLock | None = None) -> Self:
        """Lock the directory, unless ``lock`` already does, and start the server in it.

        Returns when it has read its files and answers. An orphaned server of a killed process
        is stopped first. Raises `ConfigurationError` when the directory is in use, belongs to
        another family of servers, or the server does not start.
        """
        binary = await asyncio.to_thread(find_server, settings.redis_server)
        owns_lock = lock is None
        if lock is None:
            lock = await asyncio.to_thread(DataLock.acquire, data)
        server = cls(lock, binary, settings.max_memory)
        server._owns_lock = owns_lock
        try:
            await asyncio.to_thread(server._prepare)
            await server._launch()
        except BaseException:
            await server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """The URL to reach it by."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int:
        """Its process id, 0 when it does not run."""
        return 0 if self._process is None else self._process.pid

    async def restart(self) -> None:
        """Start it again, under the lock still held, after it died; same URL, same data."""
        await self._end()
        await self._launch()

    async def stop(self) -> None:
        """Stop it and let the directory go."""
        await self._end()
        self._lock.record()
        if self._temporary:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)
        if self._owns_lock:
            self._lock.release()

    def _prepare(self) -> None:
        """Check whose data the directory holds and choose the socket's place."""
        _check_family(self._lock.directory, self._binary)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET:
            self._temporary = tempfile.mkdtemp(prefix="tocsin-")
            self._socket = Path(self._temporary) / "socket"
        self._socket.unlink(missing_ok=True)
        if self._log_size() > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    async def _launch(self) -> None:
        self._log_read = await asyncio.to_thread(self._log_size)
        theirs, self._pipe = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-IS", embedded_child.__file__, str(os.getpid()), str(theirs)),
                *(str(self._binary.path), *self._options()),
                # The lock goes to the database, and to it alone.
                pass_fds=(theirs, self._lock.descriptor),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # Ctrl-C goes to a terminal's whole group, and the database must outlive the
                # workers that drain. A group of its own also takes its rewrite child along.
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._lock.record(
            self._process.pid,
            socket=str(self._socket),
            temporary=self._temporary,
            family=self._binary.family,
            version=self._binary.version,
        )
        self.process_died.clear()
        self._watcher = asyncio.create_task(self._watch(self._process))
        await self._until_ready()

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "logfile": str(self.log),
            "appendonly": "yes",
            "appendfsync": "always",
            "appenddirname": "aof",
            # A crash may cut the last entry short; nobody was told that it was kept.
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory": str(self._max_memory),
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.process_died.set()

    async def _until_ready(self) -> None:
        """Wait until the server answers PING, through the time when it reads its files."""
        listening = False
        try:
            async with asyncio.timeout(_LISTEN_SECONDS) as bound:
                while (answer := await _ping(self._socket)) != b"+PONG":
                    if self.process_died.is_set():
                        raise ConfigurationError(await asyncio.to_thread(self._last_words))
                    if answer.startswith(b"-LOADING") and not listening:
                        listening = True
                        bound.reschedule(asyncio.get_running_loop().time() + _LOAD_SECONDS)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"The embedded database did not answer in time; see {self.log}."
            ) from error

    def _last_words(self) -> str:
        written = self.log.read_bytes()[self._log_read :] if self.log.exists() else b""
        # A line's '#' marks a warning; the reason for an early end is the last of them.
        warnings = [line for line in written.decode(errors="replace").splitlines() if " # " in line]
        reason = warnings[-1].partition(" # ")[2] if warnings else "it left no reason"
        return (
            f"The embedded database {self._binary.path} did not start: {reason.rstrip('.')};"
            f" see {self.log}."
        )

    async def _end(self) -> None:
        """End the process, if it runs, and everything that belonged to it."""
        process, self._process = self._process, None
        if process is not None and not self.process_died.is_set():
            await asyncio.to_thread(terminate_group, process.pid, self.process_died.is_set)
        if self._watcher is not None:
            await self._watcher
            self._watcher = None
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


async def _ping(socket: Path) -> bytes:
    """The first line of the server's answer to PING, empty when there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return b""
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).rstrip()
    except OSError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _check_family(directory: Path, binary: ServerBinary) -> None:
    """Refuse a directory of another family; note the family and version that now opens it."""
    note = directory / "server.json"
    if note.exists():
        try:
            family = json.loads(note.read_text())["family"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{note} does not say which server's data this is.") from error
    else:
        family = None if (directory / "valkey" / "aof").exists() else binary.family
    if family is None:
        raise ConfigurationError(f"{note} is missing beside a database that needs it.")
    if family != binary.family:
        raise ConfigurationError(
            f"The data in {directory} was written by {family}, and {binary.path} is"
            f" {binary.family}; set TOCSIN_REDIS_SERVER to a {family}-server."
        )
    fresh = note.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump({"family": binary.family, "version": binary.version}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(note)
