"""Turns: when a delivery may go whose protocol has rates.

A turn is a time reserved in Redis, shared by all workers. Who has none now gets a due time and
waits there like everything that waits; the reserved time is written with it, so that whichever
worker it comes to knows that the turn is its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.store.ledger import Waiting

if TYPE_CHECKING:
    from engine.models import Rate
    from engine.pipeline.batch import Batch, Delivery
    from engine.ports import Clock
    from engine.store.limiter import Limiter

log = logging.getLogger(__name__)

_LIMITER_WAIT_MS = 10_000
_CLOCKS_DIFFER_MS = 5
"""What this worker's idea of Redis's time may be wrong by: a time so near is now."""


class Turns:
    """Reserves turns; a limiter that cannot be asked makes everybody wait a little."""

    def __init__(self, clock: Clock, limiter: Limiter) -> None:
        self._clock = clock
        self._limiter = limiter

    async def now(self, batch: Batch, due: list[Delivery]) -> list[Delivery]:
        """See to it that all deliveries of a batch have turns; returns those whose turn is now.

        The others wait. One that would only have its turn after the deadline waits for that: it
        takes no turn from anybody, and expires.
        """
        now_ms, deadline_ms = self._clock.now_ms(), batch.deadline_ms
        if now_ms >= deadline_ms:
            return due  # to expire
        asking = [
            delivery
            for delivery in due
            if not in_time(delivery, now_ms) and not is_quiet(delivery, now_ms)
        ]
        if not asking:
            return due
        try:
            times = await self._reserve(asking, before_ms=deadline_ms)
        except StoreError as error:
            later_ms = min(self._without_limiter(batch, error), deadline_ms)
            for delivery in due:
                batch.row.waiting[delivery.seat] = Waiting(
                    delivery.tries, later_ms, delivery.entry.id
                )
            return []
        for delivery, at_ms in zip(asking, times, strict=True):
            delivery.reserved_ms = at_ms
        now_ms = self._clock.now_ms()
        going = []
        for delivery in due:
            at_ms = delivery.reserved_ms
            if at_ms <= now_ms + _CLOCKS_DIFFER_MS:
                going.append(delivery)
            else:
                batch.row.waiting[delivery.seat] = Waiting(
                    delivery.tries,
                    min(at_ms, deadline_ms),
                    delivery.entry.id,
                    reserved=at_ms < deadline_ms,
                )
        return going

    async def comes(self, delivery: Delivery) -> bool:
        """Wait here for a delivery's turn; false if it has to wait in Redis without one."""
        batch = delivery.batch
        if await self.now(batch, [delivery]):
            return True
        if not batch.row.waiting[delivery.seat].reserved:
            return False
        await self.wait(delivery.reserved_ms)
        return True

    async def one(self, delivery: Delivery, *, before_ms: int) -> int:
        """Reserve one turn; the time, or when to ask again if there is none before ``before_ms``.

        Both are ms since the epoch; the second is not before ``before_ms``.
        """
        try:
            (at_ms,) = await self._reserve([delivery], before_ms=before_ms)
        except StoreError as error:
            return max(self._without_limiter(delivery.batch, error), before_ms)
        return at_ms

    async def pause(self, delivery: Delivery, until_ms: int) -> None:
        """Let no worker find a turn before ``until_ms``: the endpoint wants nothing until then.

        The turns of an application are not held up by one of those whom it reaches.
        """
        pace = delivery.entry.pace
        if any(rate.of for rate in pace.rates):
            return
        try:
            await self._limiter.hold("rates", _whom(delivery), pace.rates, until_ms=until_ms)
        except StoreError as error:
            # Others ask the endpoint once each, and are told the same.
            log.warning(
                "limiter.failed",
                extra={"protocol": delivery.batch.protocol, "error": str(error)},
            )

    async def wait(self, until_ms: int) -> None:
        """Let the time until a turn pass."""
        await asyncio.sleep(max(until_ms - self._clock.now_ms(), 0) / 1000)

    async def _reserve(self, deliveries: list[Delivery], *, before_ms: int) -> list[int]:
        """Reserve a turn for each delivery of a protocol."""
        by_rates: dict[tuple[Rate, ...], list[int]] = {}
        for place, delivery in enumerate(deliveries):
            by_rates.setdefault(delivery.entry.pace.rates, []).append(place)
        times = [0] * len(deliveries)
        for rates, places in by_rates.items():
            counted = [deliveries[place] for place in places]
            reserved = await self._limiter.reserve(
                "rates",
                [_whom(one) for one in counted],
                rates,
                before_ms=before_ms,
            )
            for place, at_ms in zip(places, reserved, strict=True):
                times[place] = at_ms
        return times

    def _without_limiter(self, batch: Batch, error: StoreError) -> int:
        log.warning("limiter.failed", extra={"protocol": batch.protocol, "error": str(error)})
        return self._clock.now_ms() + _LIMITER_WAIT_MS


def _whom(delivery: Delivery) -> str:
    return f"{delivery.batch.protocol}\n{delivery.entry.pace.whom}"


def in_time(delivery: Delivery, now_ms: int) -> bool:
    """Whether a delivery may start now: in the turn that it has reserved, and nobody objects."""
    pace, reserved_ms = delivery.entry.pace, delivery.reserved_ms
    turn = reserved_ms - _CLOCKS_DIFFER_MS <= now_ms <= reserved_ms + pace.leeway_ms
    return (turn or not pace.rates) and not is_quiet(delivery, now_ms)


def is_quiet(delivery: Delivery, now_ms: int) -> bool:
    """Whether its endpoint wants nothing now, whatever is reserved."""
    return delivery.entry.state.quiet_until_ms > now_ms
