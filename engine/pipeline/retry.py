"""Stage 5: what is due goes back to its lane.

Whoever writes a due time arms a timer for it; the poll tells of those that others wrote. One
timer a lane: the earliest. When it fires the script moves what is due and says what is next.

A lane is filled up to the same limit as by planning. What finds no room follows as batches are
taken out of the lane: a backlog that comes due at once, such as a parked endpoint's, does not
stand before everything that is published meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.pipeline.accept import LANE_LIMIT
from engine.store.keys import GROUP
from engine.store.scripts import Script, script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.store.connection import Store
    from engine.store.keys import Keys

log = logging.getLogger(__name__)

_RETRY = script(__file__, "retry")
_AGAIN_S = 1.0
_FULL_S = 0.1
"""When to look again at a lane without room: others take from it, too."""


def retry_call(
    keys: Keys, shard: int, protocol: str
) -> tuple[Script, tuple[str, ...], tuple[int | str, ...]]:
    """The script call that moves what is due into a lane."""
    return (
        _RETRY,
        (keys.retry(shard, protocol), keys.lane(shard, protocol), keys.inbox(shard, protocol)),
        (LANE_LIMIT, GROUP),
    )


class Retries:
    """Timers for the retry sets of all lanes."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._timers: dict[tuple[int, str], tuple[int, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Lanes that had no room for all that is due.
        self._full: set[tuple[int, str]] = set()
        self._closed = False

    def arm(self, shard: int, protocol: str, due_ms: int) -> None:
        """See to it that the lane's retry set is looked at when ``due_ms`` comes."""
        if self._closed:
            return
        lane = shard, protocol
        armed = self._timers.get(lane)
        if armed is not None:
            if armed[0] <= due_ms:
                return
            armed[1].cancel()
        delay = max((due_ms - self._store.clock.now_ms()) / 1000, 0.0)
        handle = asyncio.get_running_loop().call_later(delay, self._fire, lane)
        self._timers[lane] = due_ms, handle

    def taken(self, shard: int, protocols: Iterable[str]) -> None:
        """Batches were taken out of these lanes: what has found no room may go on."""
        if self._full:
            for protocol in protocols:
                if (shard, protocol) in self._full:
                    self.arm(shard, protocol, 0)

    def close(self) -> None:
        """Stop all timers."""
        self._closed = True
        for _, handle in self._timers.values():
            handle.cancel()
        for task in self._tasks:
            task.cancel()

    def _fire(self, lane: tuple[int, str]) -> None:
        del self._timers[lane]
        task = asyncio.get_running_loop().create_task(self._move(*lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _move(self, shard: int, protocol: str) -> None:
        try:
            _, head, full = await self._store.run(*retry_call(self._keys, shard, protocol))
        except StoreError as error:
            log.warning("retry.failed", extra={"shard": shard, "error": str(error)})
            self.arm(shard, protocol, self._store.clock.now_ms() + int(_AGAIN_S * 1000))
            return
        if full:
            self._full.add((shard, protocol))
            self.arm(shard, protocol, self._store.clock.now_ms() + int(_FULL_S * 1000))
            return
        self._full.discard((shard, protocol))
        if due_ms := int(float(head)):
            self.arm(shard, protocol, due_ms)
