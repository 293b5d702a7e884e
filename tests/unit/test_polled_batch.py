"""A batch of a message with rounds: what it marks, and what it makes of a call."""

from __future__ import annotations

import pytest

from engine.models import End, Outcome, Rejected, Retry, Throttled
from engine.pipeline.batch import Delivery, Try
from engine.pipeline.pages import Entry, Page
from engine.pipeline.rounds import PolledBatch
from engine.policy.rounds import Rounds
from tests.batches import MESSAGE, claimed, entry

A, B, C, STRANGER = (letter * 32 for letter in "abcd")


def _batch(page: dict[int, Entry]) -> PolledBatch:
    """Rounds of a and b, then of c; the message is the topic's fifth."""
    no_progress: object = None
    batch = PolledBatch(
        Rounds({1: (A, B), 2: (C,)}),
        no_progress,  # type: ignore[arg-type]
        **claimed("callnotify"),
    )
    batch.message, batch.sequence, batch.page = MESSAGE, 5, Page("v", page)
    return batch


def _delivery(batch: PolledBatch, seat: int) -> Delivery:
    return Delivery(batch, seat, batch.page.entries[seat], 0)


def test_marks_say_who_has_answered_and_who_has_ended() -> None:
    """Every flush carries all of them; who is in no round has none."""
    batch = _batch({0: entry(A), 1: entry(B), 2: entry(STRANGER)})
    assert batch.take_flush("flush").marks == ""
    batch.end(1, B, "", End.REJECTED, Try(1, 2_000))
    batch.delivered(_delivery(batch, 2), 200, 5)
    assert batch.take_flush("flush").marks == "010"
    batch.delivered(_delivery(batch, 0), 200, 5)
    assert batch.take_flush("flush").marks == "210"
    assert batch.take_flush("end").marks == "210"


@pytest.mark.parametrize(
    "seat", [entry(A, confirmed=False), entry(A, first=6)], ids=["not confirmed", "too late"]
)
def test_who_is_not_owed_the_message_has_ended(seat: Entry) -> None:
    """That is news to be written, so that nobody waits for it."""
    batch = _batch({0: seat, 1: entry(B)})
    assert [delivery.seat for delivery in batch.due(2_000)] == [1]
    assert batch.unflushed == 1
    assert batch.take_flush("flush").marks == "100"


@pytest.mark.parametrize(
    ("seat", "outcome", "redriven", "expected"),
    [
        (0, Retry("busy", 200, 0, "{}", unanswered=True), False, Rejected("busy", 200, "{}")),
        (0, Retry("HTTP 500", 500), False, Retry("HTTP 500", 500)),
        (0, Throttled(5_000), False, Throttled(5_000)),
        (1, Retry("busy", unanswered=True), False, Retry("busy", unanswered=True)),
        (0, Retry("busy", unanswered=True), True, Retry("busy", unanswered=True)),
    ],
    ids=["not answered", "no call", "asked to wait", "in no round", "redriven"],
)
def test_a_round_is_one_call(
    seat: int, outcome: Retry | Throttled, expected: Outcome, *, redriven: bool
) -> None:
    """Not answered is final there; what was no call is tried again."""
    batch = _batch({0: entry(A), 1: entry(STRANGER)})
    batch.row.deadline_ms = 20_000 if redriven else 0
    assert batch.judge(_delivery(batch, seat), outcome) == expected


def test_what_is_worth_one_more_attempt_is_so_in_a_round_too() -> None:
    """As for every other message."""
    batch = _batch({0: entry(A)})
    again = Delivery(batch, 0, batch.page.entries[0], 1)
    assert batch.judge(again, Retry("stale", 200, once=True)) == Rejected("stale", 200)


@pytest.mark.parametrize(
    ("written", "more"), [("000", True), ("010", False), ("02", False), ("", False)]
)
def test_a_batch_knows_what_is_not_written_yet(written: str, *, more: bool) -> None:
    """Compared with the marks that were read, of the whole line or its beginning."""
    batch = _batch({0: entry(A), 1: entry(B)})
    batch.end(1, B, "", End.REJECTED, Try(1, 2_000))
    assert batch.knows_more(written) is more
