"""One server: the connections to it, who it is, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import StoreError, StoreFull, StoreUnavailable, StoreUnfit
from engine.store import link as links
from engine.store.address import Place, place_name
from engine.store.link import Command, ConnectionLost, CredentialsRefused, Link, ReplyError, pack

_SHARED: Final = 4
"""Connections that all calls share. One would do for replies; but the server takes 16 KB from
each at a time, and what it takes together shares an fsync."""
_BUSY: Final = 8
"""Calls under way on each of them before there is another."""
_OWN: Final = 32
"""Connections for calls that must have one of their own, at most."""

_OLDEST: Final = (6, 2)

# Errors that say "not now" or "not here"; nothing was executed.
_UNAVAILABLE_CODES: Final = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
    "BUSY ",
    "UNBLOCKED",
)


class NotConnected(StoreUnavailable):
    """No connection could be made: nothing was sent."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Who answered: family ``redis`` or ``valkey``, its version, and the id of its process."""

    family: str
    version: str
    run_id: str
    cluster: bool


def translate(error: Exception, name: str) -> StoreError:
    """The error of ours that an error reply, or a broken connection, stands for."""
    text = str(error)
    if isinstance(error, CredentialsRefused) or text.startswith(("NOAUTH ", "NOPERM ")):
        return StoreUnfit(f"The Redis server at {name} refuses the credentials: {text}")
    if text.startswith("OOM ") or "-OOM " in text:
        return StoreFull(f"The Redis server at {name} is out of memory.")
    if (
        isinstance(error, ConnectionLost | OSError)
        or text.startswith(_UNAVAILABLE_CODES)
        # Redis 6.2 wraps what a command inside a script answered.
        or any(f"-{code}" in text for code in _UNAVAILABLE_CODES)
    ):
        return StoreUnavailable(f"The Redis server at {name} is not available: {text}")
    return StoreError(text)


def as_ours(reply: Any, name: str) -> Any:
    """The reply itself, or for an error reply the error of ours, chained."""
    if isinstance(reply, Exception):
        error = translate(reply, name)
        error.__cause__ = reply
        return error
    return reply


def or_raise(reply: Any) -> Any:
    """The reply itself, or raise it if it is an error of ours."""
    if isinstance(reply, StoreError):
        raise reply
    return reply


def lost(node: Node, error: ConnectionLost) -> StoreUnavailable:
    """The error of ours for an exchange that broke off."""
    return StoreUnavailable(f"The connection to Redis at {node.name} was lost: {error}")


class Node:
    """One server. ``info`` is what it said of itself when it last took a connection."""

    def __init__(self, place: Place, *, tls: bool, options: Mapping[str, Any]) -> None:
        """``options`` are credentials, database and TLS settings of `address.Target`."""
        self.place = place
        self.name = place_name(place)
        self.info: ServerInfo | None = None
        self._tls = tls
        self._options = options
        self._shared: list[Link] = []
        self._opening = 0
        self._own: list[Link] = []
        self._room = asyncio.Semaphore(_OWN)
        self._closed = False

    def ready(self) -> Link | None:
        """An open connection with room, None where one has to be made first."""
        best = None
        for link in self._shared:
            if not link.broken and (best is None or link.load < best.load):
                best = link
        if best is None or (best.load >= _BUSY and len(self._shared) + self._opening < _SHARED):
            return None
        return best

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands in one write and return their replies; error replies stay values.

        Raises `ConnectionLost` when the replies did not all arrive, `NotConnected` when no
        connection could be made, `StoreUnfit` for a server too old, `TimeoutError` when it is
        silent. Connecting is not bounded in time: the caller is.
        """
        link = self.ready()
        if link is None:
            link = await self._share()
        return await self.ask(link, commands)

    async def ask(self, link: Link, commands: Sequence[Command]) -> list[Any]:
        """As `exchange`, on a connection that is ready."""
        packed = pack(commands[0]) if len(commands) == 1 else b"".join(map(pack, commands))
        try:
            return await link.ask(packed, len(commands))
        except ConnectionLost:
            # The others lead to the same server; the next call shall not trip over them.
            self.drop_links()
            raise

    async def exchange_alone(self, commands: Sequence[Command]) -> list[Any]:
        """As `exchange`, on a connection that nobody else waits behind meanwhile."""
        async with self._room:
            link = None
            while self._own and (link is None or link.broken):
                link = self._own.pop()
            if link is None or link.broken:
                link = await self.connect()
            try:
                replies = await self.ask(link, commands)
            except BaseException:
                link.abort("given up")
                raise
            if self._closed:
                link.retire()
            else:
                self._own.append(link)
            return replies

    async def connect(self) -> Link:
        """A new connection that the caller owns; notes who answered."""
        try:
            link, info = await links.connect(self.place, tls=self._tls, options=self._options)
        except (ConnectionLost, CredentialsRefused, ReplyError, OSError) as error:
            ours = translate(error, self.name)
            raise (
                NotConnected(str(ours)) if isinstance(ours, StoreUnavailable) else ours
            ) from error
        try:
            self.note(info)
        except StoreUnfit:
            link.abort("not fit")
            raise
        return link

    def note(self, info: bytes) -> None:
        """Take in an INFO reply's section ``server``; raises `StoreUnfit` for one too old."""
        self.info = _server_info(info, self.name)

    def drop_links(self) -> None:
        """Close all connections after their calls: they lead to what is no longer the server."""
        links = self._shared + self._own
        self._shared, self._own = [], []
        for link in links:
            link.retire()

    async def close(self) -> None:
        """Close the connections, each after the calls under way."""
        self._closed = True
        links = self._shared + self._own
        self.drop_links()
        for link in links:
            await link.closed()

    async def _share(self) -> Link:
        self._opening += 1
        try:
            link = await self.connect()
        finally:
            self._opening -= 1
        if self._closed:
            link.retire()
        else:
            self._shared = [one for one in self._shared if not one.broken]
            self._shared.append(link)
        return link


def _server_info(text: bytes, name: str) -> ServerInfo:
    fields = parse_info(text)
    version = fields.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreUnfit(
            f"The Redis server at {name} has version {version}; Tocsin needs Redis 6.2 or Valkey."
        )
    valkey = fields.get("valkey_version")
    return ServerInfo(
        family="valkey" if valkey else "redis",
        version=valkey or version,
        run_id=fields.get("run_id", ""),
        # Valkey has renamed the field.
        cluster="cluster" in {fields.get("redis_mode"), fields.get("server_mode")},
    )


def parse_info(text: bytes) -> dict[str, str]:
    """The fields of an INFO reply."""
    lines = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}
