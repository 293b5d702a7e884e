"""Which server owns a key: one server, the master that Sentinels name, or a Cluster's slots."""

from __future__ import annotations

import asyncio
import binascii
from typing import Any, Final, Protocol

from engine.errors import StoreError, StoreUnavailable, StoreUnfit
from engine.store.address import Form, Place, Target, place_name
from engine.store.link import Command, ConnectionLost, ReplyError
from engine.store.wire import Node, as_ours, or_raise

_SLOTS: Final = 16384
_ASK_SECONDS: Final = 0.5
"""Bound for one node's answer, so that a dead one leaves time to ask another."""


class Topology(Protocol):
    """The servers behind one URL.

    ``stale`` is set by who meets a sign that the picture is old; `refresh` is then due before
    the next use.
    """

    stale: bool

    def owner(self, key: str | bytes) -> Node:
        """The master that owns a key, as far as known."""
        ...

    def masters(self) -> list[Node]:
        """All masters, as far as known."""
        ...

    def at(self, place: Place) -> Node:
        """The node at a place that a redirection named."""
        ...

    async def refresh(self) -> None:
        """Look again who the masters are; raises `StoreError`."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def topology(target: Target) -> Topology:
    """The topology for a URL; nothing is connected yet."""
    match target.form:
        case Form.STANDALONE:
            return _Standalone(target)
        case Form.SENTINEL:
            return _Sentinel(target)
        case Form.CLUSTER:
            return _Cluster(target)


class _Standalone:
    """One server, for better or worse."""

    def __init__(self, target: Target) -> None:
        self._node = Node(target.places[0], tls=target.tls, options=target.options)
        self.stale = True

    def owner(self, key: str | bytes) -> Node:  # noqa: ARG002 - it owns them all
        return self._node

    def masters(self) -> list[Node]:
        return [self._node]

    def at(self, place: Place) -> Node:
        raise StoreUnfit(
            f"The Redis server at {self._node.name} is part of a Cluster and points to"
            f" {place_name(place)}; use redis+cluster://."
        )

    async def refresh(self) -> None:
        self.stale = False

    async def close(self) -> None:
        await self._node.close()


class _Sentinel:
    """The master of a service, as the first Sentinel that answers names it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sentinels = [
            Node(place, tls=target.tls, options=target.sentinel_options) for place in target.places
        ]
        self._master: Node | None = None
        self._lock = asyncio.Lock()
        self.stale = True

    def owner(self, key: str | bytes) -> Node:  # noqa: ARG002 - it owns them all
        if self._master is None:
            raise StoreUnavailable(f"No Sentinel of {self._target} has named a master yet.")
        return self._master

    def masters(self) -> list[Node]:
        return [] if self._master is None else [self._master]

    def at(self, place: Place) -> Node:
        raise StoreUnfit(
            f"The master of {self._target} is part of a Cluster and points to"
            f" {place_name(place)}; use redis+cluster://."
        )

    async def refresh(self) -> None:
        async with self._lock:
            if not self.stale:
                return
            place = await self._ask()
            if self._master is None or self._master.place != place:
                previous, options = self._master, self._target.options
                self._master = Node(place, tls=self._target.tls, options=options)
                if previous is not None:
                    await previous.close()
            else:
                # The same place may be a server that was demoted or has restarted.
                self._master.drop_links()
            self.stale = False

    async def _ask(self) -> Place:
        silent: list[str] = []
        for sentinel in self._sentinels:
            ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.service)
            try:
                reply = await _ask_one(sentinel, ask)
            except (ConnectionLost, TimeoutError, StoreError) as error:
                silent.append(f"{sentinel.name}: {error}")
                continue
            if reply is not None:
                return reply[0].decode(), int(reply[1])
            silent.append(f"{sentinel.name}: knows no master of that name")
        raise StoreUnavailable(
            f"No Sentinel names a master of {self._target.service}: {'; '.join(silent)}."
        )

    async def close(self) -> None:
        for node in (*self._sentinels, *self.masters()):
            await node.close()


class _Cluster:
    """The masters of a Cluster by slot, as any of its nodes lists them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._nodes: dict[Place, Node] = {}
        self._slots: list[Node | None] = [None] * _SLOTS
        self._lock = asyncio.Lock()
        self.stale = True

    def owner(self, key: str | bytes) -> Node:
        node = self._slots[key_slot(key if isinstance(key, bytes) else key.encode())]
        if node is None:
            self.stale = True
            raise StoreUnavailable(f"The Cluster at {self._target} does not serve every slot.")
        return node

    def masters(self) -> list[Node]:
        return list(dict.fromkeys(node for node in self._slots if node is not None))

    def at(self, place: Place) -> Node:
        node = self._nodes.get(place)
        if node is None:
            node = Node(place, tls=self._target.tls, options=self._target.options)
            self._nodes[place] = node
        return node

    async def refresh(self) -> None:
        async with self._lock:
            if not self.stale:
                return
            slots: list[Node | None] = [None] * _SLOTS
            for first, last, place in await self._ask():
                slots[first : last + 1] = [self.at(place)] * (last - first + 1)
            self._slots = slots
            masters = set(self.masters())
            for place in [place for place, node in self._nodes.items() if node not in masters]:
                await self._nodes.pop(place).close()
            self.stale = False

    async def _ask(self) -> list[tuple[int, int, Place]]:
        silent: list[str] = []
        known = [node.place for node in self.masters()]
        # Known masters last: one that has just died is among them and answers slowest.
        for place in dict.fromkeys((*self._target.places, *known)):
            node = self.at(place)
            try:
                reply = await _ask_one(node, ("CLUSTER", "SLOTS"))
            except (ConnectionLost, TimeoutError, StoreUnavailable) as error:
                silent.append(f"{node.name}: {error}")
                continue
            return [_slot_range(entry, place) for entry in reply]
        raise StoreUnavailable(f"No node of the Cluster answers: {'; '.join(silent)}.")

    async def close(self) -> None:
        for node in self._nodes.values():
            await node.close()


async def _ask_one(node: Node, command: Command) -> Any:
    """Ask a node that may be dead; raises `TimeoutError` soon, so that the next can be asked."""
    async with asyncio.timeout(_ASK_SECONDS):
        return or_raise(as_ours((await node.exchange([command]))[0], node.name))


def _slot_range(entry: Any, asked: Place) -> tuple[int, int, Place]:
    """One entry of CLUSTER SLOTS: first and last slot and the master's place.

    An empty or unknown host means "the one you asked" (CLUSTER SLOTS, Redis documentation).
    """
    first, last, master = entry[0], entry[1], entry[2]
    host = (master[0] or b"").decode()
    return int(first), int(last), (host if host not in {"", "?"} else asked[0], int(master[1]))


def redirection(reply: Any, asked: Place) -> tuple[Place, bool] | None:
    """Where a MOVED or ASK reply points to, and whether it is an ASK; None for other replies.

    ``MOVED slot host:port`` (Redis Cluster specification); an empty host is the one asked.
    """
    if not isinstance(reply, ReplyError) or reply.code not in {"MOVED", "ASK"}:
        return None
    host, _, port = str(reply).split(" ")[2].rpartition(":")
    return (host or asked[0], int(port)), reply.code == "ASK"


def key_slot(key: bytes) -> int:
    """The Cluster's slot of a key: CRC-16 (XMODEM) of it, or of its hash tag if it has one."""
    opening = key.find(b"{")
    closing = key.find(b"}", opening + 1) if opening >= 0 else -1
    return (
        binascii.crc_hqx(key[opening + 1 : closing] if closing > opening + 1 else key, 0) % _SLOTS
    )
