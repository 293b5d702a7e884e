"""Polling: whom a topic's policy names is called round by round, until somebody answers.

A message takes its topic's rounds along when it is accepted. What has become of those in them is
written down with the ledger, in the same script: a text of marks beside the message. A delivery of
a later round waits, in Redis as ever, and asks from time to time how far the rounds before it
have come. It believes only what is written, so that no crash takes a round back; and nobody has to
be told, so that no crash loses a round either.
"""

from __future__ import annotations

import logging
import operator
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError
from engine.models import End, Rejected, Retry
from engine.pipeline.batch import Batch, Try
from engine.policy.rounds import ANSWERED, ENDED, OPEN, Call, Rounds, decide, next_look_ms
from engine.store.ledger import Waiting

if TYPE_CHECKING:
    from engine.models import Failure
    from engine.pipeline.batch import Delivery, Flush
    from engine.store.connection import Store
    from engine.store.keys import Keys

log = logging.getLogger(__name__)


class PolledBatch(Batch):
    """A batch of a message with rounds.

    ``marks`` are what this worker knows of the line, ``progress`` tells what is written.
    """

    __slots__ = ("marks", "progress", "rounds")

    def __init__(self, rounds: Rounds, progress: Progress, **given: Any) -> None:
        super().__init__(**given)
        self.rounds = rounds
        self.progress = progress
        self.marks = [OPEN] * len(rounds.line)

    def delivered(self, delivery: Delivery, code: int, took_ms: int) -> None:
        """Record a success; in a round it is an answer."""
        super().delivered(delivery, code, took_ms)
        self._mark(delivery.entry.id, ANSWERED)

    def end(self, seat: int, identifier: str, shown: str, end: End, last: Try) -> None:
        """Record that a delivery has ended for good, other than by success."""
        super().end(seat, identifier, shown, end, last)
        self._mark(identifier, ENDED)

    def due(self, now_ms: int) -> list[Delivery]:
        """Deliveries to start when the batch begins.

        Whom the rounds name without being owed the message has ended: nobody waits for those.
        """
        for entry in self.page.entries.values():
            if self.rounds.place(entry.id) is not None and not self.owes(entry):
                self._mark(entry.id, ENDED)
                self.unflushed += 1
        return super().due(now_ms)

    def judge(self, delivery: Delivery, failure: Failure) -> Failure:
        """What an attempt comes to: a round is one call, and the next one is somebody else's.

        Unless it is a redrive, which no round waits for.
        """
        if (
            isinstance(failure, Retry)
            and failure.unanswered
            and not self.row.deadline_ms
            and self.rounds.place(delivery.entry.id) is not None
        ):
            return Rejected(failure.reason, failure.code, failure.answer)
        return super().judge(delivery, failure)

    def take_flush(self, mode: str) -> Flush:
        """Everything not yet written, and all marks."""
        marks = "".join(self.marks)
        return super().take_flush(mode)._replace(marks=marks if marks.strip(OPEN) else "")

    def knows_more(self, written: str) -> bool:
        """Whether it has marks that are not among those yet."""
        return any(map(operator.gt, self.marks, written))

    def _mark(self, identifier: str, mark: str) -> None:
        place = self.rounds.place(identifier)
        if place is not None:
            self.marks[place] = mark


class Progress:
    """Knows how far rounds have come, and lets through whose has."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def let_through(self, batch: PolledBatch, due: list[Delivery]) -> list[Delivery]:
        """The deliveries whose round has come; others wait, or end if somebody has answered.

        What is redriven goes at once, and what is past its deadline, to expire.
        """
        before = {delivery.seat: batch.rounds.before(delivery.entry.id) for delivery in due}
        furthest = max(before.values(), default=0)
        now_ms = self._store.clock.now_ms()
        if not furthest or batch.row.deadline_ms or now_ms >= batch.deadline_ms:
            return due
        try:
            marks = await self._written(batch, furthest)
        except StoreError as error:
            log.warning("rounds.unreadable", extra={"error": str(error)})
            marks = OPEN * furthest
        calls: dict[Call, list[Delivery]] = {call: [] for call in Call}
        for delivery in due:
            calls[decide(marks[: before[delivery.seat]])].append(delivery)
        going = calls[Call.NOW]
        # While calls of this batch are under way, or what came of them, a look costs only a read.
        soon = bool(going) or any(seat >= 0 for seat in batch.running) or batch.knows_more(marks)
        self._put_off(batch, calls[Call.LATER], soon=soon)
        self._end(batch, calls[Call.NEVER])
        return going

    async def _written(self, batch: PolledBatch, count: int) -> str:
        """The marks of the first in the line as Redis has them; who is gone has ended."""
        keys, reference, line = self._keys, batch.reference, batch.rounds.line[:count]
        message = keys.message(reference.topic_id, reference.message_id)
        seated, written, topic = await self._store.call_many(
            [
                ("HMGET", keys.subscriptions(reference.topic_id), *line),
                ("HGET", message, "m"),
                # Last: when a topic is deleted its subscriptions go after it.
                ("HMGET", keys.topic(reference.topic_id), "gone", "name"),
            ],
            key=message,
            repeatable=True,
        )
        known = (written or b"").decode() or OPEN * len(batch.rounds.line)
        if topic[0] is not None or topic[1] is None:
            return known[:count]
        return "".join(
            ENDED if seat is None and mark == OPEN else mark
            for seat, mark in zip(seated, known[:count], strict=True)
        )

    def _put_off(self, batch: PolledBatch, deliveries: list[Delivery], *, soon: bool) -> None:
        now_ms = self._store.clock.now_ms()
        created_ms = batch.message.created_ms if batch.message else now_ms
        due_ms = min(next_look_ms(now_ms, created_ms, soon=soon), batch.deadline_ms)
        for delivery in deliveries:
            batch.row.waiting[delivery.seat] = Waiting(delivery.tries, due_ms, delivery.entry.id)

    def _end(self, batch: PolledBatch, needless: list[Delivery]) -> None:
        if not needless:
            return
        now_ms = self._store.clock.now_ms()
        for delivery in needless:
            entry, last = delivery.entry, Try(delivery.tries, now_ms)
            batch.end(delivery.seat, entry.id, entry.shown, End.FILTERED, last)
        reference = batch.reference
        log.info(
            "rounds.answered",
            extra={
                "topic_id": reference.topic_id,
                "message_id": reference.message_id,
                "not_called": [delivery.entry.id for delivery in needless],
            },
        )
