"""One server and the connections to it: the only module that touches redis-py.

A connection carries one exchange at a time: commands in one write, replies in one read. It
goes back to the idle ones only after the last reply; a time-out, a cancellation or an error
in between drops it, so that nobody ever reads another's reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import hiredis
import redis.exceptions as foreign
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)

from engine.errors import StoreError, StoreFull, StoreUnavailable, StoreUnfit
from engine.store.address import Place, place_name

Arg = str | bytes | int | float
Command = tuple[Arg, ...]

MAX_CONNECTIONS: Final = 32
"""Connections to one server and process: enough that concurrent publishes share fsyncs, few
enough that hundreds of processes stay below Redis's default of 10,000 clients."""

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


class ConnectionLost(Exception):
    """The exchange broke off: the commands may or may not have run."""


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
    """The error of ours that an error reply, or redis-py, stands for."""
    text = str(error)
    # redis-py hides some errors of its handshake inside a ConnectionError.
    kinds = (error, error.__cause__)
    if isinstance(error, foreign.OutOfMemoryError) or "-OOM " in text:
        return StoreFull(f"The Redis server at {name} is out of memory.")
    if any(
        isinstance(one, foreign.AuthenticationError | foreign.NoPermissionError) for one in kinds
    ):
        return StoreUnfit(f"The Redis server at {name} refuses the credentials: {text}")
    if (
        isinstance(
            error,
            foreign.ConnectionError
            | foreign.TimeoutError
            | foreign.ReadOnlyError
            | foreign.ClusterDownError
            | foreign.TryAgainError
            | OSError,
        )
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
        """``options`` are the keyword arguments of redis-py's connections."""
        self.place = place
        self.name = place_name(place)
        self.info: ServerInfo | None = None
        self._tls = tls
        self._options = options
        self._idle: list[AbstractConnection] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._closed = False

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands in one write and return their replies; error replies stay values.

        Raises `ConnectionLost` when the replies did not all arrive, `NotConnected` when no
        connection could be made, `StoreUnfit` for a server too old. Not bounded in time: the
        caller is.
        """
        packed = [pack(command) for command in commands]
        async with self._room:
            connection = await self._take()
            try:
                replies = await exchange_on(connection, packed)
            except BaseException as error:
                await connection.disconnect(nowait=True)
                if isinstance(error, foreign.RedisError | OSError):
                    # The others lead to the same server; the next call shall not trip over them.
                    await self.drop_idle()
                    raise ConnectionLost(str(error)) from error
                raise
            if self._closed:
                await connection.disconnect(nowait=True)
            else:
                self._idle.append(connection)
            return replies

    async def connect(self) -> AbstractConnection:
        """A new connection that the caller owns; notes who answered."""
        connection = self._make()
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py
            reply = (await exchange_on(connection, [pack(("INFO", "server"))]))[0]
            self.note(or_raise(as_ours(reply, self.name)))
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(error, foreign.RedisError | OSError):
                ours = translate(error, self.name)
                raise (
                    NotConnected(str(ours)) if isinstance(ours, StoreUnavailable) else ours
                ) from error
            raise
        return connection

    def note(self, info: bytes) -> None:
        """Take in an INFO reply's section ``server``; raises `StoreUnfit` for one too old."""
        self.info = _server_info(info, self.name)

    async def drop_idle(self) -> None:
        """Close the idle connections: what they lead to is no longer the server it was."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close the idle connections now and each one in use after its exchange."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect()

    async def _take(self) -> AbstractConnection:
        while self._idle:
            connection = self._idle.pop()
            # Readable while nothing was asked: the server has closed it, or it is out of step.
            if not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        return await self.connect()

    def _make(self) -> AbstractConnection:
        common: dict[str, Any] = {
            # redis-py writes and reads under asyncio.wait_for or a time-out of its own when
            # these are set, and it sets them by default; Python 3.11's wait_for can lose a
            # cancellation. `Store` bounds every call instead.
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "protocol": 2,
            "driver_info": None,
            **self._options,
        }
        host, port = self.place
        if not port:
            return UnixDomainSocketConnection(path=host, **common)
        kind = SSLConnection if self._tls else Connection
        return kind(host=host, port=port, **common)


def pack(command: Sequence[Arg]) -> bytes:
    """A command as it goes over the wire."""
    # Its stub says a tuple of one.
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
    return packed


async def exchange_on(connection: AbstractConnection, packed: Sequence[bytes]) -> list[Any]:
    """Send packed commands and read their replies on a connection that the caller holds.

    Any exception leaves it out of step: the caller must drop it.
    """
    await connection.send_packed_command(packed, check_health=False)
    replies: list[Any] = []
    for _ in packed:
        try:
            replies.append(await connection.read_response(disable_decoding=True))
        except foreign.ResponseError as error:
            replies.append(error)
    return replies


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
