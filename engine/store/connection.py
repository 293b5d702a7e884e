"""The store: every command to Redis goes through here, bounded in time and translated.

A call is routed to the master that owns its key, sent once, and sent again only where that
is harmless: when the server said that it did nothing (a redirection, an unknown script), or
when the reply was lost and the call is a script (ours are idempotent under re-execution) or
marked repeatable. Everything else that breaks is `StoreUnavailable`: the outcome is unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Self

from engine.errors import StoreUnavailable, StoreUnfit
from engine.settings import Durability, Settings
from engine.store.address import Form, parse_url
from engine.store.exchange import Exchange, Reader, too_late
from engine.store.link import CALL_SECONDS, Arg, Command, ConnectionLost, Link
from engine.store.scripts import Script, script
from engine.store.topology import Topology, topology
from engine.store.wire import (
    Node,
    NotConnected,
    ServerInfo,
    as_ours,
    lost,
    or_raise,
    parse_info,
)

__all__ = ["Arg", "Call", "Reader", "Script", "Store", "StoreClock", "script"]

Key = str | bytes
Call = tuple[Script, Sequence[Key], Sequence[Arg]]
"""A script with its keys and arguments."""


class StoreClock:
    """Redis's time as this process last saw it, carried on by the monotonic clock."""

    def __init__(self) -> None:
        """Until `Store.sync_clock` has run it shows this machine's own time."""
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(time.monotonic() * 1000 + self._offset_ms)

    def set_offset(self, offset_ms: float) -> None:
        """Set what to add to the monotonic clock, in milliseconds."""
        self._offset_ms = offset_ms


class Store:
    """A Redis or Valkey: standalone, behind Sentinels, or a Cluster.

    Safe for use by any number of tasks of one event loop. Replies are bytes, integers, None
    and lists of these. Errors are `StoreUnavailable` (outcome unknown), `StoreFull` (nothing
    written), `StoreUnfit`, and plain `StoreError` with the server's text.
    """

    def __init__(self, servers: Topology) -> None:
        """Use `connect`."""
        self.clock = StoreClock()
        self._servers = servers

    @classmethod
    async def connect(cls, url: str, *, settings: Settings) -> Self:
        """Connect to every master and read its clock.

        Raises `ConfigurationError` for a malformed URL, `StoreUnfit` for a server that Tocsin
        cannot run on, `StoreUnavailable` when one does not answer. The connections are named
        after the key prefix, for whoever reads CLIENT LIST.
        """
        target = parse_url(url).named(settings.key_prefix)
        store = cls(topology(target))
        try:
            await store.sync_clock()
            store._check_form(target.form)
        except BaseException:
            await store.close()
            raise
        return store

    def _check_form(self, form: Form) -> None:
        for node in self._servers.masters():
            if node.info and node.info.cluster != (form is Form.CLUSTER):
                wanted = "redis+cluster://" if node.info.cluster else "redis://"
                raise StoreUnfit(f"The server at {node.name} must be addressed as {wanted}.")

    async def close(self) -> None:
        """Close every connection; calls under way end first."""
        await self._servers.close()

    @property
    def run_id(self) -> str:
        """The ids of the masters' processes as last seen; another value means a restart."""
        seen = (node.info.run_id for node in self._servers.masters() if node.info)
        return ",".join(sorted(seen))

    @property
    def family(self) -> str:
        """``redis`` or ``valkey``."""
        return self._info().family

    @property
    def version(self) -> str:
        """The server's version in its own family's numbers."""
        return self._info().version

    def _info(self) -> ServerInfo:
        for node in self._servers.masters():
            if node.info:
                return node.info
        raise StoreUnavailable("No Redis server has answered yet.")

    async def run(
        self,
        script: Script,
        keys: Sequence[Key],
        args: Sequence[Arg],
        *,
        repeat: bool = True,
        wait_replicas: bool = False,
    ) -> Any:
        """Run a script on the master that owns ``keys[0]``; all keys share its slot.

        It is sent again when its reply is lost, unless ``repeat`` is false. With
        ``wait_replicas`` a replica has it too before this returns, else `StoreUnavailable`.
        """
        command = _evalsha(script, keys, args)
        replies = await self._perform(
            keys[0], [command], [script], repeatable=repeat, wait_replicas=wait_replicas
        )
        return or_raise(replies[0])

    async def run_many(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts, each on the master that owns its first key: one pipeline a master.

        They must not depend on an order, and are sent again as with `run`. The first error is
        raised, after all have run.
        """
        if self._servers.stale:
            # Who owns what is found out call by call.
            return await asyncio.gather(*(self.run(*call) for call in calls))
        by_master: dict[Node, list[int]] = {}
        for position, (_, keys, _) in enumerate(calls):
            by_master.setdefault(self._servers.owner(keys[0]), []).append(position)
        replies: list[Any] = [None] * len(calls)

        async def run(positions: Sequence[int]) -> None:
            mine = [calls[position] for position in positions]
            found = await self._perform(
                mine[0][1][0],
                [_evalsha(*call) for call in mine],
                [call[0] for call in mine],
                repeatable=True,
            )
            for position, reply in zip(positions, found, strict=True):
                replies[position] = reply

        await asyncio.gather(*(run(positions) for positions in by_master.values()))
        return [or_raise(reply) for reply in replies]

    async def call(self, *command: Arg, key: Key | None = None, repeatable: bool = False) -> Any:
        """Send one command to the master that owns ``key`` (default: its first argument).

        It is sent again after a lost reply only when it is ``repeatable``.
        """
        replies = await self.call_many(
            [command], key=_first_key(command) if key is None else key, repeatable=repeatable
        )
        return replies[0]

    async def call_many(
        self, commands: Sequence[Sequence[Arg]], *, key: Key, repeatable: bool = False
    ) -> list[Any]:
        """Send commands in one pipeline to the master that owns ``key``.

        The first error among the replies is raised, after all of them have been read.
        """
        packed = [tuple(command) for command in commands]
        replies = await self._perform(key, packed, repeatable=repeatable)
        return [or_raise(reply) for reply in replies]

    def reader(self, key: Key) -> Reader:
        """A connection of its own for blocking reads from the master that owns ``key``."""
        return Reader(self._servers, key)

    async def sync_clock(self) -> None:
        """Read the time of the master of the first slot, and who the masters are now."""
        for node, reply in await self.each_master(("INFO", "server")):
            node.note(reply)
        before = time.monotonic()
        seconds, micros = await self.call("TIME", key="", repeatable=True)
        middle_ms = (before + time.monotonic()) * 500
        self.clock.set_offset(int(seconds) * 1000 + int(micros) / 1000 - middle_ms)

    async def used_memory(self) -> tuple[int, int]:
        """Bytes used and ``maxmemory`` (0 = none) of the master that is closest to its bound."""
        fullest = (0, 0)
        for _, reply in await self.each_master(("INFO", "memory")):
            fields = parse_info(reply)
            found = (int(fields["used_memory"]), int(fields.get("maxmemory", 0)))
            fullest = max(fullest, found, key=lambda pair: (pair[0] / (pair[1] or 2**63), pair[0]))
        return fullest

    async def verify_durability(self, durability: Durability) -> None:
        """Check that every master keeps what ``durability`` names; raises `StoreUnfit` if not."""
        if durability is Durability.FSYNC:
            await self._verify_fsync()
        elif durability is Durability.REPLICA:
            for node, reply in await self.each_master(("INFO", "replication")):
                if parse_info(reply).get("connected_slaves", "0") == "0":
                    raise StoreUnfit(
                        f"Durability 'replica' needs a connected replica, but the server at"
                        f" {node.name} has none; connect one or choose 'fsync' or 'memory'."
                    )

    async def _verify_fsync(self) -> None:
        for setting, wanted in (("appendonly", b"yes"), ("appendfsync", b"always")):
            for node, reply in await self.each_master(("CONFIG", "GET", setting)):
                found = reply[1] if len(reply) > 1 else b"unknown"
                if found != wanted:
                    raise StoreUnfit(
                        f"Durability 'fsync' needs {setting} {wanted.decode()}, but the server at"
                        f" {node.name} has {setting} {found.decode()}; change it there, or choose"
                        f" the durability 'memory', which a crash of the server can cost messages."
                    )

    async def each_master(self, command: Command) -> list[tuple[Node, Any]]:
        """Send a command that may be repeated to every master; raises as `call` does."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    return await self._ask_masters(command)
                except StoreUnavailable:
                    self._servers.stale = True
                return await self._ask_masters(command)
        except TimeoutError as error:
            self._servers.stale = True
            raise too_late() from error

    async def _ask_masters(self, command: Command) -> list[tuple[Node, Any]]:
        if self._servers.stale:
            await self._servers.refresh()
        found: list[tuple[Node, Any]] = []
        for node in self._servers.masters():
            try:
                replies = await node.exchange([command])
            except ConnectionLost as error:
                raise lost(node, error) from error
            found.append((node, or_raise(as_ours(replies[0], node.name))))
        return found

    async def _perform(
        self,
        key: Key,
        commands: Sequence[Command],
        scripts: Sequence[Script] = (),
        *,
        repeatable: bool,
        wait_replicas: bool = False,
    ) -> list[Any]:
        """Bring one pipeline to its end; a command that failed has a `StoreError` for its reply."""
        exchange = Exchange(commands, scripts, wait_replicas=wait_replicas)
        servers, began = self._servers, time.monotonic()
        try:
            if not servers.stale and not wait_replicas:
                node = servers.owner(key)
                link = node.ready()
                if link is not None:
                    # As nearly always: there is nothing to wait for but the reply, and the
                    # connection bounds that.
                    await self._try(exchange, node, link, repeatable=repeatable)
                    if exchange.ended:
                        return exchange.replies
            async with asyncio.timeout(began + CALL_SECONDS - time.monotonic()):
                await self._send(exchange, key, repeatable=repeatable)
        except TimeoutError as error:
            servers.stale = True
            raise too_late() from error
        return exchange.replies

    async def _send(self, exchange: Exchange, key: Key, *, repeatable: bool) -> None:
        servers = self._servers
        while not exchange.ended:
            node = exchange.detour
            if node is None:
                if servers.stale:
                    await servers.refresh()
                node = servers.owner(key)
            await self._try(exchange, node, None, repeatable=repeatable)

    async def _try(
        self, exchange: Exchange, node: Node, link: Link | None, *, repeatable: bool
    ) -> None:
        """Send once; raises unless it worked or may be tried once more."""
        try:
            await exchange.send(node, self._servers, link)
        except ConnectionLost as error:
            self._servers.stale = True
            if not (repeatable and exchange.second_chance):
                raise lost(node, error) from error
            exchange.second_chance = False
        except NotConnected:
            # Nothing was sent, and the master may be another one by now.
            self._servers.stale = True
            if not exchange.second_chance:
                raise
            exchange.second_chance = False


def _evalsha(script: Script, keys: Sequence[Key], args: Sequence[Arg]) -> Command:
    return ("EVALSHA", script.sha, len(keys), *keys, *args)


def _first_key(command: Sequence[Arg]) -> Key:
    key = command[1] if len(command) > 1 else ""
    return key if isinstance(key, bytes) else str(key)
