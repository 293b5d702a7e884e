"""Delivery logs, as the log service shows those of the topics bound to a stream (LTS API v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import BeforeValidator, Field

from engine.api.bodies import Body, Code, Shown, Text
from engine.api.routes import Route
from engine.control.logs import Search
from engine.errors import Refused
from engine.store.delivery_log import Spot
from engine.times import parse_millis

if TYPE_CHECKING:
    from engine.api.call import Call

_MAX_KEYWORDS: Final = 1024
_MAX_LIMIT: Final = 5000

Millis = Annotated[int, BeforeValidator(parse_millis)]


class ListLogs(Body):
    """Lines between two times, both included, that have the keywords and labels.

    A further page needs the ``line_num`` of a line: ``forwards`` are the lines after it in the
    asked order, ``backwards`` those before it. Found words are not highlighted, since lines are
    JSON; ``scroll_id`` and ``is_iterative`` are not needed to go on.
    """

    start_time: Annotated[Millis, Code("APIGW.0201")]
    end_time: Annotated[Millis, Code("APIGW.0201")]
    keywords: Annotated[
        Annotated[Text, Field(max_length=_MAX_KEYWORDS)] | None, Code("APIGW.0201")
    ] = None
    labels: Annotated[dict[str, str] | None, Code("APIGW.0201")] = None
    is_count: Annotated[bool | None, Code("APIGW.0201")] = None
    is_desc: Annotated[bool | None, Code("APIGW.0201")] = None
    line_num: Annotated[str | None, Code("APIGW.0201")] = None
    search_type: Annotated[Literal["init", "forwards", "backwards"] | None, Code("APIGW.0201")] = (
        None
    )
    limit: Annotated[Annotated[int, Field(ge=1, le=_MAX_LIMIT)] | None, Code("APIGW.0201")] = None
    is_analysis_query: Annotated[bool | None, Code("APIGW.0201")] = None


class Line(Shown):
    """One line: ``content`` is its JSON text, ``line_num`` says where it stands."""

    content: str
    line_num: str
    labels: dict[str, str]


class LogList(Shown):
    """Lines; ``count`` is the number of these, or of all if that was asked for.

    A query that is not complete has looked at as many lines as it may: ask for a shorter time.
    """

    count: int
    logs: list[Line]
    is_query_complete: Annotated[bool, Field(alias="isQueryComplete")]


async def query(call: Call) -> dict[str, Any]:
    """Nothing for a stream that no topic is bound to: groups and streams are only names here."""
    body, engine = cast("ListLogs", call.body), call.services.engine
    search = _search(body)
    topics = await engine.logtanks.bound(
        call.identity.project_id, call.path["log_group_id"], call.path["log_stream_id"]
    )
    found = await engine.logs.search(topics, search)
    count, counted = len(found.hits), True
    if body.is_count:
        count, counted = await engine.logs.count(topics, search)
    return {
        "count": count,
        "logs": [
            {"content": hit.content, "line_num": str(hit.spot), "labels": hit.labels}
            for hit in found.hits
        ],
        "isQueryComplete": found.complete and counted,
    }


def _search(body: ListLogs) -> Search:
    if body.start_time > body.end_time:
        raise Refused("APIGW.0201", "start_time must not be after end_time.")
    if body.is_analysis_query:
        raise Refused("APIGW.0201", "is_analysis_query: lines are searched by keywords alone.")
    beyond = None
    if body.line_num and body.search_type != "init":
        beyond = Spot.parse(body.line_num)
        if beyond is None:
            raise Refused("APIGW.0201", "line_num is not the number of a line.")
    elif body.search_type in {"forwards", "backwards"}:
        raise Refused("APIGW.0201", f"search_type {body.search_type} needs a line_num.")
    return Search(
        start_ms=body.start_time,
        end_ms=body.end_time,
        keywords=body.keywords or "",
        labels=body.labels or {},
        newest_first=bool(body.is_desc),
        beyond=beyond,
        back=body.search_type == "backwards",
        limit=body.limit or 50,
    )


ROUTES: Final = (
    Route(
        "ListLogs",
        "POST",
        "/v2/{project_id}/groups/{log_group_id}/streams/{log_stream_id}/content/query",
        query,
        body=ListLogs,
        answer=LogList,
        action="lts:logs:list",
    ),
)
