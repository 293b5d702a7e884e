"""Who may take a place, who waits: endpoints are kept out of each other's way.

Endpoints that answered lately are *proven* and run in one pool, all others in a second one of
the same size, one delivery an endpoint at a time: the first will show what it is. An endpoint
that hangs is moved to the second as soon as that shows, so that it never holds a place that
healthy ones need. After a longer silence it is a *suspect*, and suspects share a small part of
the second pool. A delivery that finds its endpoint silent, or no place in the second pool, gets a
due time instead: waiting in Redis costs little.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from engine.pipeline.pool import Pool
from engine.policy.retry_schedule import round_up
from engine.policy.waiting import new_wait_ms, suspect_wait_ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from engine.pipeline.batch import Delivery
    from engine.pipeline.pages import EndpointState
    from engine.ports import Clock
    from engine.settings import Settings

QUEUED = 512
"""Deliveries ready but not started at which no more batches are read: a few tens of ms."""
_SLOW_S = 0.5
_NEW_SLOW_S = 0.25
"""A new endpoint has less time to show what it is: thousands may have to be found out about."""
_SILENT_S = 2.0
_SWEEP_S = 0.125
_LATELY_MS = 30_000
_CROWD = 10_000
"""Endpoints remembered as put off; of more the longest wait has long been reached."""
_SUSPECT_SHARE = 16
"""Suspects get a sixteenth of the second pool: each attempt at a silent endpoint costs a new
connection and its timeout, five times what a delivery on a kept one does."""
_ENDPOINT_QUEUE = 256


class Crowd:
    """How many endpoints have been put off lately."""

    def __init__(self) -> None:
        self._since_ms = 0
        self._now: set[EndpointState] = set()
        self._before: set[EndpointState] = set()

    def add(self, state: EndpointState, now_ms: int) -> int:
        """Note an endpoint; how many there were in the last half minute, or the one before."""
        passed_ms = now_ms - self._since_ms
        if passed_ms >= _LATELY_MS:
            self._before = self._now if passed_ms < 2 * _LATELY_MS else set()
            self._now, self._since_ms = set(), now_ms
        if len(self._now) < _CROWD:
            self._now.add(state)
        return max(len(self._now), len(self._before))


class Places:
    """The two pools, and the bounds of each endpoint.

    ``start`` is asked to send a delivery whose turn has come, and asks back with `take`;
    ``postpone`` writes a due time (ms) for some of one batch that have to wait; ``on_room`` is
    told when more may be read.
    """

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        start: Callable[[Delivery], Awaitable[None] | None],
        postpone: Callable[[Sequence[Delivery], int], None],
        on_room: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._most_at_one = settings.endpoint_in_flight
        self._most_bytes = settings.in_flight_bytes
        self._postpone = postpone
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        half = max(settings.in_flight // 2, 1)
        self.proven = Pool(start, self._admits, half, QUEUED // 2, on_room)
        self.others = Pool(start, self._admits, half, QUEUED // 2, on_room)
        self._most_suspects = max(half // _SUSPECT_SHARE, 1)
        self._bytes = 0
        self._starved = False
        self._put_off = Crowd()
        # An attempt at a silent endpoint lasts until its time-out.
        self._try_ms = int(settings.send_timeout * 1000)
        # Suspects in the second pool; the sweep counts them anew.
        self._suspects = 0
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether more batches may be read.

        Not while unknown endpoints still have to show what they are, unless silent ones hold
        most of the places: then what is proven alone decides.
        """
        queued = len(self.proven.queue)
        if not self._stuck:
            queued += max(len(self.others.queue) - self._suspects, 0)
        return queued < QUEUED

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What is under way."""
        return self.proven.tasks | self.others.tasks

    def cancel(self) -> None:
        """Cut everything in flight."""
        self.proven.cancel()
        self.others.cancel()

    def put(self, deliveries: Sequence[Delivery], *, first: bool = False) -> None:
        """Queue deliveries of one batch, each where its endpoint belongs, or let them wait.

        ``first`` is for those that are few and have a time to keep.
        """
        if self._sweeping is None:
            self._suspects = 0
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        proven, others, suspects = [], [], []
        for delivery in deliveries:
            state = delivery.entry.state
            if state.proven:
                proven.append(delivery)
            elif self._may_queue(state):
                others.append(delivery)
            elif state.suspect:
                suspects.append(delivery)
            else:
                self._wait(delivery)
        if proven:
            self.proven.put(proven, first=first)
        if others:
            self.others.put(others, first=first)
        if suspects:
            self._wait_for_turns(suspects)

    def take(self, delivery: Delivery) -> bool:
        """Count a delivery in flight if its endpoint has a place; if not, it waits somewhere."""
        state = delivery.entry.state
        full = state.in_flight >= (self._most_at_one if state.proven else 1)
        if full and not state.suspect and delivery.batch.row.solo is None:
            # Who is tried alone, after workers died, must not start when another is named.
            self._wait_behind(delivery, state)
            return False
        if full or (not state.proven and len(self.others.in_flight) >= self.others.maximum):
            self._wait(delivery)
            return False
        state.in_flight += 1
        self._bytes += delivery.batch.size
        return True

    def leave(self, delivery: Delivery) -> None:
        """The exchange is over, whatever came of it."""
        delivery.entry.state.in_flight -= 1
        self._bytes -= delivery.batch.size

    def pass_on(self, state: EndpointState) -> None:
        """Let in who waits for the place that a delivery has left; after a silence nobody."""
        if state.queue:
            self._let_in(state)
        if self._starved:
            self._starved = False
            self.proven.pump()
            self.others.pump()

    def succeeded(self, state: EndpointState) -> None:
        """An endpoint that was not proven has answered well."""
        self._suspects -= state.suspect
        state.proven, state.suspect = True, False

    def failed(self, state: EndpointState, took_ms: int) -> None:
        """An attempt has failed: a quick refusal costs little, silence makes a suspect."""
        state.proven, state.suspect = False, took_ms >= _SLOW_S * 1000

    @property
    def _stuck(self) -> bool:
        """Whether silence fills the second pool."""
        return self.others.slow > self.others.maximum // 2

    def _may_queue(self, state: EndpointState) -> bool:
        """Whether an endpoint that is not proven may wait in the queue for a place."""
        if state.suspect:
            allowed = self._suspects < self._most_suspects
            self._suspects += allowed
            return allowed
        return not self._stuck or len(self.others.queue) < QUEUED

    def _admits(self, delivery: Delivery) -> bool:
        """Whether a delivery's bytes fit into what may be in flight."""
        if not self._bytes or self._bytes + delivery.batch.size <= self._most_bytes:
            return True
        self._starved = True
        return False

    def _wait_behind(self, delivery: Delivery, state: EndpointState) -> None:
        """Queue at the endpoint itself as long as that is short."""
        if state.queue is None:
            state.queue = deque()
        if len(state.queue) < _ENDPOINT_QUEUE:
            state.queue.append(delivery)
        else:
            self._wait(delivery)

    def _wait(self, delivery: Delivery) -> None:
        """Postpone a delivery whose endpoint, or pool, has no place for it."""
        if delivery.entry.state.suspect:
            self._wait_for_turns([delivery])
            return
        now_ms = self._clock.now_ms()
        wait_ms = new_wait_ms(now_ms - delivery.batch.created_ms)
        self._postpone([delivery], round_up(now_ms + wait_ms, wait_ms))

    def _wait_for_turns(self, deliveries: Sequence[Delivery]) -> None:
        """Postpone deliveries of one batch to suspects that have no places: most are so many."""
        now_ms = self._clock.now_ms()
        waiting = 0
        for delivery in deliveries:
            waiting = self._put_off.add(delivery.entry.state, now_ms)
        wait_ms = suspect_wait_ms(
            now_ms - deliveries[0].batch.created_ms,
            waiting=waiting,
            places=self._most_suspects,
            try_ms=self._try_ms,
        )
        self._postpone(deliveries, round_up(now_ms + wait_ms, wait_ms))

    def _let_in(self, state: EndpointState) -> None:
        room = (self._most_at_one if state.proven else 1) - state.in_flight
        if room > 0 and state.suspect:
            self._send_away(state)
        elif room > 0 and state.queue:
            pool = self.proven if state.proven else self.others
            going = [state.queue.popleft() for _ in range(min(room, len(state.queue)))]
            pool.put(going, first=True)

    def _send_away(self, state: EndpointState) -> None:
        """Postpone what waits behind others at a silent endpoint.

        Unless it is a suspect, who has a reserved time stays: that would be lost elsewhere.
        """
        queue, state.queue = state.queue, None
        for delivery in queue or ():
            if delivery.reserved_ms and not state.suspect:
                self._wait_behind(delivery, state)
            else:
                self._wait(delivery)

    def _sweep(self) -> None:
        """Move what has been silent for too long out of the healthy endpoints' way."""
        self._sweeping = None
        now = self._loop.time()
        for delivery in list(self.proven.in_flight):
            if delivery.started > now - _SLOW_S:
                break
            state = delivery.entry.state
            state.proven = False
            self.proven.mark_slow(delivery)
            self.proven.move(delivery, self.others)
            self._send_away(state)
        self._suspects = sum(delivery.entry.state.suspect for delivery in self.others.queue)
        for delivery in self.others.in_flight:
            state = delivery.entry.state
            if delivery.started <= now - _NEW_SLOW_S:
                self.others.mark_slow(delivery)
                self._send_away(state)
                state.suspect = state.suspect or delivery.started <= now - _SILENT_S
            self._suspects += state.suspect
        self.proven.pump()
        self.others.pump()
        if self.others.active >= self.others.maximum:
            queue, self.others.queue = self.others.queue, deque()
            for delivery in queue:
                self._wait(delivery)
        self._on_room()
        if self.proven.active or self.others.active:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
