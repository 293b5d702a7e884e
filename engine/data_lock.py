"""The lock on a data directory, and the record of who holds it.

It is a flock on a descriptor of ``DIR/lock`` that the embedded database inherits: as long as
any process could still write the append-only file, nobody else gets the lock, even after the
process that took it was killed. The record in the file is only ever believed together with
the fact that the lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

from engine.errors import ConfigurationError

_PATIENCE_SECONDS: Final = 8.0
"""How long an orphaned database may take to go; a start is promised within ten seconds."""

_GRACE_SECONDS: Final = 3.0
"""How long it may take before SIGTERM becomes SIGKILL."""

_POLL_SECONDS: Final = 0.02
_RECORD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the directory: the process that took the lock and the database it started.

    ``server`` is 0 while no database runs; ``socket`` its Unix socket; ``temporary`` a
    directory made for the socket alone, empty if it lies in the data directory.
    """

    pid: int
    server: int = 0
    socket: str = ""
    temporary: str = ""
    family: str = ""
    version: str = ""


class DataLock:
    """An exclusive hold on a data directory; `acquire` makes one."""

    def __init__(self, directory: Path, descriptor: int) -> None:
        """Take over a locked descriptor."""
        self.directory = directory
        self.descriptor = descriptor
        self.holder = Holder(os.getpid())

    @classmethod
    def acquire(cls, directory: Path) -> Self:
        """Lock a directory, made if need be; blocks for up to eight seconds.

        An orphaned database of a process that was killed is stopped first. Raises
        `ConfigurationError` that names the holder when it is alive.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory.resolve() / "lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The data directory {directory} cannot be used: {error.strerror}."
            ) from error
        try:
            _lock(descriptor, path)
            previous = _read(descriptor)
            if previous is not None and previous.temporary:
                shutil.rmtree(previous.temporary, ignore_errors=True)
            lock = cls(path.parent, descriptor)
            lock.record()
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):  # a file system without locks, or a full one
                raise ConfigurationError(
                    f"The data directory {directory} cannot be locked: {error.strerror}."
                ) from error
            raise
        return lock

    def record(
        self,
        server: int = 0,
        *,
        socket: str = "",
        temporary: str = "",
        family: str = "",
        version: str = "",
    ) -> None:
        """Write down the database that now inherits the lock, or that there is none."""
        self.holder = replace(
            self.holder,
            server=server,
            socket=socket,
            temporary=temporary,
            family=family,
            version=version,
        )
        # One write of one size: whoever reads meanwhile sees the old record or the new one.
        os.pwrite(self.descriptor, json.dumps(asdict(self.holder)).encode().ljust(_RECORD_BYTES), 0)

    def release(self) -> None:
        """Let go; a database that still runs keeps the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def holder_of(directory: Path) -> Holder | None:
    """Who holds a directory now, None if nobody does; for those who only want to connect."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def terminate_group(leader: int, gone: Callable[[], bool]) -> None:
    """SIGTERM a process group, SIGKILL it after a grace period; returns at once when gone."""
    deadline = time.monotonic() + _GRACE_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGTERM)
        while not gone():
            if time.monotonic() > deadline:
                os.killpg(leader, signal.SIGKILL)
                return
            time.sleep(_POLL_SECONDS)


def _lock(descriptor: int, path: Path) -> None:
    """Wait for the lock as long as only an orphaned database holds it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    stopped: set[int] = set()
    while not _try_lock(descriptor):
        # Read anew each time: a new holder locks first and writes its record then.
        holder = _read(descriptor)
        if holder is not None:
            if _holds(holder.pid, path):
                raise ConfigurationError(_in_use(path, f"by process {holder.pid}"))
            if holder.server not in stopped and _holds(holder.server, path, holder.socket):
                stopped.add(holder.server)
                terminate_group(holder.server, lambda: _try_lock(descriptor))
                continue
        if time.monotonic() > deadline:
            last = f"process {holder.server or holder.pid}" if holder else "another process"
            raise ConfigurationError(_in_use(path, f"by {last} or one that it started"))
        time.sleep(_POLL_SECONDS)


def _in_use(path: Path, by: str) -> str:
    return f"The data directory {path.parent} is in use {by}; stop it or choose another --data."


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Holder | None:
    """The record, or None while there is none that can be read."""
    try:
        return Holder(**json.loads(os.pread(descriptor, _RECORD_BYTES, 0)))
    except (ValueError, TypeError):
        return None


def _holds(pid: int, path: Path, title: str = "") -> bool:
    """Whether a process lives and is the one that was recorded, not a later one of that id.

    On Linux it must have the lock file open; elsewhere its command line must hold ``title``,
    which a database's does: it shows its socket.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return sys.platform != "linux" or not title
    if sys.platform == "linux":
        return _has_open(pid, path)
    ps = ["ps", "-p", str(pid), "-o", "command="]
    said = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return title in said


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        # Another user's: it cannot be looked into, nor be stopped by us.
        return True
    return False
