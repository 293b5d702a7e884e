"""What the rates of a protocol mean for its attempts. Plain functions: no await, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from engine.models import Rate


def spacing(rates: Sequence[Rate]) -> list[tuple[int, int]]:
    """For each rate its count and the milliseconds that so many reservations have to cover."""
    return [(rate.count, round((rate.period_s + rate.margin_s) * 1000)) for rate in rates]


def leeway_ms(rates: Sequence[Rate]) -> int:
    """How much later than reserved an attempt may start: half of what is kept as a margin.

    The other half is for the time that one takes longer than another to arrive. 0: no rates.
    """
    return max(round(min(rate.margin_s for rate in rates) * 500), 1) if rates else 0
