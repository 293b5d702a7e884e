"""What an adapter may say of an attempt, and what is made of all else."""

from __future__ import annotations

import pytest

from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.policy.outcomes import sound


@pytest.mark.parametrize(
    "outcome",
    [
        Delivered(250),
        Retry("refused", 503, 1000, "busy", once=True),
        Rejected("错误", 404, "没有"),
        Throttled(1_700_000_000_000, "often", 429),
    ],
)
def test_a_sound_outcome_is_taken_as_it_is(outcome: Outcome) -> None:
    """Nothing is copied, and nothing lost."""
    assert sound(outcome) is outcome


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        200,
        Delivered(None),  # type: ignore[arg-type]
        Retry(b"bytes"),  # type: ignore[arg-type]
        Retry("x", after_ms=None),  # type: ignore[arg-type]
        Rejected("x", "404"),  # type: ignore[arg-type]
        Rejected("x", answer=None),  # type: ignore[arg-type]
        Throttled(1.5),  # type: ignore[arg-type]
        Throttled(-1),
        Throttled(1 << 70),
    ],
)
def test_nonsense_is_refused(nonsense: object) -> None:
    """What could not be written down, or read again, is no outcome."""
    with pytest.raises(TypeError, match="no outcome"):
        sound(nonsense)


def test_half_a_surrogate_pair_is_replaced() -> None:
    """JSON can hold one, UTF-8 cannot."""
    assert sound(Rejected("no \ud83d", 400, "\ud800!")) == Rejected("no ?", 400, "?!")
    assert sound(Retry("no", answer="\udfff")) == Retry("no", answer="?")
    assert sound(Throttled(1, "\ud800")) == Throttled(1, "?")
