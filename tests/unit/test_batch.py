"""A batch in memory: what is due, what is flushed, what survives."""

from __future__ import annotations

import json

import pytest

from engine.models import End, Rejected, Retry
from engine.pipeline.batch import Batch, Delivery, Try
from engine.pipeline.pages import EndpointState, Entry, Page
from engine.store.ledger import Row, Waiting
from tests.batches import MESSAGE, claimed, entry

ID = "ab" * 16


@pytest.fixture
def batch() -> Batch:
    """A loaded batch in which two seats are in flight."""
    batch = Batch(**claimed("http"))
    batch.message = MESSAGE
    batch.running |= {0, 1}
    return batch


def _delivery(batch: Batch, shown: str = "http://e/") -> Delivery:
    """The first try at seat 0, begun at 2,000 ms."""
    delivery = Delivery(batch, 0, entry(ID, shown), 0)
    delivery.started_ms = 2_000
    return delivery


def test_a_delivered_seat_is_a_line_and_a_count(batch: Batch) -> None:
    """It ends in the row, in the log and in the counters, and is no dead letter."""
    batch.delivered(_delivery(batch, shown='http://e/"ä'), 200, 5)
    flush = batch.take_flush("flush")
    assert Row.unpack(flush.row).ended == 1
    assert json.loads(flush.lines) == [[ID, 'http://e/"ä', "delivered", 200, 2_000, 5, "", 1]]
    assert flush.counters == "http:attempted 1 http:delivered 1"
    assert (flush.dead, flush.dead_count) == ("", 0)


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        (0, Retry("stale", 200, answer="old", once=True)),
        (1, Rejected("stale", 200, "old")),
        (4, Rejected("stale", 200, "old")),
    ],
)
def test_what_is_worth_one_more_attempt_has_one(
    batch: Batch, tries: int, expected: Retry | Rejected
) -> None:
    """The second that ends so is final, whatever the first was refused for."""
    delivery = Delivery(batch, 0, entry(ID, "http://e/"), tries)
    assert batch.judge(delivery, Retry("stale", 200, answer="old", once=True)) == expected


@pytest.mark.parametrize("end", [e for e in End if e.buried])
def test_a_buried_seat_is_a_letter(batch: Batch, end: End) -> None:
    """One JSON line with all that a dead letter says."""
    batch.end(1, ID, "http://e/", end, Try(3, 2_000, 5, 500, "HTTP 500", "oh no"))
    flush = batch.take_flush("flush")
    assert flush.dead_count == 1
    assert flush.dead.endswith("\n")
    assert json.loads(flush.dead) == [
        *(1, ID, "http://e/", end, 500, "HTTP 500", "oh no", 3, 2_000)
    ]


@pytest.mark.parametrize("end", [End.WITHDRAWN, End.FILTERED])
def test_who_is_owed_nothing_leaves_no_line(batch: Batch, end: End) -> None:
    """It ends in the row only."""
    batch.end(1, ID, "", end, Try(0, 2_000))
    flush = batch.take_flush("flush")
    assert (flush.lines, flush.dead, flush.counters) == ("", "", "")
    assert Row.unpack(flush.row).ended == 0b10


def test_answers_are_counted_by_class(batch: Batch) -> None:
    """4xx and 5xx apart; no answer is neither."""
    for code in (200, 301, 404, 429, 500, 599, 0):
        batch.attempted(code)
    assert batch.take_flush("flush").counters == "http:attempted 7 http:4xx 2 http:5xx 2"


def test_a_flush_takes_everything_once(batch: Batch) -> None:
    """What one flush carries the next does not; its number grows, its row does not shrink."""
    batch.delivered(_delivery(batch), 200, 5)
    first = batch.take_flush("flush")
    second = batch.take_flush("flush")
    assert (first.number, second.number) == (1, 2)
    assert (second.lines, second.dead, second.counters, batch.unflushed) == ("", "", "", 0)
    assert Row.unpack(second.row).ended == 1


def test_an_end_is_one_only_when_nobody_waits(batch: Batch) -> None:
    """The last flush has no row; one that leaves seats waiting has, and a due time."""
    batch.running.clear()
    batch.row.waiting[1] = Waiting(1, 5_000, ID)
    batch.row.waiting[0] = Waiting(1, 6_000, ID)
    flush = batch.take_flush("end")
    assert (flush.due_ms, set(Row.unpack(flush.row).waiting)) == (5_000, {0, 1})
    batch.row.waiting.clear()
    flush = batch.take_flush("end")
    assert (flush.due_ms, flush.row) == (0, b"")


def test_the_next_due_time_is_of_seats_that_only_wait(batch: Batch) -> None:
    """A seat that is being retried right now is not due again."""
    assert batch.next_due_ms == 0
    batch.row.waiting[0] = Waiting(1, 4_000, ID)
    assert batch.next_due_ms == 0
    batch.row.waiting[5] = Waiting(1, 5_000, ID)
    assert batch.next_due_ms == 5_000


def test_an_end_ends_the_waiting(batch: Batch) -> None:
    """A seat is never both over and due."""
    batch.row.waiting[0] = batch.row.waiting[1] = Waiting(1, 4_000, ID)
    batch.delivered(_delivery(batch), 200, 5)
    batch.end(1, ID, "http://e/", End.EXPIRED, Try(1, 4_000))
    assert not batch.row.waiting


def test_a_redrive_has_its_own_deadline(batch: Batch) -> None:
    """The row's goes before the message's."""
    assert batch.deadline_ms == 9_000
    batch.row.deadline_ms = 20_000
    assert batch.deadline_ms == 20_000


def test_a_void_batch_still_flushes(batch: Batch) -> None:
    """When topic or message is gone there is no deadline and no urn, and no error."""
    batch.message = None
    batch.end(0, ID, "", End.LOST, Try(0, 2_000))
    flush = batch.take_flush("end")
    assert batch.void
    assert json.loads(flush.header)[3:] == ["", 0]


def test_a_failed_attempt_is_a_line_without_an_end(batch: Batch) -> None:
    """It waits to be put beside the last one."""
    batch.failed(ID, "http://e/", Try(1, 2_000, 5, 500, "HTTP 500"))
    (line,) = json.loads(batch.take_flush("flush").lines)
    assert line == [ID, "http://e/", "", 500, 2_000, 5, "HTTP 500", 1]


def test_seats_whose_policies_do_not_match_end_as_filtered(batch: Batch) -> None:
    """Before their first try; whoever waits for another one did match."""
    state = EndpointState("http://e/", "http://e/")
    alarm, level = {"alarm": frozenset({"os"})}, {"level": frozenset({"high"})}
    batch.running.clear()
    batch.sequence = 1
    batch.page = Page(
        "v",
        {
            seat: Entry(f"{seat}" * 32, 1, True, None, "", state, filters)
            for seat, filters in enumerate((alarm, level, None, level))
        },
    )
    batch.row.waiting[3] = Waiting(1, 1_000, "3" * 32)
    attributes = ({"name": "alarm", "type": "STRING", "value": ["os"]},)
    batch.message = MESSAGE._replace(attributes=attributes)
    assert sorted(delivery.seat for delivery in batch.due(2_000)) == [0, 3]
    assert batch.row.ended == 0b110
    flush = batch.take_flush("flush")
    assert (flush.lines, flush.dead, flush.counters) == ("", "", "")


def test_a_probe_leaves_a_report_and_no_letter(batch: Batch) -> None:
    """Whatever becomes of it, and a line and counts as every delivery."""
    batch.once = True
    batch.end(1, ID, "http://e/", End.REJECTED, Try(1, 2_000, 5, 404, "HTTP 404", "gone"))
    flush = batch.take_flush("end")
    assert (flush.dead, flush.dead_count) == ("", 0)
    assert json.loads(flush.report) == [False, 404, "gone"]
    assert flush.lines


def test_other_messages_leave_no_report(batch: Batch) -> None:
    """Nothing is written for them but what was before."""
    batch.end(1, ID, "http://e/", End.REJECTED, Try(1, 2_000, 5, 404, "HTTP 404", "gone"))
    assert not batch.take_flush("end").report
