"""A TCP relay before a server: it notes when a text passes, and can let its server seem dead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from urllib.parse import urlsplit


class Server(Enum):
    """What is behind a tap, as clients see it."""

    WELL = "well"
    HUNG = "hung"
    """Connections open, and nothing ever comes back."""
    GONE = "gone"
    """Connections break."""


class Tap:
    """Passes bytes between its own port and a server's."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._target = port
        self._server = Server.WELL
        self._awaited: dict[bytes, asyncio.Future[float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def passes(self, text: str) -> asyncio.Future[float]:
        """The time at which a client first sends the text, as `time.perf_counter` tells it."""
        future = asyncio.get_running_loop().create_future()
        self._awaited[text.encode()] = future
        return future

    def note(self, recent: bytes) -> None:
        """Look for the awaited texts; for servers that see what TLS hides from here."""
        for text, future in self._awaited.items():
            if not future.done() and text in recent:
                future.set_result(time.perf_counter())

    async def become(self, server: Server) -> None:
        """Change what is behind it, for those that are connected too."""
        self._server = server
        await self.cut()

    async def cut(self) -> None:
        """Break all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            if self._server is Server.WELL:
                await self._pass(reader, writer)
            elif self._server is Server.HUNG:
                while await reader.read(65_536):
                    pass
        writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        back = asyncio.create_task(_pour(from_server, writer))
        recent = b""
        try:
            while piece := await reader.read(65_536):
                recent = (recent + piece)[-131_072:]
                self.note(recent)
                to_server.write(piece)
                await to_server.drain()
        finally:
            to_server.transport.abort()
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tap(target: str | int) -> AsyncIterator[Tap]:
    """A tap before a port or a URL's port, until the block ends."""
    port = target if isinstance(target, int) else urlsplit(target).port
    assert port is not None
    made = Tap(port)
    listener = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        await made.cut()
