"""Topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.api import bodies
from engine.api.answers import Reply
from engine.api.paging import iso, listed, window
from engine.errors import Refused
from engine.models import Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Topic

_ANY_PROJECT = "all_granted_eps"


async def create(call: Call) -> Reply:
    """201 for a new topic, 200 for the one of that name, which stays as it is."""
    body = cast("bodies.CreateTopic", call.body)
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
    name = call.parameter("name")

    async def source(offset: int, limit: int) -> Listing[Topic]:
        if name is not None:
            return await _by_name(call, name)
        return await topics.list(project, offset=offset, limit=limit)

    found = await listed(source, window(call), _filter(call))
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
    body = cast("bodies.UpdateTopic", call.body)
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


def _filter(call: Call) -> Callable[[Topic], bool] | None:
    name, topic_id = call.parameter("name"), call.parameter("topic_id")
    part = (call.parameter("fuzzy_name") or "").lower()
    shown = (call.parameter("fuzzy_display_name") or "").lower()
    enterprise = call.parameter("enterprise_project_id")
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
