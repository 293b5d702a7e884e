"""Processes seen from outside: processor time, memory, children (by /proc), and their end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 20.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used, its threads included."""
    # The name in parentheses may hold spaces: count fields from its end (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_kib(pid: int) -> int:
    """The largest resident size the process has had (VmHWM)."""
    return _status(pid, "VmHWM")


def resident_kib(pid: int) -> int:
    """The resident size now (VmRSS)."""
    return _status(pid, "VmRSS")


def command(pid: int) -> list[str]:
    """The command line as its arguments."""
    raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the read
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for each in found:
        found += children.get(each, ())
    return found


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"{name} of process {pid}")


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask a process of our own to end; kill it if it does not: nginx has been seen to go on."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
