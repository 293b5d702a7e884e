"""Stage 3: run batches: start their deliveries within bounds, turn outcomes into decisions.

Two pools keep endpoints apart: those that answered lately, and all others. An endpoint that
hangs is moved to the second as soon as that shows, so that it never holds a place that healthy
ones need. A delivery that finds its endpoint full or parked, or the second pool full, gets a
due time instead of a place.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Any, assert_never

from engine.errors import StoreError
from engine.models import Delivered, End, Rejected, Retry, Throttled
from engine.pipeline.batch import Batch, Delivery, Try
from engine.pipeline.pool import Pool
from engine.policy.retry_schedule import next_due_ms, round_up
from engine.settings import Blacklist
from engine.store.ledger import Waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from engine.models import Outcome
    from engine.pipeline.health import Health
    from engine.pipeline.pages import EndpointState
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.store.limiter import Limiter

log = logging.getLogger(__name__)

QUEUED = 512
"""Deliveries ready but not started at which no more batches are read: a few tens of ms."""
_SLOW_S = 0.5
_SILENT_S = 2.0
_SWEEP_S = 0.25
_NEW_WAIT_MS, _LONGEST_NEW_WAIT_MS = 100, 5_000
_SUSPECT_WAIT_MS, _LONGEST_SUSPECT_WAIT_MS = 10_000, 60_000
_NEW_IN_FLIGHT = 4
_SUSPECT_IN_FLIGHT = 2
_SUSPECT_SHARE = 8
"""Suspects get an eighth of the second pool: each attempt at a silent endpoint costs a new
connection and its timeout, five times what a delivery on a kept one does."""
_ENDPOINT_QUEUE = 256
_SOON_MS = 50
_SOLO = -1
"""Stands in a batch's running seats while its deliveries are not all queued at once."""


class Dispatcher:
    """Starts deliveries and records their outcomes."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        health: Health,
        limiter: Limiter,
        touched: Callable[[Batch], None],
        write_now: Callable[[Batch], Awaitable[bool]],
        on_room: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._health = health
        self._limiter = limiter
        self._touched = touched
        self._write_now = write_now
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        half = max(settings.in_flight // 2, 1)
        self.proven = Pool(self._start, self._admits, half)
        self.others = Pool(self._start, self._admits, half)
        self._bytes = 0
        self._starved = False
        # Suspects in the second pool, and whether silence fills it; the sweep counts anew.
        self._suspects = 0
        self._stuck = False
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether more batches may be read.

        Not while unknown endpoints still have to show what they are, unless the silence of
        some is what they wait for: then the proven ones alone decide.
        """
        queued = len(self.proven.queue)
        if not self._stuck:
            queued += max(len(self.others.queue) - self._suspects, 0)
        return queued < QUEUED

    # Starting

    def begin(self, batch: Batch) -> None:
        """Start a loaded batch: every seat that is owed the message, due and not done."""
        due = batch.due(self._clock.now_ms())
        if batch.claims > self._settings.max_claims:
            batch.running.add(_SOLO)
            self._spawn(self._one_by_one(batch, due))
        elif due and batch.adapter.limits.rate:
            batch.running.add(_SOLO)
            self._spawn(self._at_their_rate(batch, due))
        else:
            self._queue(batch, due)
            self._arm(batch)
            self._touched(batch)

    async def _at_their_rate(self, batch: Batch, due: list[Delivery]) -> None:
        """Reserve a time at each endpoint whose protocol has a rate; later ones wait for it.

        A seat that has waited has had its reservation.
        """
        fresh = [d for d in due if d.seat not in batch.row.waiting]
        limits, protocol = batch.adapter.limits, batch.protocol
        try:
            times = await self._limiter.reserve(
                "rate",
                [f"{protocol}\n{delivery.entry.state.endpoint}" for delivery in fresh],
                rate=limits.rate,
                burst=limits.burst,
            )
            soon_ms = self._clock.now_ms() + _SOON_MS
            for delivery, at_ms in zip(fresh, times, strict=True):
                if at_ms > soon_ms:
                    due.remove(delivery)
                    batch.row.waiting[delivery.seat] = Waiting(
                        0, min(at_ms, batch.deadline_ms), delivery.entry.id
                    )
            self._queue(batch, due)
        except StoreError as error:
            log.warning("limiter.failed", extra={"protocol": protocol, "error": str(error)})
            later_ms = self._clock.now_ms() + _SUSPECT_WAIT_MS
            for delivery in due:
                batch.row.waiting.setdefault(
                    delivery.seat, Waiting(delivery.tries, later_ms, delivery.entry.id)
                )
        finally:
            batch.running.discard(_SOLO)
            self._arm(batch)
            self._touched(batch)

    async def _one_by_one(self, batch: Batch, due: list[Delivery]) -> None:
        """Run a batch that was claimed too often: whoever died may have died of one seat.

        Each seat is written down before it is tried. If this worker dies too, the next one
        finds the seat named and buries it.
        """
        row = batch.row
        try:
            for delivery in due:
                if delivery.seat == row.solo:
                    row.solo = None
                    batch.running.add(delivery.seat)
                    self._end_now(delivery, End.WORKER_CRASH, "workers died on it")
                    continue
                row.solo = delivery.seat
                if batch.closed or not await self._write_now(batch):
                    return
                batch.running.add(delivery.seat)
                delivery.pool = self.others
                sending = self._start(delivery)
                if sending is not None:
                    await sending
            row.solo = None
        finally:
            batch.running.discard(_SOLO)
            self._touched(batch)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _queue(self, batch: Batch, deliveries: list[Delivery]) -> None:
        if not deliveries:
            return
        if self._sweeping is None:
            self._suspects, self._stuck = 0, False
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        batch.running.update(delivery.seat for delivery in deliveries)
        proven, others = [], []
        for delivery in deliveries:
            state = delivery.entry.state
            if state.proven:
                proven.append(delivery)
            elif self._may_queue(state):
                others.append(delivery)
            else:
                self._wait(delivery)
        if proven:
            self.proven.put(proven)
        if others:
            self.others.put(others)

    def _may_queue(self, state: EndpointState) -> bool:
        """Whether an endpoint that is not proven may wait in the queue for a place."""
        if state.suspect:
            allowed = self._suspects < max(self.others.maximum // _SUSPECT_SHARE, 1)
            self._suspects += allowed
            return allowed
        return not self._stuck or len(self.others.queue) < QUEUED

    def _admits(self, delivery: Delivery) -> bool:
        """Whether a delivery's bytes fit into what may be in flight."""
        if not self._bytes or self._bytes + delivery.batch.size <= self._settings.in_flight_bytes:
            return True
        self._starved = True
        return False

    def _start(self, delivery: Delivery) -> Coroutine[Any, Any, None] | None:
        """Start one delivery, or decide at once that it is not to be sent now."""
        batch, state = delivery.batch, delivery.entry.state
        now = self._loop.time()
        now_ms = self._clock.now_ms()
        if batch.closed or (batch.stale and not self._still_owed(delivery)):
            pass
        elif now >= batch.lease_until:
            # Another worker may hold the batch by now: nothing is sent, the fence decides.
            self._postpone(delivery, now_ms)
        elif now_ms >= batch.deadline_ms:
            self._end_now(delivery, End.EXPIRED, "time_to_live passed")
        elif not (self._health.parked and self._leave_alone(delivery, now_ms)) and (
            self._has_place(delivery)
        ):
            state.in_flight += 1
            self._bytes += batch.size
            delivery.started = now
            delivery.started_ms = now_ms
            self._on_room()
            return self._send(delivery)
        if state.queue and state.in_flight < self._settings.endpoint_in_flight:
            # The place that this one was let in for is the next one's.
            self._next_of(state)
        return None

    def _has_place(self, delivery: Delivery) -> bool:
        """Whether the endpoint may take one more now; if not, the delivery waits somewhere."""
        state = delivery.entry.state
        if state.proven:
            if state.in_flight < self._settings.endpoint_in_flight:
                return True
            if state.queue is None:
                state.queue = deque()
            if len(state.queue) < _ENDPOINT_QUEUE:
                state.queue.append(delivery)
                return False
        else:
            bound = _SUSPECT_IN_FLIGHT if state.suspect else _NEW_IN_FLIGHT
            if state.in_flight < bound and len(self.others.in_flight) < self.others.maximum:
                return True
        self._wait(delivery)
        return False

    def _still_owed(self, delivery: Delivery) -> bool:
        """Look the seat up again: the page has changed since the delivery was queued."""
        entry = delivery.batch.page.entries.get(delivery.seat)
        if entry is not None and entry.id == delivery.entry.id and delivery.batch.owes(entry):
            delivery.entry = entry
            return True
        self._end_now(delivery, End.WITHDRAWN)
        return False

    def _leave_alone(self, delivery: Delivery, now_ms: int) -> bool:
        """Whether the endpoint is parked; if so the delivery has been dealt with."""
        until_ms = self._health.until_ms(delivery.entry.state, now_ms)
        if not until_ms:
            return False
        if self._settings.blacklist is Blacklist.FAIL:
            self._end_now(delivery, End.REJECTED, "endpoint blacklisted")
        else:
            wait_ms = max(until_ms - now_ms, _NEW_WAIT_MS)
            # Spread, so that the backlog of a parked endpoint does not come back at once.
            wait_ms += int(wait_ms * self._settings.retry_jitter * random.random())  # noqa: S311
            self._postpone(delivery, round_up(now_ms + wait_ms, wait_ms))
        return True

    def _wait(self, delivery: Delivery) -> None:
        """Postpone a delivery whose endpoint, or pool, has no place for it.

        The wait grows with the message's age, so that a backlog for a silent endpoint costs
        less and less until the endpoint is parked.
        """
        message, now_ms = delivery.batch.message, self._clock.now_ms()
        age_ms = now_ms - message.created_ms if message else 0
        if delivery.entry.state.suspect:
            wait_ms = min(max(age_ms, _SUSPECT_WAIT_MS), _LONGEST_SUSPECT_WAIT_MS)
        else:
            wait_ms = min(max(age_ms // 4, _NEW_WAIT_MS), _LONGEST_NEW_WAIT_MS)
        self._postpone(delivery, round_up(now_ms + wait_ms, wait_ms))

    async def _send(self, delivery: Delivery) -> None:
        batch, entry = delivery.batch, delivery.entry
        outcome: Outcome
        try:
            outcome = await batch.adapter.send(batch.content, entry.prepared)
        except Exception:
            log.exception(
                "adapter.failed",
                extra={"protocol": batch.protocol, "message_id": batch.reference.message_id},
            )
            outcome = Retry("the adapter failed")
        finally:
            entry.state.in_flight -= 1
            self._bytes -= batch.size
        self._record(delivery, outcome)
        if entry.state.queue:
            self._next_of(entry.state)
        if self._starved:
            self._starved = False
            self.proven.pump()
            self.others.pump()

    def _next_of(self, state: EndpointState) -> None:
        """Let the next delivery of a proven endpoint in; postpone all if it is none any more."""
        queue = state.queue
        if not queue:
            return
        if state.proven:
            self.proven.queue.appendleft(queue.popleft())
            self.proven.pump()
            return
        while queue:
            self._wait(queue.popleft())

    # Recording

    def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        batch, state = delivery.batch, delivery.entry.state
        if batch.closed:
            return
        took_ms = int((self._loop.time() - delivery.started) * 1000)
        tries = delivery.tries + 1
        match outcome:
            case Delivered(code):
                if not state.proven:
                    self._suspects -= state.suspect
                    state.proven, state.suspect = True, False
                    self._health.succeeded(state)
                batch.attempted(code)
                self._end(delivery, End.DELIVERED, Try(tries, delivery.started_ms, took_ms, code))
            case Retry(reason, code, after_ms, answer):
                # A quick refusal costs little; silence is what healthy ones must be kept from.
                state.proven, state.suspect = False, took_ms >= _SLOW_S * 1000
                self._health.failed(state, batch.reference.topic_id)
                batch.attempted(code)
                last = Try(tries, delivery.started_ms, took_ms, code, reason, answer)
                self._retry(delivery, last, after_ms)
            case Throttled(until_ms):
                self._postpone(delivery, min(until_ms, batch.deadline_ms))
            case Rejected(reason, code, answer):
                if code:
                    # It has answered: a refusal is no reason to leave the endpoint alone.
                    self._health.succeeded(state)
                batch.attempted(code)
                last = Try(tries, delivery.started_ms, took_ms, code, reason, answer)
                self._end(delivery, End.REJECTED, last)
            case _:
                assert_never(outcome)

    def _retry(self, delivery: Delivery, last: Try, after_ms: int) -> None:
        batch, entry = delivery.batch, delivery.entry
        due_ms = next_due_ms(
            now_ms=self._clock.now_ms(),
            tries=last.tries,
            delays=self._settings.retry_delays,
            jitter=self._settings.retry_jitter,
            chance=random.random(),  # noqa: S311 - jitter, not a secret
            at_least_ms=after_ms,
        )
        if due_ms is None:
            self._end(delivery, End.EXHAUSTED, last)
        elif due_ms >= batch.deadline_ms:
            self._end(delivery, End.EXPIRED, last)
        else:
            batch.failed(entry.id, entry.shown, last)
            batch.row.waiting[delivery.seat] = Waiting(last.tries, due_ms, entry.id)
            self._done(delivery)

    def _postpone(self, delivery: Delivery, due_ms: int) -> None:
        """Write a due time instead of holding a place; no try is spent."""
        delivery.batch.row.waiting[delivery.seat] = Waiting(
            delivery.tries, due_ms, delivery.entry.id
        )
        self._done(delivery)

    def _end_now(self, delivery: Delivery, end: End, reason: str = "") -> None:
        """End a delivery without another attempt."""
        self._end(delivery, end, Try(delivery.tries, self._clock.now_ms(), reason=reason))

    def _end(self, delivery: Delivery, end: End, last: Try) -> None:
        entry = delivery.entry
        delivery.batch.end(delivery.seat, entry.id, entry.shown, end, last)
        self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        batch = delivery.batch
        batch.running.discard(delivery.seat)
        if batch.row.waiting:
            self._arm(batch)
        self._touched(batch)

    # Time

    def _arm(self, batch: Batch) -> None:
        """Retry seats that come due while others of the batch are still in flight."""
        if batch.timer is not None or batch.finished or _SOLO in batch.running:
            return
        due_ms = batch.next_due_ms
        if due_ms:
            delay = max(due_ms - self._clock.now_ms(), 0) / 1000
            batch.timer = self._loop.call_later(delay, self._due, batch)

    def _due(self, batch: Batch) -> None:
        batch.timer = None
        if batch.closed or batch.finished or self._draining:
            return
        self._queue(batch, batch.came_due(self._clock.now_ms()))
        self._arm(batch)

    def _sweep(self) -> None:
        """Move what has been silent for too long out of the healthy endpoints' way."""
        self._sweeping = None
        now = self._loop.time()
        for delivery in list(self.proven.in_flight):
            if delivery.started > now - _SLOW_S:
                break
            state = delivery.entry.state
            state.proven = False
            self.proven.move(delivery, self.others)
            if state.queue:
                self._next_of(state)
        slow = self._suspects = 0
        for delivery in self.others.in_flight:
            state = delivery.entry.state
            state.suspect = state.suspect or delivery.started <= now - _SILENT_S
            slow += state.suspect or delivery.started <= now - _SLOW_S
            self._suspects += state.suspect
        self._suspects += sum(delivery.entry.state.suspect for delivery in self.others.queue)
        self._stuck = slow > len(self.others.in_flight) // 2
        self.others.make_room(slow)
        self.proven.pump()
        if self.others.stalled:
            queue, self.others.queue = self.others.queue, deque()
            for delivery in queue:
                self._wait(delivery)
        self._on_room()
        if self.proven.active or self.others.active:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    # Stopping

    async def drain(self, seconds: float) -> None:
        """Finish what is in hand; what is left after ``seconds`` is cut."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle()
        except TimeoutError:
            self.proven.cancel()
            self.others.cancel()
            for task in self._tasks:
                task.cancel()
            await self._idle()

    async def _idle(self) -> None:
        while tasks := self.proven.tasks | self.others.tasks | self._tasks:
            await asyncio.wait(tasks)
