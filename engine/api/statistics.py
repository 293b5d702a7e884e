"""How many short messages a topic has sent, by the hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import BeforeValidator

from engine.api.bodies import Code, Query, Requested, Shown
from engine.api.routes import TOPIC, Route, Trace
from engine.times import iso, parse_iso

if TYPE_CHECKING:
    from engine.api.call import Call

_HOUR_MS: Final = 3_600_000


def _hour(value: object) -> int:
    moment_ms = parse_iso(value) if isinstance(value, str) else None
    if moment_ms is None or moment_ms % _HOUR_MS:
        raise ValueError("must be a full hour as in 2026-01-02T03:00:00Z")
    return moment_ms


Hour = Annotated[int, BeforeValidator(_hour, json_schema_input_type=str)]
"""A query parameter that is a time on the hour."""


class ListStatistics(Query):
    """From one hour to another, the second one exclusive, within the last 31 days."""

    start_time: Annotated[Hour, Code("SMN.0103")]
    end_time: Annotated[Hour, Code("SMN.0104")]


class Count(Shown):
    """Messages sent, by protocol; only short messages are counted."""

    sms: int


class HourCount(Shown):
    """One hour."""

    start_time: str
    count: Count


class Statistics(Requested):
    """Every hour of the asked time, and their sum."""

    total: Count
    statistics: list[HourCount]


async def list_all(call: Call) -> dict[str, Any]:
    """Hours in which nothing was sent count 0."""
    asked, engine = cast("ListStatistics", call.asked), call.services.engine
    engine.metrics.check_hours(asked.start_time, asked.end_time)
    topic = await engine.topics.get(call.path["topic_urn"])
    hours = await engine.metrics.sms_by_hour(topic, asked.start_time, asked.end_time)
    return {
        "request_id": call.request_id,
        "total": {"sms": sum(count for _, count in hours)},
        "statistics": [
            {"start_time": iso(begin), "count": {"sms": count}} for begin, count in hours
        ],
    }


ROUTES: Final = (
    Route(
        "ListTopicMessageStatistics",
        "GET",
        f"{TOPIC}/statistics",
        list_all,
        query=ListStatistics,
        answer=Statistics,
        errors=("SMN.0006", "SMN.0114"),
        action="smn:topic:list",
        trace=Trace("listTopicMessageStatistics", "topic"),
    ),
)
