"""Metrics of topics, as the monitoring service lists and reads them (Cloud Eye API v1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.api.bodies import Body, Code, Line, Query, Shown
from engine.api.paging import Number
from engine.api.routes import Route
from engine.control.metrics import Span
from engine.errors import Refused
from engine.policy.metrics import DIMENSION, LONGEST_MS, METRICS, NAMESPACE
from engine.times import parse_millis

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.api.call import Call
    from engine.control.metrics import Series

_BASE: Final = "/V1.0/{project_id}"
_MAX_SERIES: Final = 500
_NAME: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,95}$"
_NAMESPACE: Final = r"^[A-Za-z][A-Za-z0-9_]*\.[A-Za-z][A-Za-z0-9_]*$"
_DIMENSION: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,31},[A-Za-z0-9_*./#()-]{1,256}$"


def _period(value: object) -> int:
    if isinstance(value, bool) or str(value) not in {str(known) for known in LONGEST_MS}:
        raise ValueError(f"must be one of {', '.join(map(str, LONGEST_MS))}")
    return int(str(value))


Aggregate = Literal["average", "max", "min", "sum", "variance"]
Period = Annotated[int, BeforeValidator(_period)]
Millis = Annotated[int, BeforeValidator(parse_millis), Field(ge=1_111_111_111_111)]
Namespace = Annotated[str, Field(max_length=32, pattern=_NAMESPACE)]
MetricName = Annotated[str, Field(pattern=_NAME)]
DimensionText = Annotated[str, Field(pattern=_DIMENSION)]


class ListMetrics(Query):
    """Filters, which all combine; ``start`` is the marker of the page before."""

    namespace: Annotated[Namespace | None, Code("APIGW.0201")] = None
    metric_name: Annotated[MetricName | None, Code("APIGW.0201")] = None
    dim_0: Annotated[DimensionText | None, Field(alias="dim.0"), Code("APIGW.0201")] = None
    dim_1: Annotated[DimensionText | None, Field(alias="dim.1"), Code("APIGW.0201")] = None
    start: Annotated[Line | None, Code("APIGW.0201")] = None
    limit: Annotated[Annotated[Number, Field(ge=1, le=1000)], Code("APIGW.0201")] = 1000
    order: Annotated[Literal["asc", "desc"], Code("APIGW.0201")] = "asc"


class ShowMetricData(Query):
    """One series: ``from`` counts from the begin of its period, ``to`` is exclusive."""

    namespace: Annotated[Namespace, Code("APIGW.0201")]
    metric_name: Annotated[MetricName, Code("APIGW.0201")]
    dim_0: Annotated[DimensionText, Field(alias="dim.0"), Code("APIGW.0201")]
    dim_1: Annotated[DimensionText | None, Field(alias="dim.1"), Code("APIGW.0201")] = None
    filter: Annotated[Aggregate, Code("APIGW.0201")]
    period: Annotated[Period, Code("APIGW.0201")]
    since: Annotated[Millis, Field(alias="from"), Code("APIGW.0201")]
    to: Annotated[Millis, Code("APIGW.0201")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class DimensionPair(_Part):
    """What a series is of."""

    name: Annotated[str, Field(max_length=32)]
    value: Annotated[str, Field(max_length=256)]


class SeriesName(_Part):
    """A series by its names."""

    namespace: Namespace
    metric_name: MetricName
    dimensions: Annotated[list[DimensionPair], Field(min_length=1, max_length=4)]


class BatchListMetricData(Body):
    """Several series at once: as `ShowMetricData`."""

    metrics: Annotated[
        Annotated[list[SeriesName], Field(min_length=1, max_length=_MAX_SERIES)],
        Code("APIGW.0201"),
    ]
    filter: Annotated[Aggregate, Code("APIGW.0201")]
    period: Annotated[Period, Code("APIGW.0201")]
    since: Annotated[Millis, Field(alias="from"), Code("APIGW.0201")]
    to: Annotated[Millis, Code("APIGW.0201")]


class Dimension(Shown):
    """What a series is of."""

    name: str
    value: str


class SeriesItem(Shown):
    """A series."""

    namespace: str
    metric_name: str
    unit: str
    dimensions: list[Dimension]


class MetaData(Shown):
    """How many are shown, how many there are; ``marker`` is empty when there are no further."""

    count: int
    total: int
    marker: str


class SeriesList(Shown):
    """Series by the creation of their topics."""

    metrics: list[SeriesItem]
    meta_data: MetaData


class Point(Shown):
    """A point, under the name of its aggregate; ``timestamp`` is the begin of its period."""

    timestamp: int
    unit: str | None = None
    average: float | None = None
    max: float | None = None
    min: float | None = None
    sum: float | None = None
    variance: float | None = None


class MetricData(Shown):
    """The points of one series."""

    metric_name: str
    datapoints: list[Point]


class SeriesData(SeriesItem):
    """A series with its points."""

    datapoints: list[Point]


class BatchMetricData(Shown):
    """Several series in the order of the request."""

    metrics: list[SeriesData]


async def list_all(call: Call) -> dict[str, Any]:
    """Every metric of each topic of the project."""
    asked = cast("ListMetrics", call.asked)
    name, _, topic_id = (asked.dim_0 or "").partition(",")
    if (asked.namespace or NAMESPACE) != NAMESPACE or name not in {"", DIMENSION} or asked.dim_1:
        return _listed((), 0, more=False)
    page = await call.services.engine.metrics.series(
        call.identity.project_id,
        name=asked.metric_name,
        topic_id=topic_id or None,
        after=_after(asked.start),
        limit=asked.limit,
        newest_first=asked.order == "desc",
    )
    return _listed(page.items, page.total, more=page.more)


async def show(call: Call) -> dict[str, Any]:
    """The points of one series; none for one that does not exist."""
    asked = cast("ShowMetricData", call.asked)
    span = _span(asked)
    name, _, topic_id = asked.dim_0.partition(",")
    ours = asked.namespace == NAMESPACE and name == DIMENSION and not asked.dim_1
    key = (asked.metric_name, topic_id if ours else "")
    (found,) = await call.services.engine.metrics.read(call.identity.project_id, [key], span)
    unit = _unit(asked.metric_name)
    return {
        "metric_name": asked.metric_name,
        "datapoints": [
            {asked.filter: value, "timestamp": at_ms, "unit": unit} for at_ms, value in found
        ],
    }


async def show_many(call: Call) -> dict[str, Any]:
    """The points of several series."""
    body = cast("BatchListMetricData", call.body)
    keys = [(series.metric_name, _topic(series)) for series in body.metrics]
    found = await call.services.engine.metrics.read(call.identity.project_id, keys, _span(body))
    return {
        "metrics": [
            {
                "namespace": series.namespace,
                "metric_name": series.metric_name,
                "dimensions": [{"name": one.name, "value": one.value} for one in series.dimensions],
                "unit": _unit(series.metric_name),
                "datapoints": [{body.filter: value, "timestamp": at_ms} for at_ms, value in points],
            }
            for series, points in zip(body.metrics, found, strict=True)
        ]
    }


def _span(asked: ShowMetricData | BatchListMetricData) -> Span:
    if asked.since >= asked.to:
        raise Refused("APIGW.0201", "from must be less than to.")
    return Span(asked.period, asked.since, asked.to, asked.filter)


def _topic(series: SeriesName) -> str:
    """The id of the topic, '' for what is no series of ours."""
    first = series.dimensions[0]
    ours = series.namespace == NAMESPACE and first.name == DIMENSION
    return first.value if ours and len(series.dimensions) == 1 else ""


def _unit(name: str) -> str:
    metric = METRICS.get(name)
    return metric.unit if metric else ""


def _after(marker: str | None) -> tuple[str, str] | None:
    """Metric and topic id of ``namespace.metric.topic_id:ID``."""
    if marker is None:
        return None
    lead, _, topic_id = marker.partition(f".{DIMENSION}:")
    name = lead.removeprefix(f"{NAMESPACE}.")
    if not topic_id or name == lead:
        raise Refused("APIGW.0201", "start is not the marker of a list.")
    return name, topic_id


def _listed(items: Iterable[Series], total: int, *, more: bool) -> dict[str, Any]:
    shown = [
        {
            "namespace": NAMESPACE,
            "metric_name": one.metric.name,
            "unit": one.metric.unit,
            "dimensions": [{"name": DIMENSION, "value": one.topic_id}],
        }
        for one in items
    ]
    last = next(reversed(list(items)), None) if more else None
    marker = f"{NAMESPACE}.{last.metric.name}.{DIMENSION}:{last.topic_id}" if last else ""
    return {
        "metrics": shown,
        "meta_data": {"count": len(shown), "total": total, "marker": marker},
    }


ROUTES: Final = (
    Route(
        "ListMetrics",
        "GET",
        f"{_BASE}/metrics",
        list_all,
        query=ListMetrics,
        answer=SeriesList,
        action="ces:metrics:list",
    ),
    Route(
        "ShowMetricData",
        "GET",
        f"{_BASE}/metric-data",
        show,
        query=ShowMetricData,
        answer=MetricData,
        action="ces:metricData:list",
    ),
    Route(
        "BatchListMetricData",
        "POST",
        f"{_BASE}/batch-query-metric-data",
        show_many,
        body=BatchListMetricData,
        answer=BatchMetricData,
        action="ces:metricData:list",
    ),
)
