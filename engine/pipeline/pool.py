"""A pool of deliveries in flight whose size finds itself.

A runner takes deliveries one after another as long as there are any, so that a delivery costs
no task of its own. While deliveries wait and the processor has time left, runners are added:
waiting for slow endpoints needs more of them, a busy processor is served best by few. A
delivery that has been marked slow needs no processor: it counts against ``maximum`` alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.pipeline.batch import Delivery

_START = 64
_TICK_S = 0.02
_LATE_S = 0.005
_IDLE_SHARE = 0.7
_BUSY_SHARE = 0.9
"""Of a core, between two ticks: below the first a pool grows, above the second it shrinks."""


class Pool:
    """Runs deliveries, at most ``maximum`` at a time.

    ``on_low`` is called whenever the queue has come down to ``low`` deliveries.
    """

    __slots__ = (
        "_admits",
        "_cpu_s",
        "_deliver",
        "_loop",
        "_low",
        "_on_low",
        "_pumping",
        "_ticked",
        "_ticking",
        "active",
        "in_flight",
        "limit",
        "maximum",
        "queue",
        "slow",
        "tasks",
    )

    def __init__(
        self,
        deliver: Callable[[Delivery], Awaitable[None] | None],
        admits: Callable[[Delivery], bool],
        maximum: int,
        low: int,
        on_low: Callable[[], None],
    ) -> None:
        self._deliver = deliver
        self._admits = admits
        self._low = low
        self._on_low = on_low
        self._loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self._pumping = self._ticking = False
        self._ticked = self._cpu_s = 0.0
        self.maximum = maximum
        self.limit = min(_START, maximum)
        self.active = self.slow = 0
        self.queue: deque[Delivery] = deque()
        self.in_flight: dict[Delivery, None] = {}

    def put(self, deliveries: list[Delivery], *, first: bool = False) -> None:
        """Queue deliveries, behind or before all others, and start what there is room for."""
        if first:
            self.queue.extendleft(reversed(deliveries))
        else:
            self.queue.extend(deliveries)
        self.pump()

    def pump(self) -> None:
        """Start runners up to the limit, one in each turn of the loop.

        What a turn has written leaves at its end: the first delivery shall not wait until all
        others are prepared.
        """
        if not self._pumping:
            self._start_one()
        if self.queue and not self._ticking:
            self._ticking = True
            self._ticked, self._cpu_s = self._loop.time(), time.process_time()
            self._loop.call_later(_TICK_S, self._tick)

    @property
    def _wants_runner(self) -> bool:
        return (
            self.active - self.slow < self.limit
            and self.active < self.maximum
            and self.active < len(self.queue) + len(self.in_flight)
        )

    def _start_one(self) -> None:
        self._pumping = self._wants_runner
        if self._pumping:
            self.active += 1
            task = self._loop.create_task(self._run())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            self._loop.call_soon(self._start_one)

    def mark_slow(self, delivery: Delivery) -> None:
        """Let another run beside a delivery in flight that holds its place without using it."""
        if not delivery.slow:
            delivery.slow = True
            self.slow += 1

    def cancel(self) -> None:
        """Cut everything in flight."""
        self.queue.clear()
        for task in self.tasks:
            task.cancel()

    async def _run(self) -> None:
        pool = self
        try:
            while (
                pool.queue
                and pool.active - pool.slow <= pool.limit
                and pool.active <= pool.maximum
                and self._admits(pool.queue[0])
            ):
                delivery = pool.queue.popleft()
                if len(pool.queue) == pool._low:
                    pool._on_low()
                delivery.pool = pool
                waiting = pool._deliver(delivery)
                if waiting is not None:
                    pool.in_flight[delivery] = None
                    try:
                        await waiting
                    finally:
                        # It may have been moved to another pool while it hung.
                        pool = delivery.pool
                        del pool.in_flight[delivery]
                        pool.slow -= delivery.slow
        finally:
            pool.active -= 1

    def move(self, delivery: Delivery, other: Pool) -> None:
        """Count a delivery in flight against another pool from now on."""
        del self.in_flight[delivery]
        other.in_flight[delivery] = None
        delivery.pool = other
        self.active -= 1
        self.slow -= delivery.slow
        other.active += 1
        other.slow += delivery.slow

    def _tick(self) -> None:
        self._ticking = False
        least = min(_START, self.maximum)
        if self.queue:
            passed = self._loop.time() - self._ticked
            busy = (time.process_time() - self._cpu_s) / passed
            if busy < _IDLE_SHARE and passed < _TICK_S + _LATE_S:
                self.limit = min(self.limit + self.limit // 2 + 1, self.maximum)
            elif busy > _BUSY_SHARE:
                self.limit = max(self.limit - self.limit // 8, least)
        else:
            self.limit = max(min(self.limit, self.active - self.slow), least)
        self.pump()
