"""Time that passes only while there is nothing to do: minutes of an engine in a second.

The loop's time, the store's clock and the TIME that scripts read are one virtual time. The loop
jumps to its next timer as soon as nobody waits for Redis, a thread or a socket, so that code takes
no time at all and waiting none of ours. What Redis measures by itself stays real: leases and
expiring keys last longer than they say.

::

    def test_something(redis_url, tmp_path):
        async def scene() -> None:
            async with open_engine(redis_url, tmp_path, adapters=[...]) as engine:
                ...
                async with working(engine):
                    await all_ended(engine, pause=0.5)

        virtually(scene)

A look every few milliseconds is a jump every few milliseconds: hence the pause. Endpoints on
sockets have to be served by the same loop. Only for a standalone Redis.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha1
from typing import Any, TypeVar
from unittest.mock import patch

from engine.store import connection
from engine.store.connection import StoreClock
from engine.store.link import Link
from engine.store.scripts import Script
from engine.store.wire import Node

Result = TypeVar("Result")

_EPOCH_MS = int(time.time() * 1000)

_SHADOW = """
local now = table.remove(ARGV)
local server = redis
local redis = setmetatable({call = function(name, ...)
  if name == 'TIME' then return {string.sub(now, 1, -7), string.sub(now, -6)} end
  return server.call(name, ...)
end}, {__index = server})
"""
"""Put before a script: TIME is the last argument, in microseconds."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps from timer to timer."""

    def __init__(self) -> None:
        self.passed_s = 1_000.0
        self.waiting_for = 0
        """Calls to Redis and to threads that are under way."""
        self.redis: socket.socket | None = None
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Seconds of virtual time."""
        return self.passed_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As always; time stands still until it is done."""
        return self.wait_for(super().run_in_executor(executor, func, *args))

    def wait_for(self, future: asyncio.Future[Result]) -> asyncio.Future[Result]:
        """Let time stand still until the future is done."""
        self.waiting_for += 1
        future.add_done_callback(self._is_done)
        return future

    def ping(self) -> None:
        """Ask Redis something: whoever it had to wake has been told before it answers."""
        if self.redis is not None:
            self.redis.sendall(b"PING\r\n")
            assert self.redis.recv(64) == b"+PONG\r\n"

    def close(self) -> None:
        """Close the connection for pings, too."""
        if self.redis is not None:
            self.redis.close()
        super().close()

    def _is_done(self, _: object) -> None:
        self.waiting_for -= 1


class _Selector(selectors.DefaultSelector):
    """Waits for sockets in real time, and lets virtual time pass when there is nothing."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._loop.waiting_for:
            return super().select(None)
        self._loop.ping()
        found = super().select(0)
        if not found:
            self._loop.passed_s += timeout
        return found


@contextmanager
def virtual_runner() -> Iterator[asyncio.Runner]:
    """A runner of a loop in virtual time."""
    run, run_many = connection.Store.run, connection.Store.run_many

    async def run_now(
        store: Any, script: Script, keys: Sequence[Any], args: Sequence[Any], **how: Any
    ) -> Any:
        return await run(store, _shadowed(script), keys, [*args, _now_us()], **how)

    async def run_many_now(store: Any, calls: Sequence[Any]) -> Any:
        now = [(_shadowed(script), keys, [*args, _now_us()]) for script, keys, args in calls]
        return await run_many(store, now)

    with ExitStack() as patches, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        for target, name, instead in (
            (connection.Store, "run", run_now),
            (connection.Store, "run_many", run_many_now),
            (StoreClock, "now_ms", lambda _: _now_us() // 1000),
            (Link, "ask", _ask),
            (Node, "connect", _connect),
        ):
            patches.enter_context(patch.object(target, name, instead))
        # A reader's bound would pass at once: it waits for as long as there is nothing.
        patches.enter_context(patch("engine.worker._BLOCK_MS", 0))
        yield runner


def virtually(scene: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a scene in virtual time; what it returns."""
    with virtual_runner() as runner:
        return runner.run(scene())


def _now_us() -> int:
    return _EPOCH_MS * 1000 + int(asyncio.get_running_loop().time() * 1_000_000)


@cache
def _shadowed(script: Script) -> Script:
    text = _SHADOW + script.text
    return replace(script, text=text, sha=sha1(text.encode(), usedforsecurity=False).hexdigest())


_ask_untold, _connect_untold = Link.ask, Node.connect


def _ask(link: Link, packed: bytes, count: int, *, timed: bool = True) -> asyncio.Future[list[Any]]:
    """Let time stand still until there is a reply, unless it is one that may block."""
    future = _ask_untold(link, packed, count, timed=timed)
    return _loop().wait_for(future) if timed else future


async def _connect(node: Node) -> Link:
    """Let time stand still until there is a connection."""
    loop = _loop()
    if loop.redis is None:
        path, port = node.place
        kind, address = (socket.AF_INET, node.place) if port else (socket.AF_UNIX, path)
        loop.redis = socket.socket(kind)
        loop.redis.settimeout(10)
        loop.redis.connect(address)
    opening = asyncio.ensure_future(_connect_untold(node))
    try:
        return await loop.wait_for(opening)
    except asyncio.CancelledError:
        # It may have come at the same moment as the connection, which then is nobody's.
        if not opening.cancel() and not opening.cancelled() and opening.exception() is None:
            opening.result().abort("given up")
        raise


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
