"""Metrics of topics, from the counters that deliveries leave behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.policy.metrics import METRICS, Metric, points, window

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from engine.models import Topic
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.store.counters import Counters
    from engine.store.topic_records import TopicRecords

_TOPIC_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HOUR_MS: Final = 3_600_000
_STATISTICS_MS: Final = 31 * 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one topic."""

    metric: Metric
    topic_id: str


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """A part of a list of series and the number of all; ``more`` says whether others follow."""

    items: tuple[Series, ...]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked of series: points of a period, between two times, put together how."""

    period_s: int
    start_ms: int
    end_ms: int
    aggregate: str


Points = list[tuple[int, float]]


class Metrics:
    """Lists and reads the metrics of a project's topics."""

    def __init__(
        self, records: TopicRecords, counters: Counters, settings: Settings, clock: Clock
    ) -> None:
        self._records = records
        self._counters = counters
        self._kept_ms = settings.counter_seconds * 1000
        self._clock = clock

    async def series(
        self,
        project_id: str,
        *,
        name: str | None = None,
        topic_id: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> SeriesPage:
        """Series of all topics by creation, or of one; ``after`` is (metric, topic id).

        Raises `Refused` APIGW.0201 if the list cannot go on there, since the topic is gone.
        """
        metrics = [metric for metric in METRICS.values() if name in {None, metric.name}]
        if not metrics:
            return SeriesPage((), 0, more=False)
        skipped = 0 if after is None else _place(metrics, after[0])
        if topic_id is not None:
            topic = await self._topic(project_id, topic_id)
            found = [Series(metric, topic_id) for metric in metrics if topic][skipped:]
            return SeriesPage(
                tuple(found[:limit]), len(metrics) if topic else 0, more=len(found) > limit
            )
        first = 0
        if after is not None:
            first = await self._rank(project_id, after[1], newest_first=newest_first)
        count = (skipped + limit) // len(metrics) + 1
        total, ids = await self._records.ids(project_id, first, count, newest_first=newest_first)
        topics = await self._records.read_many(ids)
        found = [
            Series(metric, one.id)
            for place, one in enumerate(topics)
            if one is not None
            for metric in (metrics if place else metrics[skipped:])
        ]
        more = len(found) > limit or first + count < total
        return SeriesPage(tuple(found[:limit]), total * len(metrics), more=more)

    async def read(
        self, project_id: str, asked: Sequence[tuple[str, str]], span: Span
    ) -> list[Points]:
        """The points of each (metric, topic id); none for what the project does not have."""
        now_ms = self._clock.now_ms()
        # What has not happened yet has no points; the bucket of now has.
        until_ms = min(span.end_ms, now_ms + 1)
        ids = {one for name, one in asked if name in METRICS and _TOPIC_ID.fullmatch(one)}
        topics = await self._records.read_many(sorted(ids))
        known = [one.id for one in topics if one is not None and one.project_id == project_id]
        begins = window(
            span.period_s,
            span.start_ms,
            until_ms,
            oldest_ms=now_ms - self._kept_ms,
            series=len(asked),
            topics=len(known),
        )
        counted = {one: await self._buckets(one, begins) for one in known} if begins else {}
        return [
            points(METRICS[name], counted[topic_id], begins, until_ms, span.aggregate)
            if topic_id in counted and name in METRICS
            else []
            for name, topic_id in asked
        ]

    def check_hours(self, start_ms: int, end_ms: int) -> None:
        """Codes: SMN.0103 a begin over 31 days ago, SMN.0104 an end to come, SMN.0114 order."""
        hour_ms = self._clock.now_ms() // _HOUR_MS * _HOUR_MS
        if start_ms < hour_ms - _STATISTICS_MS:
            raise Refused("SMN.0103", "It is at most 31 days ago.")
        if end_ms > hour_ms + _HOUR_MS:
            raise Refused("SMN.0104", "It is at most the end of this hour.")
        if end_ms <= start_ms:
            raise Refused("SMN.0114")

    async def sms_by_hour(
        self, topic: Topic, start_ms: int, end_ms: int
    ) -> Sequence[tuple[int, int]]:
        """(begin, SMS sent) of each hour between two times."""
        metric = METRICS["sms_total_count"]
        begins = range(start_ms, end_ms, _HOUR_MS)
        buckets = await self._buckets(topic.id, begins) if begins else {}
        sums = points(metric, buckets, begins, end_ms, "sum")
        return [(begin, int(value)) for begin, value in sums]

    async def _buckets(self, topic_id: str, begins: range) -> dict[int, Counter[tuple[str, str]]]:
        return await self._counters.read(
            topic_id, since_ms=begins[0], until_ms=begins[-1] + begins.step - 1
        )

    async def _topic(self, project_id: str, topic_id: str) -> Topic | None:
        if _TOPIC_ID.fullmatch(topic_id) is None:
            return None
        topic = await self._records.read(topic_id)
        return topic if topic is not None and topic.project_id == project_id else None

    async def _rank(self, project_id: str, topic_id: str, *, newest_first: bool) -> int:
        found = await self._records.place(project_id, topic_id, newest_first=newest_first)
        if found is None:
            raise Refused("APIGW.0201", "The topic to go on from is gone; begin again.")
        return found


def _place(metrics: Sequence[Metric], name: str) -> int:
    """How many of a topic's metrics come up to and with this one."""
    for number, metric in enumerate(metrics, start=1):
        if metric.name == name:
            return number
    raise Refused("APIGW.0201", "There is no such metric to go on from.")
