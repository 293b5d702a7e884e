"""A batch in a worker's hands: one message for one page, and what has become of its seats.

Nothing here waits or talks to Redis. `dispatch` starts its seats and reports outcomes, `settle`
takes what is not yet written. The batch's row says everything that must survive the worker.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from engine.models import NOTHING_SENT, End, Rejected, Retry
from engine.pipeline.pages import NO_PAGE
from engine.policy import detection, filters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.models import Failure, Message
    from engine.pipeline.pages import Entry
    from engine.ports import Adapter
    from engine.store.ledger import Row
    from engine.store.messages import Reference

UNFLUSHED = 128
"""Outcomes that a crash may repeat, a batch; fewer would cost a command for each few more."""


class Taken(NamedTuple):
    """A lane entry on loan to this worker.

    What was short enough came with it: ``content``, its ``sequence`` number, and the ``version``
    of its only page when it was accepted.
    """

    protocol: str
    entry_id: bytes
    member: bytes
    sequence: int = 0
    version: str = ""
    content: bytes = b""

    @classmethod
    def of(cls, protocol: str, entry_id: bytes, fields: Sequence[bytes]) -> Self:
        """An entry as a read shows it."""
        if len(fields) == 2:
            return cls(protocol, entry_id, fields[1])
        _, member, _, sequence, _, version, _, content = fields
        return cls(protocol, entry_id, member, int(sequence), version.decode(), content)


class Delivery:
    """One message owed to one seat."""

    __slots__ = (
        "batch",
        "entry",
        "pool",
        "reserved_ms",
        "seat",
        "slow",
        "started",
        "started_ms",
        "tries",
    )

    def __init__(
        self, batch: Batch, seat: int, entry: Entry, tries: int, reserved_ms: int = 0
    ) -> None:
        self.batch = batch
        self.seat = seat
        self.entry = entry
        self.tries = tries
        # The time that is reserved for it at its endpoint's rate.
        self.reserved_ms = reserved_ms
        self.pool: Any = None
        self.slow = False
        self.started = 0.0
        self.started_ms = 0


class Try(NamedTuple):
    """The last attempt of a delivery: how many there were, when, how long, what came back.

    Where nothing was sent it is what was decided instead, and took `NOTHING_SENT`.
    """

    tries: int
    at_ms: int
    took_ms: int = NOTHING_SENT
    code: int = 0
    reason: str = ""
    answer: str = ""


class Flush(NamedTuple):
    """What one settle call writes for one batch; kept until it is known to be written."""

    batch: Batch
    mode: str
    number: int
    row: bytes
    due_ms: int
    lines: str
    header: str
    dead: str
    dead_count: int
    counters: str
    report: str
    marks: str = ""


class Batch:
    """State of a batch that this worker holds."""

    __slots__ = (
        "adapter",
        "attempts",
        "born",
        "claims",
        "closed",
        "conceal",
        "content",
        "dead",
        "deliveries",
        "entry_id",
        "flushed_at",
        "lease_until",
        "lines",
        "message",
        "noted",
        "once",
        "paced",
        "page",
        "protocol",
        "reference",
        "refusals",
        "report",
        "row",
        "running",
        "sequence",
        "shard",
        "size",
        "stale",
        "timer",
        "unflushed",
    )

    def __init__(
        self,
        *,
        shard: int,
        taken: Taken,
        reference: Reference,
        claims: int,
        row: Row,
        adapter: Adapter[Any, Any],
        now: float,
        lease_until: float,
    ) -> None:
        self.shard = shard
        self.protocol = taken.protocol
        self.entry_id = taken.entry_id
        self.reference = reference
        self.claims = claims
        self.row = row
        self.adapter = adapter
        self.lease_until = lease_until
        # Whether the protocol has rates: who is bound by one starts in a turn of its own.
        self.paced = bool(adapter.limits.rates)
        self.born = self.flushed_at = now
        self.message: Message | None = None
        self.content: Any = None
        # Encrypts what an endpoint said of encrypted content, which it may have repeated.
        self.conceal: Callable[[str], str] | None = None
        self.size = 0
        self.sequence = 0
        self.page = NO_PAGE
        self.running: set[int] = set()
        self.closed = False
        # A probe: one try that does not wait for a place, and a report instead of a letter.
        self.once = False
        self.report = ""
        self.stale = False
        self.timer: Any = None
        self.unflushed = 0
        self.noted = False
        self.lines: list[str] = []
        self.dead: list[str] = []
        self.attempts = self.deliveries = 0
        self.refusals: dict[str, int] = {}

    @property
    def topic_urn(self) -> str:
        """The topic's URN, '' once the message is gone."""
        return self.message.topic_urn if self.message else ""

    @property
    def created_ms(self) -> int:
        """When the message was accepted; 0 once it is gone."""
        return self.message.created_ms if self.message else 0

    @property
    def void(self) -> bool:
        """Whether the topic or the message is gone, so that nothing is owed any more."""
        return self.message is None

    @property
    def key(self) -> tuple[int, str, bytes]:
        """The lane entry that the batch is: shard, protocol, entry id."""
        return self.shard, self.protocol, self.entry_id

    @property
    def field(self) -> str:
        """The batch's field in the message's ledger."""
        return f"{self.protocol}:{self.reference.page}"

    @property
    def deadline_ms(self) -> int:
        """When the batch's deliveries expire; a redrive may have set a later one."""
        own = self.message.deadline_ms if self.message else 0
        return self.row.deadline_ms or own

    # Which seats are owed the message

    def owes(self, entry: Entry) -> bool:
        """Whether a subscription is to have the message.

        An addressed message, which has no number in the topic's sequence, goes to its
        subscription whatever its status is.
        """
        return self.sequence == 0 or (entry.open and entry.first <= self.sequence)

    def due(self, now_ms: int) -> list[Delivery]:
        """Deliveries to start when the batch begins: owed, not ended, and not waiting any more.

        Seats that wait for another try and are not owed any more end as withdrawn.
        """
        return self.came_due(now_ms) + [
            Delivery(self, seat, entry, 0) for seat, entry in self._untouched(now_ms)
        ]

    def came_due(self, now_ms: int) -> list[Delivery]:
        """Deliveries that have waited for another try and may have it now."""
        due: list[Delivery] = []
        for seat, wait in list(self.row.waiting.items()):
            if seat in self.running:
                continue
            entry = self.page.entries.get(seat)
            if entry is None or entry.id != wait.subscription_id or not self.owes(entry):
                self.end(seat, wait.subscription_id, "", End.WITHDRAWN, Try(wait.tries, now_ms))
            elif wait.due_ms <= now_ms:
                reserved_ms = wait.due_ms if wait.reserved else 0
                due.append(Delivery(self, seat, entry, wait.tries, reserved_ms))
        return due

    def _untouched(self, now_ms: int) -> list[tuple[int, Entry]]:
        """Seats that are owed the message and have had no try yet.

        Those whose filter policies do not match end here; what is being tried did match, and a
        later change of its policies does not take the message back.
        """
        ended, waiting, reference = self.row.ended, self.row.waiting, self.reference
        if reference.seat is None:
            sequence = self.sequence
            found = [
                (seat, entry)
                for seat, entry in self.page.entries.items()
                if entry.open
                and entry.first <= sequence
                and not ended >> seat & 1
                and seat not in waiting
            ]
            if self.message is None or not self.message.attributes:
                return found
            return self._matching(found, filters.demands(self.message.attributes), now_ms)
        seat = reference.seat
        if ended >> seat & 1 or seat in waiting:
            return []
        entry = self.page.entries.get(seat)
        if entry is not None and entry.id == reference.subscription_id:
            return [(seat, entry)]
        self.end(seat, reference.subscription_id, "", End.WITHDRAWN, Try(0, now_ms))
        return []

    def _matching(
        self, found: list[tuple[int, Entry]], asked: filters.Demands, now_ms: int
    ) -> list[tuple[int, Entry]]:
        if not asked:
            return found
        wanted = []
        for seat, entry in found:
            if filters.matches(asked, entry.filters):
                wanted.append((seat, entry))
            else:
                self.end(seat, entry.id, "", End.FILTERED, Try(0, now_ms))
        return wanted

    # What became of them

    def delivered(self, delivery: Delivery, code: int, took_ms: int) -> None:
        """Record a success: the attempt, the end, the count, the line."""
        entry, row = delivery.entry, self.row
        row.ended |= 1 << delivery.seat
        if row.waiting:
            row.waiting.pop(delivery.seat, None)
        self.unflushed += 1
        self.attempts += 1
        self.deliveries += 1
        self.lines.append(
            f'["{entry.id}",{quoted(entry.shown)},"delivered",{code},'
            f'{delivery.started_ms},{took_ms},"",{delivery.tries + 1}]'
        )
        if self.once:
            self.report = detection.judge(End.DELIVERED, code, "", "").encode()

    def judge(self, delivery: Delivery, failure: Failure) -> Failure:
        """What an attempt that was no success comes to for this message."""
        if isinstance(failure, Retry) and failure.once and delivery.tries:
            return Rejected(failure.reason, failure.code, failure.answer)
        return failure

    def use_turn(self, seat: int) -> None:
        """Note that a seat's reserved time is being used: whoever tries it again needs another."""
        wait = self.row.waiting.get(seat)
        if wait is not None and wait.reserved:
            self.row.waiting[seat] = wait._replace(reserved=False)

    def attempted(self, code: int) -> None:
        """Count an attempt that was no success, and the class of its answer."""
        self.attempts += 1
        if code >= 400:
            name = "4xx" if code < 500 else "5xx"
            self.refusals[name] = self.refusals.get(name, 0) + 1

    def end(self, seat: int, identifier: str, shown: str, end: End, last: Try) -> None:
        """Record that a delivery has ended for good, other than by success."""
        self.row.ended |= 1 << seat
        self.row.waiting.pop(seat, None)
        self.unflushed += 1
        if end.log_status is None:
            return
        self._log(identifier, shown, end, last)
        tries, at_ms, _, code, reason, answer = last
        if self.once:
            self.report = detection.judge(end, code, reason, answer).encode()
            return
        if answer and self.conceal is not None:
            answer = self.conceal(answer)
        self.dead.append(
            json.dumps([seat, identifier, shown, end, code, reason, answer, tries, at_ms])
        )

    def failed(self, identifier: str, shown: str, last: Try) -> None:
        """Keep an attempt that will be followed by another."""
        self.unflushed += 1
        self._log(identifier, shown, "", last)

    def _log(self, identifier: str, shown: str, end: str, last: Try) -> None:
        tries, at_ms, took_ms, code, reason, _ = last
        line = [identifier, shown, end, code, at_ms, took_ms, reason, tries]
        self.lines.append(json.dumps(line, separators=(",", ":"), ensure_ascii=False))

    @property
    def finished(self) -> bool:
        """Whether no seat is in flight or about to be."""
        return not self.running

    @property
    def next_due_ms(self) -> int:
        """When the next seat that only waits comes due; 0 = none waits."""
        running = self.running
        return min(
            (wait.due_ms for seat, wait in self.row.waiting.items() if seat not in running),
            default=0,
        )

    def take_flush(self, mode: str) -> Flush:
        """Everything not yet written, as one flush; the row's number moves on with it."""
        row = self.row
        row.flush += 1
        ends = mode == "end" and not row.waiting
        lines, self.lines = self.lines, []
        dead, self.dead = self.dead, []
        counters = self._take_counters()
        self.unflushed = 0
        return Flush(
            batch=self,
            mode=mode,
            number=row.flush,
            row=b"" if ends else row.pack(),
            due_ms=self.next_due_ms,
            lines=f"[{','.join(lines)}]" if lines else "",
            header=self._header() if lines else "",
            dead="".join(line + "\n" for line in dead),
            dead_count=len(dead),
            counters=" ".join(f"{self.protocol}:{name} {n}" for name, n in counters if n),
            report=self.report,
        )

    def _take_counters(self) -> list[tuple[str, int]]:
        counters = [("attempted", self.attempts), ("delivered", self.deliveries)]
        counters += self.refusals.items()
        self.attempts = self.deliveries = 0
        self.refusals = {}
        return counters

    def _header(self) -> str:
        reference = self.reference
        return json.dumps(
            [
                reference.topic_id,
                reference.message_id,
                self.protocol,
                self.message.kind if self.message else "",
                self.created_ms,
            ],
            separators=(",", ":"),
        )
