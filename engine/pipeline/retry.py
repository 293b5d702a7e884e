"""Stage 5: what is due goes back to its lane.

Whoever writes a due time arms a timer for it; the poll tells of those that others wrote. One
timer a lane: the earliest. When it fires the script moves what is due and says what is next.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.store.scripts import script

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

log = logging.getLogger(__name__)

_RETRY = script(__file__, "retry")
_AT_ONCE = 64
_AGAIN_S = 1.0


class Retries:
    """Timers for the retry sets of all lanes."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._timers: dict[tuple[int, str], tuple[int, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
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
        keys = self._keys
        try:
            _, head = await self._store.run(
                _RETRY, (keys.retry(shard, protocol), keys.lane(shard, protocol)), (_AT_ONCE,)
            )
        except StoreError as error:
            log.warning("retry.failed", extra={"shard": shard, "error": str(error)})
            self.arm(shard, protocol, self._store.clock.now_ms() + int(_AGAIN_S * 1000))
            return
        if due_ms := int(float(head)):
            self.arm(shard, protocol, due_ms)
