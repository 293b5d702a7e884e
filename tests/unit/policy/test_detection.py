"""What the end of a probe says about its endpoint."""

from __future__ import annotations

import pytest

from engine.models import End
from engine.policy.detection import BLACKLISTED, NO_PLACE, Finding, judge


@pytest.mark.parametrize(
    ("end", "code", "reason", "expected"),
    [
        (End.DELIVERED, 204, "", (True, 204)),
        (End.REJECTED, 404, "HTTP 404", (False, 404)),
        (End.EXHAUSTED, 500, "HTTP 500", (False, 500)),
        (End.REJECTED, 0, BLACKLISTED, (False, 0)),
        (End.EXHAUSTED, 0, "refused", (False, -1)),
        (End.REJECTED, 0, "the address is an internal one", (False, -1)),
        (End.REJECTED, 0, NO_PLACE, (False, -2)),
        (End.EXPIRED, 0, "time_to_live passed", (False, -2)),
        (End.WORKER_CRASH, 0, "workers died on it", (False, -2)),
        (End.LOST, 0, "", (False, -2)),
    ],
)
def test_each_end_has_its_number(
    end: End, code: int, reason: str, expected: tuple[bool, int]
) -> None:
    """The contract's three, or the endpoint's own status."""
    found = judge(end, code, reason, "its answer")
    assert (found.usable, found.code) == expected
    assert found.text


def test_a_refusal_shows_what_the_endpoint_said() -> None:
    """A fixed sentence stands for everything else."""
    assert judge(End.REJECTED, 404, "HTTP 404", "no such page").text == "no such page"
    assert "no such page" not in judge(End.DELIVERED, 200, "", "no such page").text


def test_a_finding_is_read_as_it_was_kept() -> None:
    """Whatever the text."""
    found = Finding(usable=False, code=500, text='ä "quoted"')
    assert Finding.decode(found.encode()) == found
