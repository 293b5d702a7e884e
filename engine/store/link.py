"""One connection to a Redis server, which any number of calls share: the wire itself.

Commands leave in the order of the calls, and their replies come back in that order, so a call
never waits for a free connection. What calls ask in one turn of the event loop leaves with one
write at its end: it arrives together, and one fsync of the server serves them all.

Nobody ever reads another's reply: a call that gives up leaves its place in the queue, where its
replies are dropped. Redis's protocol is parsed by hiredis; the rest is here because it is on
the path of every message (DECISIONS.md, 25).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import hiredis

from engine.store.address import Place

Arg = str | bytes | int | float
Command = tuple[Arg, ...]

CALL_SECONDS: Final = 1.8
"""Bound of one call, connecting included: an API request answers within two seconds."""

_NOTHING: Final = object()


class ReplyError(Exception):
    """An error reply; its text begins with the server's code."""

    @property
    def code(self) -> str:
        """The first word, such as ``MOVED``."""
        return str(self).partition(" ")[0]


class ConnectionLost(Exception):
    """The exchange broke off: the commands may or may not have run."""


class CredentialsRefused(Exception):
    """The server does not let us in."""


class _Asked:
    """One call under way: how many replies it still lacks, and since when it waits."""

    __slots__ = ("at", "future", "left", "replies")

    def __init__(self, future: asyncio.Future[list[Any]], count: int, at: float) -> None:
        self.future = future
        self.left = count
        self.replies: list[Any] = []
        self.at = at


class Link(asyncio.Protocol):
    """An open connection; get one from `connect`.

    ``broken`` once it takes no more calls: it was lost, or `retire` was called.
    """

    def __init__(self) -> None:
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(
            protocolError=ConnectionLost, replyError=ReplyError, notEnoughData=_NOTHING
        )
        self._waiting: deque[_Asked] = deque()
        self._leaving: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def load(self) -> int:
        """Calls that wait for replies."""
        return len(self._waiting)

    def ask(self, packed: bytes, count: int, *, timed: bool = True) -> asyncio.Future[list[Any]]:
        """Send ``count`` packed commands; the future holds their replies, error replies as values.

        It fails with `ConnectionLost` when they do not all arrive, and with `TimeoutError`
        when they have not within `CALL_SECONDS`, unless it is not ``timed``.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.broken or self._transport is None:
            future.set_exception(ConnectionLost("closed"))
            return future
        asked = _Asked(future, count, self._loop.time() if timed else float("inf"))
        self._waiting.append(asked)
        if timed and self._watch is None:
            self._watch = self._loop.call_later(CALL_SECONDS, self._look)
        if not self._leaving:
            self._loop.call_soon(self._write)
        self._leaving.append(packed)
        return future

    def _write(self) -> None:
        """Send what was asked in the turn that has ended."""
        leaving, self._leaving = self._leaving, []
        if leaving and self._transport is not None:
            self._transport.write(b"".join(leaving) if len(leaving) > 1 else leaving[0])

    def retire(self) -> None:
        """Take no more calls and close once those under way have ended."""
        self.broken = True
        if not self._waiting and self._transport is not None:
            self._transport.close()

    async def closed(self) -> None:
        """Wait until the connection has ended, after `retire` or `abort`; cut it if it hangs."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await asyncio.shield(self._closed)
        except TimeoutError:
            self.abort("closed")

    def abort(self, reason: str) -> None:
        """Close now; calls under way fail with `ConnectionLost`."""
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport  # type: ignore[assignment]  # a stream's is one

    def data_received(self, data: bytes) -> None:
        """Hand replies to those who wait for them."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                asked = waiting[0]
                asked.replies.append(reply)
                asked.left -= 1
                if not asked.left:
                    waiting.popleft()
                    if not asked.future.done():
                        asked.future.set_result(asked.replies)
        except IndexError:
            self.abort("a reply that nobody asked for")
        except ConnectionLost as error:
            self.abort(str(error))
        if self.broken and not waiting and self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._fail(str(exc or "closed by the server"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _fail(self, reason: str) -> None:
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._leaving.clear()
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(ConnectionLost(reason))

    def _look(self) -> None:
        """Give up calls that wait too long; a server that is silent gets no more of them."""
        self._watch = None
        now = self._loop.time()
        for asked in self._waiting:
            wait = asked.at + CALL_SECONDS - now
            if wait > 0:
                if wait < CALL_SECONDS:
                    self._watch = self._loop.call_later(wait, self._look)
                return
            if not asked.future.done():
                asked.future.set_exception(TimeoutError())
            self.broken = True
        if self._waiting:
            self.abort("silent")


async def connect(place: Place, *, tls: bool, options: Mapping[str, Any]) -> tuple[Link, bytes]:
    """Open a connection, log in, and return it with the server's ``INFO server``.

    ``options`` are those of `engine.store.address.Target`. Raises `OSError`,
    `ConnectionLost`, `ReplyError` and `CredentialsRefused`. Not bounded in time: the caller is.
    """
    loop = asyncio.get_running_loop()
    host, port = place
    link: Link
    if port:
        context = _tls(options) if tls else None
        _, link = await loop.create_connection(Link, host, port, ssl=context)
    else:
        _, link = await loop.create_unix_connection(Link, host)
    try:
        return link, await _log_in(link, options)
    except BaseException:
        link.abort("not logged in")
        raise


async def _log_in(link: Link, options: Mapping[str, Any]) -> bytes:
    commands: list[Command] = []
    if "password" in options:
        user = (options["username"],) if "username" in options else ()
        commands.append(("AUTH", *user, options["password"]))
    if "client_name" in options:
        commands.append(("CLIENT", "SETNAME", options["client_name"]))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    commands.append(("INFO", "server"))
    replies = await link.ask(b"".join(map(pack, commands)), len(commands), timed=False)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, ReplyError):
            if command[0] == "AUTH" or reply.code in {"NOAUTH", "NOPERM"}:
                raise CredentialsRefused(str(reply))
            raise reply
    info: bytes = replies[-1]
    return info


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    context.check_hostname = options.get("ssl_check_hostname", True)
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


def pack(command: Sequence[Arg]) -> bytes:
    """A command as it goes over the wire."""
    # Its stub says a tuple of one.
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
    return packed
