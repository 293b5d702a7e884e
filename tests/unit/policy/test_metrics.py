"""Metrics are counters or their shares, put together by period."""

from __future__ import annotations

import pytest

from engine.policy.metrics import (
    MAX_POINTS,
    METRICS,
    RAW_MS,
    Counts,
    period_ms,
    points,
    window,
)

HOUR = 3_600_000
START = 1_764_000_000_000 // (24 * HOUR) * 24 * HOUR

SENT: Counts = {
    ("http", "attempted"): 6,
    ("https", "attempted"): 4,
    ("http", "delivered"): 3,
    ("https", "delivered"): 2,
    ("http", "4xx"): 1,
    ("https", "4xx"): 2,
    ("https", "5xx"): 1,
    ("email", "attempted"): 2,
    ("email", "delivered"): 2,
    ("sms", "attempted"): 3,
    ("sms", "delivered"): 1,
}


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("http_total_count", 10, "count"),
        ("http_success_rate", 50, "%"),
        ("http_4xx_count", 3, "count"),
        ("http_5xx_count", 1, "count"),
        ("email_total_count", 2, "count"),
        ("email_success_rate", 100, "%"),
        ("sms_total_count", 3, "count"),
        ("sms_success_rate", 100 / 3, "%"),
    ],
)
def test_a_metric_is_a_count_or_a_share(name: str, value: float, unit: str) -> None:
    """HTTP and HTTPS count together; nothing sent is 0."""
    assert METRICS[name].value(SENT) == pytest.approx(value)
    assert METRICS[name].value({}) == 0
    assert METRICS[name].unit == unit


def test_the_metrics_are_the_contracts() -> None:
    """No more and no fewer."""
    assert len(METRICS) == 8


def test_a_share_is_never_more_than_all() -> None:
    """A delivery whose attempt fell into the bucket before."""
    assert METRICS["http_success_rate"].value({("http", "delivered"): 1}) == 0
    late = {("http", "delivered"): 2, ("http", "attempted"): 1}
    assert METRICS["http_success_rate"].value(late) == 100


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [("sum", 12), ("max", 9), ("min", 0), ("average", 3), ("variance", 13.5)],
)
def test_raw_points_are_put_together(aggregate: str, value: float) -> None:
    """A period's point comes from all its raw ones, those without data count 0."""
    buckets = {
        START // 1000: {("sms", "attempted"): 9},
        START // 1000 + 900: {("sms", "attempted"): 3},
    }
    begins = range(START, START + 1_200_000, 1_200_000)
    found = points(METRICS["sms_total_count"], buckets, begins, START + HOUR, aggregate)
    assert found == [(START, value)]


def test_what_has_not_happened_is_no_point() -> None:
    """An unfinished period counts what there is; one that has not begun has no point."""
    begins = range(START, START + 2 * HOUR, HOUR)
    buckets = {START // 1000: {("sms", "attempted"): 4}}
    found = points(METRICS["sms_total_count"], buckets, begins, START + 2 * RAW_MS, "average")
    assert found == [(START, 2)]


@pytest.mark.parametrize(
    ("period", "asked_h", "looked_h"),
    [(1, 9, 4), (60, 9, 4), (300, 99, 24), (1200, 99, 72), (3600, 999, 240), (14_400, 999, 720)],
)
def test_an_early_begin_is_moved(period: int, asked_h: int, looked_h: int) -> None:
    """Each period has its longest time."""
    end = START + asked_h * HOUR // (4 * HOUR) * 4 * HOUR
    begins = window(period, end - asked_h * HOUR, end, oldest_ms=0, series=1, topics=1)
    assert (begins[0], begins[-1] + period_ms(period)) == (end - looked_h * HOUR, end)


def test_a_begin_counts_from_its_period() -> None:
    """Asked for a part of a period, one gets all of it; the end is exclusive."""
    begins = window(300, START + 1, START + 2 * RAW_MS, oldest_ms=0, series=1, topics=1)
    assert list(begins) == [START, START + RAW_MS]


def test_nothing_is_older_than_the_counters() -> None:
    """What is not kept any more is not shown as 0."""
    begins = window(
        300, START, START + 4 * RAW_MS, oldest_ms=START + 2 * RAW_MS, series=1, topics=1
    )
    assert list(begins) == [START + 2 * RAW_MS, START + 3 * RAW_MS]


@pytest.mark.parametrize("period", [1, 300, 3600, 86_400])
@pytest.mark.parametrize("series", [1, 7, 500])
def test_an_answer_is_bounded(period: int, series: int) -> None:
    """No question has more points than the contract allows, nor fewer than one."""
    end = START + 1
    begins = window(period, 0, end, oldest_ms=0, series=series, topics=series)
    assert 1 <= len(begins) * series <= MAX_POINTS
    assert begins[-1] < end <= begins[-1] + period_ms(period)
