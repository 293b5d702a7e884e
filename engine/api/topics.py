"""Topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.answers import Reply
from engine.api.bodies import Body, Code, Line, Requested, Shown
from engine.api.paging import Paged, iso, listed
from engine.api.routes import TOPIC, TOPICS, Route, Trace
from engine.errors import Refused
from engine.models import Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Topic

_ANY_PROJECT = "all_granted_eps"


class CreateTopic(Body):
    """A topic to make; one of that name stays as it is."""

    name: Annotated[Line, Code("SMN.0002")]
    display_name: Annotated[Line | None, Code("SMN.0003")] = None
    enterprise_project_id: Annotated[
        Annotated[Line, Field(max_length=64)] | None, Code("APIGW.0201")
    ] = None


class UpdateTopic(Body):
    """What changes; a client that clears the name sends ``{}``."""

    display_name: Annotated[Line | None, Code("SMN.0003")] = None


class ListTopics(Paged):
    """Filters, which all combine; the fuzzy ones are parts, whatever their case."""

    name: str | None = None
    fuzzy_name: str | None = None
    topic_id: str | None = None
    fuzzy_display_name: str | None = None
    enterprise_project_id: str | None = None


class TopicMade(Requested):
    """Which topic it is."""

    topic_urn: str


class TopicItem(Shown):
    """A topic in a list."""

    topic_urn: str
    name: str
    display_name: str
    push_policy: int
    enterprise_project_id: str
    topic_id: str
    create_time: str
    update_time: str


class TopicDetails(Requested, TopicItem):
    """A topic."""


class TopicList(Requested):
    """Topics, newest first, and the number of all that match."""

    topic_count: int
    topics: list[TopicItem]


async def create(call: Call) -> Reply:
    """201 for a new topic, 200 for the one of that name, which stays as it is."""
    body = cast("CreateTopic", call.body)
    topic, new = await call.services.engine.topics.create(
        call.identity.project_id,
        body.name,
        display_name=body.display_name or "",
        enterprise_project_id=body.enterprise_project_id or "0",
    )
    answer = {"request_id": call.request_id, "topic_urn": topic.urn}
    return Reply(answer, 201 if new else 200)


async def list_all(call: Call) -> dict[str, Any]:
    """Newest first; all filters combine."""
    topics, project = call.services.engine.topics, call.identity.project_id
    asked = cast("ListTopics", call.asked)

    async def source(offset: int, limit: int) -> Listing[Topic]:
        if asked.name is not None:
            return await _by_name(call, asked.name)
        return await topics.list(project, offset=offset, limit=limit)

    found = await listed(source, asked, _filter(asked))
    return {
        "request_id": call.request_id,
        "topic_count": found.total,
        "topics": [_item(topic) for topic in found.items],
    }


async def _by_name(call: Call, name: str) -> Listing[Topic]:
    """The one topic of that name, if it is there: clients look topics up this way."""
    region = call.services.engine.dataset.region
    urn = f"urn:smn:{region}:{call.identity.project_id}:{name}"
    try:
        return Listing((await call.services.engine.topics.get(urn),), 1)
    except Refused as refused:
        if refused.code in {"SMN.0005", "SMN.0006"}:
            return Listing((), 0)
        raise


async def details(call: Call) -> dict[str, Any]:
    """One topic; 404 SMN.0006 once it is deleted, which clients wait for."""
    topic = await call.services.engine.topics.get(call.path["topic_urn"])
    return {"request_id": call.request_id, **_item(topic)}


async def update(call: Call) -> dict[str, Any]:
    """Change the display name."""
    body = cast("UpdateTopic", call.body)
    await call.services.engine.topics.update(
        call.path["topic_urn"], display_name=body.display_name or ""
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Delete with everything that belongs to it."""
    await call.services.engine.topics.delete(call.path["topic_urn"])
    return {"request_id": call.request_id}


def _item(topic: Topic) -> dict[str, Any]:
    return {
        "topic_urn": topic.urn,
        "name": topic.name,
        "display_name": topic.display_name,
        "push_policy": 0,
        "enterprise_project_id": topic.enterprise_project_id,
        "topic_id": topic.id,
        "create_time": iso(topic.created_ms),
        "update_time": iso(topic.updated_ms),
    }


def _filter(asked: ListTopics) -> Callable[[Topic], bool] | None:
    name, topic_id = asked.name, asked.topic_id
    part = (asked.fuzzy_name or "").lower()
    shown = (asked.fuzzy_display_name or "").lower()
    enterprise = asked.enterprise_project_id
    if enterprise == _ANY_PROJECT:
        enterprise = None
    if not (name or topic_id or part or shown or enterprise):
        return None

    def wanted(topic: Topic) -> bool:
        return (
            (name is None or topic.name == name)
            and (topic_id is None or topic.id == topic_id)
            and (enterprise is None or topic.enterprise_project_id == enterprise)
            and part in topic.name.lower()
            and shown in topic.display_name.lower()
        )

    return wanted


ROUTES: Final = (
    Route(
        "CreateTopic",
        "POST",
        TOPICS,
        create,
        body=CreateTopic,
        answer=TopicMade,
        errors=("SMN.0004",),
        action="smn:topic:create",
        trace=Trace("createTopic", "topic"),
        success=201,
        also=(200,),
    ),
    Route(
        "ListTopics",
        "GET",
        TOPICS,
        list_all,
        query=ListTopics,
        answer=TopicList,
        action="smn:topic:list",
        trace=Trace("listTopics", "topic"),
    ),
    Route(
        "ListTopicDetails",
        "GET",
        TOPIC,
        details,
        answer=TopicDetails,
        errors=("SMN.0006",),
        action="smn:topic:list",
        topic_action="SMN:QueryTopicDetail",
        trace=Trace("listTopicDetails", "topic"),
    ),
    Route(
        "UpdateTopic",
        "PUT",
        TOPIC,
        update,
        body=UpdateTopic,
        answer=Requested,
        errors=("SMN.0006",),
        action="smn:topic:update",
        topic_action="SMN:UpdateTopic",
        trace=Trace("updateTopic", "topic"),
    ),
    Route(
        "DeleteTopic",
        "DELETE",
        TOPIC,
        delete,
        answer=Requested,
        errors=("SMN.0006",),
        action="smn:topic:delete",
        topic_action="SMN:DeleteTopic",
        trace=Trace("deleteTopic", "topic"),
    ),
)
