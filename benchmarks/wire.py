"""A client that writes requests as they are: nothing of its own between clock and socket."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from benchmarks.client import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Published(NamedTuple):
    """A message that was accepted; ``sent`` is the monotonic time when its request was written."""

    message_id: str
    sent: float


class Wire:
    """One kept connection to an API; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._free = asyncio.Lock()

    async def publish(self, request: bytes) -> Published:
        """Send a whole request that publishes; its time is that of the write."""
        async with self._free:
            sent = time.monotonic()
            self._writer.write(request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            status, *lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines if line)
            text = await self._reader.readexactly(int(fields["content-length"]))
        if status.split()[1] != "200":
            raise ApiError(f"publish: {status} {text.decode(errors='replace')}")
        return Published(str(json.loads(text)["message_id"]), sent)


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """Connect to the origin of a URL until the block ends."""
    origin = urlsplit(url)
    reader, writer = await asyncio.open_connection(origin.hostname, origin.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
