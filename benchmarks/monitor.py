"""Counts the commands that a server is sent.

``total_commands_processed`` and ``commandstats`` count commands inside scripts as well as
those that clients send (seen on Valkey 9.1 and Redis 7), so the suites listen to MONITOR,
where a line from inside a script is marked ``lua``. MONITOR slows the server: no suite that
uses it measures speed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_LINE = re.compile(r'^\+?[\d.]+ \[\d+ ([^\]]+)\] "([^"]*)"(?: "([^"]*)")?')


class Command(NamedTuple):
    """One line of MONITOR; ``name`` is ``evalsha:settle`` for a script that is known."""

    name: str
    inside_script: bool


def parse(line: str, scripts: Mapping[str, str]) -> Command | None:
    """Read a line; None for one that is no command. ``scripts`` maps SHA-1 to name."""
    found = _LINE.match(line)
    if found is None:
        return None
    source, name, argument = found[1], found[2].lower(), found[3] or ""
    if name in {"evalsha", "evalsha_ro"}:
        name = f"{name}:{scripts.get(argument, argument[:8])}"
    return Command(name, source == "lua")


def known_scripts() -> dict[str, str]:
    """SHA-1 to name of every script in the engine's source."""
    root = Path(__file__).parent.parent / "engine"
    return {hashlib.sha1(path.read_bytes()).hexdigest(): path.stem for path in root.rglob("*.lua")}


class Counts:
    """What has been seen so far, by command."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()

    def add(self, command: Command) -> None:
        """Count one."""
        (self.inside if command.inside_script else self.sent)[command.name] += 1

    def reset(self) -> None:
        """Start again from nothing."""
        self.sent.clear()
        self.inside.clear()


@asynccontextmanager
async def monitor(url: str) -> AsyncIterator[Counts]:
    """Count every command that the server at ``url`` executes while the block runs."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(parts.path, limit=2**20)
    else:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)
    writer.write(b"MONITOR\r\n")
    if await reader.readline() != b"+OK\r\n":
        raise RuntimeError("the server refused MONITOR")
    counts, scripts = Counts(), known_scripts()

    async def listen() -> None:
        while line := await reader.readuntil(b"\n"):
            command = parse(line.decode(errors="replace"), scripts)
            if command is not None:
                counts.add(command)

    task = asyncio.create_task(listen())
    try:
        yield counts
    finally:
        task.cancel()
        writer.close()
        with suppress(asyncio.CancelledError):
            await task
