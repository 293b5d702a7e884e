"""A proxy before a Redis server that holds, drops or refuses, to see what a client does then."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Self

from tests.servers import RedisServer


class Proxy:
    """Passes bytes between its own Unix socket and a server's; an async context manager.

    While ``replies`` is clear the server's replies wait in the proxy; requests always pass.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._directory = tempfile.TemporaryDirectory(prefix="tocsin-proxy-")
        self._path = str(Path(self._directory.name) / "socket")
        self.url = f"unix://{self._path}"
        self.replies = asyncio.Event()
        self.replies.set()
        self.connections = 0
        self._dropping = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._accept, self._path)
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._listener is not None
        self._listener.close()
        await self.cut()
        self._directory.cleanup()

    def drop_replies(self, count: int) -> None:
        """Close the client's connection in place of each of the next ``count`` replies."""
        self._dropping = count

    async def cut(self) -> None:
        """Close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self._server.socket))
        forward = asyncio.create_task(_pass(reader, back))
        try:
            while data := await there.read(65_536):
                await self.replies.wait()
                if self._dropping:
                    self._dropping -= 1
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            forward.cancel()
            for end in (writer, back):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
