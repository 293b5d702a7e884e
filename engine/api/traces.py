"""Recorded operations, as the trace service lists them (CTS API v3, "Querying a Trace List")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import BeforeValidator, Field

from engine.api.bodies import Code, Query, Shown
from engine.api.paging import Number
from engine.api.routes import Route
from engine.policy.audit import rating
from engine.times import parse_millis

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Operation

SERVICE: Final = "SMN"
_SYSTEM: Final = "system"
_HOUR_MS: Final = 3_600_000

Millis = Annotated[int, BeforeValidator(parse_millis)]
"""A query parameter that is a time in milliseconds."""


class ListTraces(Query):
    """Which traces: all filters combine; ``trace_id`` alone decides where it is given.

    ``from`` and ``to`` (default: the last hour) are exclusive; ``next`` is the marker of the
    page before.
    """

    trace_type: Annotated[Literal["system", "data"], Code("APIGW.0201")] = "system"
    limit: Annotated[Annotated[Number, Field(ge=1, le=200)], Code("APIGW.0201")] = 10
    after: Annotated[Millis | None, Field(alias="from"), Code("APIGW.0201")] = None
    before: Annotated[Millis | None, Field(alias="to"), Code("APIGW.0201")] = None
    next: str | None = None
    tracker_name: str | None = None
    service_type: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    trace_name: str | None = None
    trace_rating: Annotated[Literal["normal", "warning", "incident"] | None, Code("APIGW.0201")] = (
        None
    )
    trace_id: str | None = None
    user: str | None = None
    access_key_id: str | None = None


class Domain(Shown):
    """An account."""

    id: str
    name: str


class User(Shown):
    """Who called; the key is there for signed calls."""

    id: str
    name: str
    user_name: str
    domain: Domain
    account_id: str
    access_key_id: str | None = None


class TraceItem(Shown):
    """One recorded operation; ``request`` and ``response`` are JSON texts without secrets."""

    trace_id: str
    trace_name: str
    trace_rating: str
    trace_type: str
    service_type: str
    resource_type: str
    resource_id: str
    resource_name: str
    operation_id: str
    api_version: str
    source_ip: str
    code: str
    project_id: str
    request: str
    response: str
    request_id: str
    read_only: bool
    time: int
    record_time: int
    user: User


class MetaData(Shown):
    """How many are in this answer; ``marker`` is null when there are no further ones."""

    count: int
    marker: str | None


class TraceList(Shown):
    """Traces, newest first."""

    traces: list[TraceItem]
    meta_data: MetaData


async def list_all(call: Call) -> dict[str, Any]:
    """Newest first, from the caller's project."""
    asked = cast("ListTraces", call.asked)
    audit, project = call.services.engine.audit, call.identity.project_id
    if asked.trace_id is not None:
        found = await audit.find(project, asked.trace_id)
        return _listed((found,) if found else (), more=False)
    if asked.trace_type != _SYSTEM or (asked.tracker_name or _SYSTEM) != _SYSTEM:
        return _listed((), more=False)
    now_ms = call.services.engine.clock.now_ms()
    after_ms = now_ms - _HOUR_MS if asked.after is None else asked.after
    page = await audit.list(
        project,
        _filter(asked),
        limit=asked.limit,
        after_ms=after_ms,
        before_ms=asked.before,
        below=asked.next,
    )
    return _listed(page.operations, more=page.more)


def _filter(asked: ListTraces) -> Callable[[Operation], bool]:
    wanted = {
        name: value
        for name in ("trace_name", "resource_type", "resource_id", "resource_name")
        if (value := getattr(asked, name)) is not None
    }

    def fits(one: Operation) -> bool:
        return (
            all(getattr(one, name) == value for name, value in wanted.items())
            and asked.service_type in {None, SERVICE}
            and asked.trace_rating in {None, rating(one.code)}
            and asked.user in {None, one.actor.user_name}
            and asked.access_key_id in {None, one.actor.access_key}
        )

    return fits


def _listed(operations: tuple[Operation, ...], *, more: bool) -> dict[str, Any]:
    return {
        "traces": [item(one) for one in operations],
        "meta_data": {
            "count": len(operations),
            "marker": operations[-1].id if more else None,
        },
    }


def item(one: Operation) -> dict[str, Any]:
    """A recorded operation under the names of the trace service."""
    actor = one.actor
    user: dict[str, Any] = {
        "id": actor.user_id,
        "name": actor.user_name,
        "user_name": actor.user_name,
        "domain": {"id": actor.domain_id, "name": actor.domain_name},
        "account_id": actor.domain_id,
    }
    if actor.access_key:
        user["access_key_id"] = actor.access_key
    return {
        "trace_id": one.id,
        "trace_name": one.trace_name,
        "trace_rating": rating(one.code),
        "trace_type": "ApiCall",
        "service_type": SERVICE,
        "resource_type": one.resource_type,
        "resource_id": one.resource_id,
        "resource_name": one.resource_name,
        "operation_id": one.operation,
        "api_version": "2.0",
        "source_ip": one.source_ip,
        "code": str(one.code),
        "project_id": one.project_id,
        "request": one.request,
        "response": one.response,
        "request_id": one.request_id,
        "read_only": one.read_only,
        "time": one.at_ms,
        "record_time": one.recorded_ms,
        "user": user,
    }


ROUTES: Final = (
    Route(
        "ListTraces",
        "GET",
        "/v3/{project_id}/traces",
        list_all,
        query=ListTraces,
        answer=TraceList,
        action="cts:trace:list",
    ),
)
