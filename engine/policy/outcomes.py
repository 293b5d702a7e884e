"""What an adapter may say of an attempt. Plain functions."""

from __future__ import annotations

from dataclasses import replace

from engine.models import Delivered, Failure, Outcome, Rejected, Retry, Throttled
from engine.policy import texts

_LATEST_MS = 1 << 62
"""Beyond what a ledger row holds as a due time."""


def sound(outcome: object) -> Outcome:
    """The outcome, if it can be kept; raises `TypeError` for what no adapter may return.

    A platform's words may hold half a surrogate pair, which nobody can write down.
    """
    if isinstance(outcome, Delivered) and isinstance(outcome.code, int):
        return outcome  # as nearly always
    match outcome:
        case Retry(str(), int(), int(), str()) | Rejected(str(), int(), str()):
            return _legible(outcome)
        case Throttled(int(until_ms), str(), int()) if 0 <= until_ms < _LATEST_MS:
            return _legible(outcome)
        case _:
            raise TypeError(f"an adapter returned {outcome!r:.200}, which is no outcome")


def _legible(failure: Failure) -> Failure:
    if texts.size(failure.reason) < 0:
        failure = replace(failure, reason=_written(failure.reason))
    if not isinstance(failure, Throttled) and texts.size(failure.answer) < 0:
        failure = replace(failure, answer=_written(failure.answer))
    return failure


def _written(text: str) -> str:
    return text.encode(errors="replace").decode()
