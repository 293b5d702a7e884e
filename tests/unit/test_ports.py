"""What answers, and their lack, mean where an adapter has nothing else to say."""

import pytest

from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import AddressRefused, Answer, TransportError

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(200), Delivered(200)),
        (Answer(204, "30"), Delivered(204)),
        (Answer(404), Rejected("HTTP 404", 404, "said")),
        (Answer(301), Rejected("HTTP 301", 301, "said")),
        (Answer(429, "30"), Throttled(NOW_MS + 30_000, "HTTP 429", 429)),
        (Answer(429), Throttled(NOW_MS + 60_000, "HTTP 429", 429)),
        (Answer(503, "30"), Throttled(NOW_MS + 30_000, "HTTP 503", 503)),
        (Answer(503), Retry("HTTP 503", 503, answer="said")),
        (Answer(500, "30"), Retry("HTTP 500", 500, answer="said")),
    ],
)
def test_a_status_has_a_meaning(answer: Answer, outcome: Outcome) -> None:
    """Taken, wait, try again, or never; a time counts where it asks to wait."""
    assert answer.outcome(NOW_MS, "said") == outcome


@pytest.mark.parametrize(
    ("retry_after", "wait_ms"),
    [
        ("30", 30_000),
        (" 30 ", 30_000),
        ("0", 1_000),
        ("999999999", 604_800_000),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60_000),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60_000),
        ("Mon, 13 Nov 2023 22:14:20 GMT", 1_000),
        *((nothing, None) for nothing in (None, "", "-1", "9" * 400, "soon", "30 s")),
    ],
)
def test_a_wait_is_kept_within_reason(retry_after: str | None, wait_ms: int | None) -> None:
    """Seconds or a date: a second at least, a week at most; anything else says nothing."""
    assert Answer(503, retry_after).wait_ms(NOW_MS) == wait_ms


def test_without_an_answer_another_try_is_due() -> None:
    """Unless the address may not be connected to: nobody will be."""
    assert TransportError("timed out").outcome == Retry("timed out")
    assert AddressRefused("address refused").outcome == Rejected("address refused")
