"""Mail relays to deliver to: smtp-sink, which takes everything at once, and a recorder."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks import procs
from benchmarks.machine import tool
from benchmarks.sink import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ANSWERS: Final = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


@asynccontextmanager
async def mail_sink(port: int) -> AsyncIterator[None]:
    """Run a sink on that port of this machine."""
    # It insists on giving up root's rights.
    options = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        tool("smtp-sink", "postfix"), *options, f"127.0.0.1:{port}", "1024"
    )
    try:
        await listening(port, process)
        yield
    finally:
        await procs.stop(process)


@dataclass
class MailRecorder:
    """Takes mails and keeps the first one as it was sent, dots and all."""

    first: asyncio.Future[bytes] = field(default_factory=asyncio.Future)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer well to whatever one client says."""
        writer.write(b"220 recorder\r\n")
        try:
            while line := await reader.readline():
                word = line[:4].upper().strip()
                writer.write(_ANSWERS.get(word, b"250 fine\r\n"))
                if word == b"DATA":
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    if not self.first.done():
                        self.first.set_result(mail[:-3])
                    writer.write(b"250 kept\r\n")
        finally:
            writer.close()


@asynccontextmanager
async def mail_recorder(port: int) -> AsyncIterator[MailRecorder]:
    """Run a recorder in this process."""
    kept = MailRecorder()
    server = await asyncio.start_server(kept.serve, "127.0.0.1", port)
    try:
        yield kept
    finally:
        server.close()
