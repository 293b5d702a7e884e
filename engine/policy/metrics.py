"""Metrics of a topic, and how their points are put together (SMN "Metrics", Cloud Eye API v1).

A raw point covers a 5-minute bucket of the counters. A longer period begins at a multiple of
itself and has one point at its begin: average, maximum, minimum, sum or variance of its raw ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance
from typing import Final

NAMESPACE: Final = "SYS.SMN"
DIMENSION: Final = "topic_id"
COUNT: Final = "count"
PERCENT: Final = "%"
RAW_MS: Final = 300_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

Counts = Mapping[tuple[str, str], int]
"""Counters of one bucket by (protocol, name)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a topic: a counter summed over protocols, or its share of another one."""

    name: str
    protocols: tuple[str, ...]
    counter: str
    share_of: str = ""

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return PERCENT if self.share_of else COUNT

    def value(self, counts: Counts) -> float:
        """The raw point of one bucket; 0 where nothing was sent."""
        found = self._sum(counts, self.counter)
        if not self.share_of:
            return float(found)
        whole = self._sum(counts, self.share_of)
        return min(100.0, 100 * found / whole) if whole else 0.0

    def _sum(self, counts: Counts, counter: str) -> int:
        return sum(counts.get((protocol, counter), 0) for protocol in self.protocols)


_EMAIL, _SMS, _HTTP = ("email",), ("sms",), ("http", "https")

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("email_total_count", _EMAIL, "attempted"),
        Metric("email_success_rate", _EMAIL, "delivered", share_of="attempted"),
        Metric("sms_total_count", _SMS, "attempted"),
        Metric("sms_success_rate", _SMS, "delivered", share_of="attempted"),
        Metric("http_total_count", _HTTP, "attempted"),
        Metric("http_success_rate", _HTTP, "delivered", share_of="attempted"),
        Metric("http_4xx_count", _HTTP, "4xx"),
        Metric("http_5xx_count", _HTTP, "5xx"),
    )
}

AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "average": fmean,
    "max": max,
    "min": min,
    "sum": sum,
    "variance": pvariance,
}

LONGEST_MS: Final[Mapping[int, int]] = {
    1: 4 * _HOUR_MS,
    60: 4 * _HOUR_MS,
    300: _DAY_MS,
    1200: 3 * _DAY_MS,
    3600: 10 * _DAY_MS,
    14_400: 30 * _DAY_MS,
    86_400: 180 * _DAY_MS,
}
"""Period in seconds → how much of the asked time is looked at (Cloud Eye, "Querying Monitoring
Data"): an earlier begin is moved."""
MAX_POINTS: Final = 3000
MAX_BUCKETS: Final = 30_000
"""Bounds what one question costs: buckets read, of all its topics together."""


def period_ms(period_s: int) -> int:
    """How long a point's time is; nothing is finer than a raw one."""
    return max(period_s * 1000, RAW_MS)


def window(
    period_s: int, start_ms: int, end_ms: int, *, oldest_ms: int, series: int, topics: int
) -> range:
    """The begins of the points between two times, the second one exclusive.

    The first time counts from the begin of its period. Points before ``oldest_ms`` are left
    out, and as many of the oldest as are too many for so many series and topics.
    """
    step = period_ms(period_s)
    span_ms = min(
        LONGEST_MS[period_s],
        MAX_POINTS // max(series, 1) * step,
        MAX_BUCKETS // max(topics, 1) * RAW_MS,
    )
    earliest = end_ms - max(span_ms, step)
    begin = max(
        start_ms // step * step,
        -(-earliest // step) * step,
        oldest_ms // step * step,
    )
    return range(begin, end_ms, step)


def points(
    metric: Metric, buckets: Mapping[int, Counts], begins: range, until_ms: int, aggregate: str
) -> list[tuple[int, float]]:
    """The points of a metric: (begin in ms, value).

    ``buckets`` are counters by their begin in seconds; one that is missing counts 0. Buckets
    that begin at or after ``until_ms`` have not happened yet.
    """
    combine = AGGREGATES[aggregate]
    found = []
    for begin in begins:
        end = min(begin + begins.step, until_ms)
        raw = [metric.value(buckets.get(at // 1000, {})) for at in range(begin, end, RAW_MS)]
        if raw:
            found.append((begin, round(combine(raw), 4)))
    return found
