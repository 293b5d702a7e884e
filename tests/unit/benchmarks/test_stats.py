"""The statistics that results are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats import median, percentile, rates, spread, ticks


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_percentile_is_nearest_rank(share: float, expected: float) -> None:
    """A percentile is a sample that was seen: the smallest with that share at or below it."""
    assert percentile(list(range(1, 101)), share) == expected


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0.001, 1))
def test_percentile_is_a_sample(samples: list[float], share: float) -> None:
    """A percentile is never an interpolated value."""
    assert percentile(samples, share) in samples


def test_statistics_refuse_nothing() -> None:
    """Without samples there is no number."""
    with pytest.raises(ValueError, match="needs samples"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="needs samples"):
        median([])


def test_median_of_an_even_number() -> None:
    """The median of an even number of samples lies between the two in the middle."""
    assert median([4, 1, 3, 2]) == 2.5
    assert median([3, 1, 2]) == 2


def test_spread_holds_the_extremes() -> None:
    """A spread is median, smallest and largest."""
    assert spread([5, 1, 9]) == (5, 1, 9)


def test_rates_between_readings() -> None:
    """A rate is the difference in count over the difference in time."""
    assert rates([(0, 0), (2, 10), (3, 30), (3, 30)]) == [5, 20]


@given(st.floats(1e-6, 1e7), st.integers(2, 12))
def test_ticks_cover_the_range(high: float, about: int) -> None:
    """An axis reaches from its lowest to its highest value in few even steps."""
    marks = ticks(0, high, about)
    assert marks[0] == 0
    assert marks[-1] >= high * 0.999
    assert 2 <= len(marks) <= about + 2


def test_ticks_are_round() -> None:
    """Steps are 1, 2 or 5 times a power of ten."""
    assert ticks(0, 9_300) == [0, 2000, 4000, 6000, 8000, 10000]
    assert ticks(0, 0.9) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
