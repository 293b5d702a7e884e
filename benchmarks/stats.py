"""The few statistics that the suites need, over plain sequences of numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spread(NamedTuple):
    """Median, smallest and largest of some samples."""

    median: float
    low: float
    high: float


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was really seen, never an interpolated one.

    ``share`` is 0 < share <= 1; raises `ValueError` without samples.
    """
    if not samples:
        raise ValueError("a percentile needs samples")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    if not samples:
        raise ValueError("a median needs samples")
    ordered = sorted(samples)
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def spread(samples: Sequence[float]) -> Spread:
    """Median and extremes."""
    return Spread(median(samples), min(samples), max(samples))


def rates(readings: Sequence[tuple[float, float]]) -> list[float]:
    """Per-second rates between successive (seconds, count) readings."""
    return [
        (count - before) / (at - earlier)
        for (earlier, before), (at, count) in pairwise(readings)
        if at > earlier
    ]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round axis values that cover ``low`` to ``high`` in steps of 1, 2 or 5 times ten^n."""
    if high <= low:
        high = low + 1
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]
