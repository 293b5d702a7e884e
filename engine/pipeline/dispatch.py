"""Stage 3: run batches: start their deliveries within bounds, turn outcomes into decisions.

`places` decides whose turn it is. A delivery that may not be sent now gets a due time instead
of holding a place; an outcome ends a delivery or gives it a due time, too.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, assert_never, cast

from engine.models import Delivered, End, Rejected, Retry, Throttled
from engine.pipeline.batch import UNFLUSHED, Batch, Delivery, Try
from engine.pipeline.digest import Gathering, in_order, merged, merges
from engine.pipeline.places import Places
from engine.pipeline.rounds import PolledBatch
from engine.pipeline.turns import Turns, in_time, is_quiet
from engine.policy.detection import BLACKLISTED, NO_PLACE
from engine.policy.outcomes import sound
from engine.policy.retry_schedule import next_due_ms, round_up
from engine.settings import Blacklist
from engine.store import messages
from engine.store.ledger import Waiting
from engine.store.outbox import concealing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from engine.models import Outcome
    from engine.pipeline.health import Health
    from engine.pipeline.limits import FlowControl
    from engine.ports import Clock, Merging
    from engine.settings import Settings
    from engine.store.limiter import Limiter

log = logging.getLogger(__name__)

_LEAST_PARKED_MS = 100
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
        flow: FlowControl | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._health = health
        self._turns = Turns(clock, limiter)
        self._flow = flow
        self._touched = touched
        self._write_now = write_now
        self._loop = asyncio.get_running_loop()
        self.places = Places(clock, settings, self._start, self._put_off, on_room)
        # Redis's time when the loop's own time was `_read_at`: uvloop's stands still for a turn.
        self._read_at = 0.0
        self._now_ms = 0
        self._draining = False
        self._gathering = Gathering(self._spawn, self._together)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_room(self) -> bool:
        """Whether more batches may be read."""
        return self.places.has_room

    # Starting

    def begin(self, batch: Batch) -> None:
        """Start a loaded batch: every seat that is owed the message, due and not done."""
        due = batch.due(self._clock.now_ms())
        if isinstance(batch, PolledBatch):
            batch.running.add(_SOLO)
            self._spawn(self._by_rounds(batch, due))
        else:
            self._go(batch, due)

    async def _by_rounds(self, batch: PolledBatch, due: list[Delivery]) -> None:
        """Start those whose round has come; the others wait for theirs."""
        due = await batch.progress.let_through(batch, due)
        batch.running.discard(_SOLO)
        self._go(batch, due)

    def _go(self, batch: Batch, due: list[Delivery]) -> None:
        """Start what is due as the batch, its protocol and the limits in force want it."""
        if batch.claims > self._settings.max_claims:
            batch.running.add(_SOLO)
            self._spawn(self._one_by_one(batch, due))
        elif due and self._flow is not None and self._flow.concerns(batch):
            batch.running.add(_SOLO)
            self._spawn(self._within_limits(self._flow, batch, due))
        elif due and batch.paced:
            batch.running.add(_SOLO)
            self._spawn(self._at_their_rate(batch, due))
        else:
            self._queue(batch, due)
            self._arm(batch)
            self._touched(batch)

    async def _within_limits(self, flow: FlowControl, batch: Batch, due: list[Delivery]) -> None:
        """End what is over a flow limit; the rest goes on as if there were none."""
        due = await flow.let_through(batch, due)
        if due and batch.paced:
            await self._at_their_rate(batch, due)
            return
        self._queue(batch, due)
        batch.running.discard(_SOLO)
        self._arm(batch)
        self._touched(batch)

    async def _at_their_rate(self, batch: Batch, due: list[Delivery]) -> None:
        """Start what has its turn now; all others wait for theirs."""
        if merges(batch):
            batch.running.update([delivery.seat for delivery in due])
            self._gathering.put(due)
        else:
            self._queue(batch, await self._turns.now(batch, due))
        # Not if this is cut: the batch then goes back as it is, and must not seem to have ended.
        batch.running.discard(_SOLO)
        self._arm(batch)
        self._touched(batch)

    async def _together(self, gathered: list[Delivery]) -> None:
        """Send what a subscription is owed as one message, if it is its turn; the rest waits."""
        now_ms = self._clock.now_ms()
        going = in_order([d for d in gathered if self._still_to_send(d, now_ms)])
        if not going:
            return
        before_ms = now_ms + going[0].entry.pace.leeway_ms
        at_ms = await self._turns.one(going[0], before_ms=before_ms)
        if at_ms >= before_ms:
            for delivery in going:
                self._postpone(delivery, min(at_ms, delivery.batch.deadline_ms))
            return
        await self._turns.wait(at_ms)
        await self._send_merged([d for d in going if not d.batch.closed])

    def _still_to_send(self, delivery: Delivery, now_ms: int) -> bool:
        """Whether a gathered delivery is to be sent now; if not it has been dealt with."""
        batch = delivery.batch
        if batch.closed or (batch.stale and not self._still_owed(delivery)):
            return False
        if self._loop.time() >= batch.lease_until:
            self._postpone(delivery, now_ms)
        elif now_ms >= batch.deadline_ms:
            self._end_now(delivery, End.EXPIRED, "time_to_live passed")
        elif is_quiet(delivery, now_ms):
            quiet_ms = delivery.entry.state.quiet_until_ms
            self._postpone(delivery, min(quiet_ms, batch.deadline_ms))
        else:
            return not (self._health.parked and self._leave_alone(delivery, now_ms))
        return False

    async def _send_merged(self, going: list[Delivery]) -> None:
        """One attempt for all that fit into one message; what came of it came of each."""
        if not going:
            return
        first, count = going[0], len(going)
        batch = first.batch
        started, started_ms = self._loop.time(), self._clock.now_ms()
        outcome: Outcome
        try:
            adapter = cast("Merging[Any, Any]", batch.adapter)
            content, count = merged(adapter, [delivery.batch.content for delivery in going])
            outcome = sound(await adapter.send(content, first.entry.prepared))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see there
            outcome = _failed(batch, error)
        for delivery in going[count:]:
            self._postpone(delivery, started_ms)
        for delivery in going[:count]:
            delivery.started, delivery.started_ms = started, started_ms
            if not delivery.batch.closed:
                self._record(delivery, outcome, alone=delivery is first)

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
                if batch.paced and not await self._turns.comes(delivery):
                    # Elsewhere how often the batch was claimed is forgotten.
                    continue
                row.solo = delivery.seat
                if batch.closed or not await self._write_now(batch):
                    return
                batch.running.add(delivery.seat)
                delivery.pool = self.places.others
                sending = self._start(delivery)
                if sending is not None:
                    await sending
        finally:
            # Who is cut has not died of it: the batch goes back, and nobody is suspected.
            row.solo = None
        # Not if this is cut: the batch then goes back as it is, and must not seem to have ended.
        batch.running.discard(_SOLO)
        self._touched(batch)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _queue(self, batch: Batch, deliveries: list[Delivery]) -> None:
        if deliveries:
            batch.running.update([delivery.seat for delivery in deliveries])
            self.places.put(deliveries, first=batch.paced)

    def _start(self, delivery: Delivery) -> Coroutine[Any, Any, None] | None:
        """Start one delivery, or decide at once that it is not to be sent now."""
        batch = delivery.batch
        now = self._loop.time()
        if now != self._read_at:
            self._read_at, self._now_ms = now, self._clock.now_ms()
        now_ms = self._now_ms
        if batch.closed or (batch.stale and not self._still_owed(delivery)):
            pass
        elif now >= batch.lease_until:
            # Another worker may hold the batch by now: nothing is sent, the fence decides.
            self._postpone(delivery, now_ms)
        elif now_ms >= batch.deadline_ms:
            self._end_now(delivery, End.EXPIRED, "time_to_live passed")
        elif batch.paced and not in_time(delivery, now_ms):
            # It waits for another turn, which it reserves when that can be.
            quiet_ms = min(delivery.entry.state.quiet_until_ms, batch.deadline_ms)
            self._postpone(delivery, max(quiet_ms, now_ms))
        elif not (self._health.parked and self._leave_alone(delivery, now_ms)) and (
            self.places.take(delivery)
        ):
            delivery.started = now
            delivery.started_ms = now_ms
            if batch.paced:
                batch.use_turn(delivery.seat)
            return self._send(delivery)
        # The place that this one was let in for is the next one's.
        self.places.pass_on(delivery.entry.state)
        return None

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
            self._end_now(delivery, End.REJECTED, BLACKLISTED)
        elif delivery.batch.once and until_ms > now_ms + 1:
            # Parked, and not just until a probe is granted, which this one may then be.
            self._end_now(delivery, End.REJECTED, BLACKLISTED)
        else:
            wait_ms = max(until_ms - now_ms, _LEAST_PARKED_MS)
            # Spread, so that the backlog of a parked endpoint does not come back at once.
            wait_ms += int(wait_ms * self._settings.retry_jitter * random.random())  # noqa: S311
            self._postpone(delivery, round_up(now_ms + wait_ms, wait_ms))
        return True

    async def _send_concealed(
        self,
        batch: Batch,
        prepared: Any,  # noqa: ANN401 - the adapter's own
        conceal: Callable[[str], str],
    ) -> Outcome:
        """One attempt with encrypted content: what it leaves in the outbox is sealed, too."""
        reference = batch.reference
        context = messages.context(reference.topic_id, reference.message_id)
        with concealing(conceal, context):
            return await batch.adapter.send(batch.content, prepared)

    async def _send(self, delivery: Delivery) -> None:
        batch, entry = delivery.batch, delivery.entry
        outcome: Outcome
        try:
            if batch.conceal is None:
                outcome = await batch.adapter.send(batch.content, entry.prepared)
            else:
                outcome = await self._send_concealed(batch, entry.prepared, batch.conceal)
            outcome = sound(outcome)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see there
            outcome = _failed(batch, error)
        finally:
            self.places.leave(delivery)
        if not batch.closed:
            self._record(delivery, outcome)
        self.places.pass_on(entry.state)

    # Recording

    def _record(self, delivery: Delivery, outcome: Outcome, *, alone: bool = True) -> None:
        """Turn an outcome into what becomes of a delivery.

        ``alone`` is false for all but the first that shared an attempt: it counts once.
        """
        batch, state = delivery.batch, delivery.entry.state
        took_ms = int((self._loop.time() - delivery.started) * 1000)
        if isinstance(outcome, Delivered):
            if not state.proven:
                self.places.succeeded(state)
            # Also one that is proven may be parked, by others or by what failed before this.
            if self._health.parked:
                self._health.succeeded(state)
            batch.delivered(delivery, outcome.code, took_ms)
            batch.running.discard(delivery.seat)
            self._ended(batch)
            return
        tries = delivery.tries + 1
        failure = batch.judge(delivery, outcome)
        match failure:
            case Retry(reason, code, after_ms, answer):
                self.places.failed(state, took_ms)
                if alone:
                    self._health.failed(state, batch.reference.topic_id)
                batch.attempted(code)
                last = Try(tries, delivery.started_ms, took_ms, code, reason, answer)
                self._retry(delivery, last, after_ms)
            case Throttled(_, reason, code) if batch.once:
                batch.attempted(code)
                last = Try(tries, delivery.started_ms, took_ms, code, reason)
                self._end(delivery, End.REJECTED, last)
            case Throttled():
                self._throttled(delivery, failure, took_ms)
            case Rejected(reason, code, answer):
                if code:
                    # It has answered: a refusal is no reason to leave the endpoint alone.
                    self._health.succeeded(state)
                batch.attempted(code)
                last = Try(tries, delivery.started_ms, took_ms, code, reason, answer)
                self._end(delivery, End.REJECTED, last)
            case _:
                assert_never(failure)

    def _throttled(self, delivery: Delivery, asked: Throttled, took_ms: int) -> None:
        batch, entry = delivery.batch, delivery.entry
        if asked.code:
            # It has answered: an attempt, though none of those that are counted down.
            batch.attempted(asked.code)
            last = Try(delivery.tries, delivery.started_ms, took_ms, asked.code, asked.reason)
            batch.failed(entry.id, entry.shown, last)
        if batch.paced:
            state = entry.state
            state.quiet_until_ms = max(asked.until_ms, state.quiet_until_ms)
            self._spawn(self._turns.pause(delivery, asked.until_ms))
        self._postpone(delivery, min(asked.until_ms, batch.deadline_ms))

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
        if due_ms is None or batch.once:
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

    def _put_off(self, deliveries: Sequence[Delivery], due_ms: int) -> None:
        """Postpone some of one batch that have found no place; a probe does not wait for one."""
        batch = deliveries[0].batch
        if batch.once:
            for delivery in deliveries:
                self._end_now(delivery, End.REJECTED, NO_PLACE)
            return
        for one in deliveries:
            batch.row.waiting[one.seat] = Waiting(one.tries, due_ms, one.entry.id)
            batch.running.discard(one.seat)
        self._ended(batch)

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
        self._ended(batch)

    def _ended(self, batch: Batch) -> None:
        """Some of a batch are not under way any more."""
        if batch.row.waiting:
            self._arm(batch)
        # Nothing new for who writes it down, unless it has just begun, is much, or is all.
        if not batch.noted or batch.unflushed >= UNFLUSHED or not batch.running:
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
        due = batch.came_due(self._clock.now_ms())
        if due and isinstance(batch, PolledBatch):
            batch.running.add(_SOLO)
            self._spawn(self._by_rounds(batch, due))
            return
        if due and batch.paced:
            batch.running.add(_SOLO)
            self._spawn(self._at_their_rate(batch, due))
            return
        self._queue(batch, due)
        self._arm(batch)

    # Stopping

    async def drain(self, seconds: float) -> None:
        """Finish what is in hand; what is left after ``seconds`` is cut."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle()
        except TimeoutError:
            self.places.cancel()
            for task in self._tasks:
                task.cancel()
            await self._idle()

    async def _idle(self) -> None:
        while tasks := self.places.tasks | self._tasks:
            await asyncio.wait(tasks)


def _failed(batch: Batch, error: BaseException) -> Outcome:
    """What an attempt comes to whose adapter did what none may do; raises again what cuts it.

    What an adapter waits for may be cancelled while nobody cancels the attempt.
    """
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    log.error(
        "adapter.failed",
        extra={"protocol": batch.protocol, "message_id": batch.reference.message_id},
        exc_info=error,
    )
    return Retry("the adapter failed")
