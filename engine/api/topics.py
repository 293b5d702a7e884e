"""Topics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import AfterValidator, Field

from engine.api import logtanks, tags
from engine.api.answers import Reply
from engine.api.authorise import visible
from engine.api.bodies import Body, Code, Line, Requested, Shown
from engine.api.paging import Paged, iso
from engine.api.routes import PROJECT, TOPIC, TOPICS, Route, Trace
from engine.control.topics import MAX_DISPLAY_NAME_BYTES
from engine.models import Listing
from engine.policy.conditions import ENTERPRISE_PROJECT, Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Attribute, Topic

_ANY_PROJECT = "all_granted_eps"
NO_ENTERPRISE_PROJECT = "0"
"""What a topic belongs to if nothing is said: the default enterprise project."""


def _display_name(text: str) -> str:
    if len(text.encode()) > MAX_DISPLAY_NAME_BYTES:
        raise ValueError(f"must have at most {MAX_DISPLAY_NAME_BYTES} bytes")
    return text


DisplayName = Annotated[str, AfterValidator(_display_name)]
"""Part of a display name."""


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
    fuzzy_display_name: Annotated[DisplayName | None, Code("SMN.0003")] = None
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


class PolicyItem(Shown):
    """An access policy and its times, empty without one."""

    access_policy: str
    create_time: str
    update_time: str


class TopicWithResources(TopicItem):
    """A topic with what belongs to it."""

    tags: list[tags.TagItem]
    attributes: PolicyItem
    logtanks: list[logtanks.LogtankItem]


class TopicListWithResources(Requested):
    """Topics, newest first, and the number of all that match."""

    topic_count: int
    topics: list[TopicWithResources]


async def create(call: Call) -> Reply:
    """201 for a new topic, 200 for the one of that name, which stays as it is."""
    body = cast("CreateTopic", call.body)
    topic, new = await call.services.engine.topics.create(
        call.identity.project_id,
        body.name,
        display_name=body.display_name or "",
        enterprise_project_id=body.enterprise_project_id or NO_ENTERPRISE_PROJECT,
    )
    answer = {"request_id": call.request_id, "topic_urn": topic.urn}
    return Reply(answer, 201 if new else 200)


async def list_all(call: Call) -> dict[str, Any]:
    """Newest first; all filters combine."""
    found = await matching(call)
    return {
        "request_id": call.request_id,
        "topic_count": found.total,
        "topics": [item(topic) for topic in found.items],
    }


async def list_with_resources(call: Call) -> dict[str, Any]:
    """As the other list, each topic with its tags, access policy and logtank."""
    engine = call.services.engine
    found = await matching(call)
    tagged, policies, bound = await asyncio.gather(
        engine.tags.of(found.items),
        engine.attributes.policies(found.items),
        engine.logtanks.of(found.items),
    )
    return {
        "request_id": call.request_id,
        "topic_count": found.total,
        "topics": [
            item(topic)
            | {
                "tags": tags.shown(one),
                "attributes": _policy(policy),
                "logtanks": logtanks.shown(logtank),
            }
            for topic, one, policy, logtank in zip(
                found.items, tagged, policies, bound, strict=True
            )
        ],
    }


async def matching(call: Call) -> Listing[Topic]:
    """The part of the project's topics that a list asks for.

    A name or an id is looked up; other filters search the cards of all.
    """
    topics, project = call.services.engine.topics, call.identity.project_id
    asked = cast("ListTopics", call.asked)
    wanted, seen = _filter(asked), await visible(call)
    if seen is not None or (wanted and asked.name is None and asked.topic_id is None):
        return await topics.search(
            project,
            lambda card: (wanted is None or wanted(card)) and (seen is None or seen(card)),
            marker=asked.marker,
            offset=asked.offset,
            limit=asked.limit,
        )

    if asked.name is None and asked.topic_id is None:
        return await topics.list(
            project, marker=asked.marker, offset=asked.offset, limit=asked.limit
        )
    if asked.name is not None:
        one = await topics.by_name(project, asked.name)
    else:
        one = await topics.by_id(project, asked.topic_id or "")
    if one is None or (wanted is not None and not wanted(one)):
        return Listing((), 0)
    # What comes after the only one is nothing.
    first = asked.offset == 0 and asked.marker is None
    return Listing((one,) if first else (), 1)


async def details(call: Call) -> dict[str, Any]:
    """One topic; 404 SMN.0006 once it is deleted, which clients wait for."""
    topic = await call.services.engine.topics.get(call.path["topic_urn"])
    return {"request_id": call.request_id, **item(topic)}


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


def item(topic: Topic) -> dict[str, Any]:
    """A topic as lists show it."""
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


def _policy(policy: Attribute) -> dict[str, str]:
    """An access policy as the list of associated resources shows it: all members are there."""
    return {
        "access_policy": policy.text,
        "create_time": iso(policy.created_ms) if policy.text else "",
        "update_time": iso(policy.updated_ms) if policy.text else "",
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
            and (not part or part in topic.name.lower())
            and (not shown or shown in topic.display_name.lower())
        )

    return wanted


async def _created(call: Call) -> list[Facts]:
    body = cast("CreateTopic", call.body)
    return [{ENTERPRISE_PROJECT: (body.enterprise_project_id or NO_ENTERPRISE_PROJECT,)}]


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
        facts=_created,
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
        searches=True,
        trace=Trace("listTopics", "topic"),
    ),
    Route(
        "ListTopicsWithAssociatedResources",
        "GET",
        f"{PROJECT}/topics-with-associated-resources",
        list_with_resources,
        query=ListTopics,
        answer=TopicListWithResources,
        action="smn:topic:list",
        searches=True,
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
