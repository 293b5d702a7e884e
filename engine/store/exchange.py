"""One pipeline until every command has its final reply, and the reader for blocking reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from engine.errors import StoreError, StoreUnavailable
from engine.store.link import (
    CALL_SECONDS,
    Arg,
    Command,
    ConnectionLost,
    Link,
    ReplyError,
    pack,
)
from engine.store.scripts import Script
from engine.store.topology import Topology, redirection
from engine.store.wire import Node, as_ours, translate

_WAIT_MS: Final = 1000
_MAX_SENDS: Final = 5
"""Times that one pipeline may be sent: a redirection, an unknown script and a lost reply each
take one, and a slot that migrates can redirect twice."""


def too_late() -> StoreUnavailable:
    """The error of a call that met its bound."""
    return StoreUnavailable(f"Redis did not answer within {CALL_SECONDS} s.")


class Exchange:
    """A pipeline on its way: which commands still lack a final reply, and where they go next.

    ``scripts`` has the script of each command, or nothing. ``detour`` is the node that the
    next `send` must go to, None for the owner of the key; ``second_chance`` whether it may still
    be sent once more after a connection failed.
    """

    def __init__(
        self, commands: Sequence[Command], scripts: Sequence[Script], *, wait_replicas: bool
    ) -> None:
        """Nothing is sent yet."""
        self.replies: list[Any] = [None] * len(commands)
        self.detour: Node | None = None
        self.second_chance = True
        self._commands = commands
        self._scripts = scripts
        self._wait = wait_replicas
        self._pending: list[int] = list(range(len(commands)))
        self._unknown: dict[str, Script] = {}
        self._asking = False
        self._sends = 0

    @property
    def ended(self) -> bool:
        """Whether every command has its reply; one that failed has a `StoreError` for it."""
        return not self._pending

    async def send(self, node: Node, servers: Topology, link: Link | None = None) -> None:
        """Send what is pending; afterwards only what the server did nothing about still is.

        ``link`` is a connection to the node that is ready, if there is one.
        """
        batch, first = self._batch()
        asking, self._asking, self._unknown = self._asking, False, {}
        self.detour, self._sends = None, self._sends + 1
        if self._wait:
            # What follows WAIT on its connection waits for the replicas, too.
            answers = await node.exchange_alone(batch)
        elif link is not None:
            answers = await node.ask(link, batch)
        else:
            answers = await node.exchange(batch)
        replicas = answers.pop() if self._wait else None
        sent, self._pending = self._pending, []
        for index, answer in zip(sent, answers[first :: 1 + asking], strict=True):
            if isinstance(answer, ReplyError) and self._again(index, answer, node, servers):
                self._pending.append(index)
            else:
                self.replies[index] = as_ours(answer, node.name)
        if self._wait and len(self._pending) < len(sent):
            _check_replicas(replicas, node)

    def _batch(self) -> tuple[list[Command], int]:
        """The commands to write and where among their replies the first pending one's is."""
        batch: list[Command] = [("SCRIPT", "LOAD", one.text) for one in self._unknown.values()]
        first = len(batch) + self._asking
        for index in self._pending:
            if self._asking:
                batch.append(("ASKING",))
            batch.append(self._commands[index])
        if self._wait:
            # On the same connection: WAIT covers the writes of its own connection only.
            batch.append(("WAIT", 1, _WAIT_MS))
        return batch, first

    def _again(self, index: int, error: ReplyError, node: Node, servers: Topology) -> bool:
        """Whether the server did nothing and says what would help; takes note of that."""
        if self._sends >= _MAX_SENDS:
            return False
        target = redirection(error, node.place)
        if target is not None:
            place, self._asking = target
            self.detour = servers.at(place)
            servers.stale = servers.stale or not self._asking
            return True
        if error.code == "NOSCRIPT" and self._scripts:
            self._unknown[self._scripts[index].sha] = self._scripts[index]
            self.detour = node
            return True
        if error.code in {"READONLY", "CLUSTERDOWN"}:
            servers.stale = True
            return self._sends == 1
        return False


def _check_replicas(reply: Any, node: Node) -> None:
    reply = as_ours(reply, node.name)
    if isinstance(reply, StoreError):
        raise reply
    if reply < 1:
        raise StoreUnavailable(f"No replica of {node.name} had the write within {_WAIT_MS} ms.")


class Reader:
    """A connection of its own for blocking reads, one call at a time.

    Once ``broken`` (a lost connection, a cancelled call, a server that is no longer the
    right one) it stays so: close it and ask the store for another.
    """

    def __init__(self, servers: Topology, key: str | bytes) -> None:
        """Use `Store.reader`; it connects with the first call."""
        self.broken = False
        self._servers = servers
        self._key = key
        self._connection: Link | None = None
        self._name = ""

    async def call(self, *command: Arg) -> Any:
        """Send one command; bounded by its own BLOCK (0 = for ever) plus the usual bound."""
        if self.broken:
            raise StoreUnavailable("The reader is broken.")
        self.broken = True  # until the reply is here, whatever ends the call
        try:
            async with asyncio.timeout(_bound_seconds(command)):
                connection = self._connection or await self._connect()
                reply = (await connection.ask(pack(command), 1, timed=False))[0]
        except BaseException as error:
            await self.close()
            if (ours := self._translated(error)) is None:
                raise
            raise ours from error
        if isinstance(reply, Exception):
            ours = translate(reply, self._name)
            moved = redirection(reply, ("", 0)) is not None
            if moved or isinstance(ours, StoreUnavailable):
                self._servers.stale = True
                await self.close()
                raise StoreUnavailable(str(ours)) from reply
            self.broken = False
            raise ours from reply
        self.broken = False
        return reply

    async def close(self) -> None:
        """Close the connection; the reader is broken from then on."""
        self.broken = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort("closed")
            await connection.closed()

    async def _connect(self) -> Link:
        if self._servers.stale:
            await self._servers.refresh()
        node = self._servers.owner(self._key)
        self._name = node.name
        self._connection = await node.connect()
        return self._connection

    def _translated(self, error: BaseException) -> StoreError | None:
        """The error of ours for one that broke a call off, None where it is not foreign."""
        if isinstance(error, ConnectionLost | StoreUnavailable):
            self._servers.stale = True
        if isinstance(error, TimeoutError):
            return too_late()
        if isinstance(error, ConnectionLost):
            return translate(error, self._name)
        return None


def _bound_seconds(command: Sequence[Arg]) -> float | None:
    for place, word in enumerate(command[:-1]):
        if word in {"BLOCK", b"BLOCK"}:
            block_ms = float(command[place + 1])
            return block_ms / 1000 + CALL_SECONDS if block_ms else None
    return CALL_SECONDS
