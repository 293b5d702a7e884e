"""Tags of resources, and resources by their tags."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from engine.api.answers import Reply
from engine.api.authorise import allowed, visible
from engine.api.bodies import Body, Code, Shown
from engine.api.call import Call
from engine.api.routes import Route, Trace
from engine.control.tags import MAX_KEY, MAX_VALUE, Tagged
from engine.models import Topic
from engine.policy.conditions import REQUEST_TAG, TAG_KEYS, Facts
from engine.policy.tag_query import Conditions, TagQuery

_KIND: Final = "/v2/{project_id}/{resource_type}"
_TAGS: Final = f"{_KIND}/{{resource_id}}/tags"
_CREATE: Final = "smn:tag:create"
_UPDATE: Final = "smn:tag:update"
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_MOST: Final = 10
"""Keys in a list of the query, and values of a key (SMN "Querying Resource Instances")."""
_MAX_PART: Final = 1000
_MAX_BATCH: Final = 100
_MAX_NAME: Final = 255


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Tag(_Part):
    """A tag; clients leave an empty value away."""

    key: str
    value: str | None = None


class CreateTag(Body):
    """A tag to add."""

    tag: Annotated[Tag, Code("SMN.0038")]


class BatchTags(Body):
    """Tags to add or to remove; values do not matter for the latter."""

    action: Annotated[Literal["create", "delete"], Code("SMN.0073")]
    tags: Annotated[
        Annotated[list[Tag], Field(min_length=1, max_length=_MAX_BATCH)], Code("SMN.0038")
    ]


class Condition(_Part):
    """A key with the values it may have: any, if there are none."""

    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
    values: Annotated[
        list[Annotated[str, Field(max_length=MAX_VALUE)]] | None, Field(max_length=_MOST)
    ] = None


class Match(_Part):
    """A part of the resource's name."""

    key: Literal["resource_name"]
    value: Annotated[str, Field(max_length=_MAX_NAME)]


def _number(value: object) -> object:
    """Clients send numbers as texts; the contract has them so."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError("must be a decimal number")
        return int(value)
    return value


def _shown(least: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": least}
    return WithJsonSchema({"anyOf": [number, {"type": "string"}, {"type": "null"}]})


_Conditions = Annotated[list[Condition] | None, Field(max_length=_MOST)]
_Limit = Annotated[int, Field(ge=1, le=_MAX_PART)]
_Offset = Annotated[int, Field(ge=0, le=10**9)]


class ListInstances(Body):
    """What to look for, and whether the resources or only their number are wanted."""

    action: Annotated[Literal["filter", "count"], Code("SMN.0073")]
    tags: Annotated[_Conditions, Code("SMN.0038")] = None
    tags_any: Annotated[_Conditions, Code("SMN.0038")] = None
    not_tags: Annotated[_Conditions, Code("SMN.0038")] = None
    not_tags_any: Annotated[_Conditions, Code("SMN.0038")] = None
    matches: Annotated[Annotated[list[Match] | None, Field(max_length=_MOST)], Code("SMN.0038")] = (
        None
    )
    without_any_tag: Annotated[bool | None, Code("SMN.0038")] = None
    limit: Annotated[_Limit | None, BeforeValidator(_number), _shown(1), Code("SMN.0015")] = None
    offset: Annotated[_Offset | None, BeforeValidator(_number), _shown(0), Code("SMN.0015")] = None


class TagItem(Shown):
    """A tag."""

    key: str
    value: str


class ResourceTags(Shown):
    """A resource's tags."""

    tags: list[TagItem]


class KeyValues(Shown):
    """A key with all its values."""

    key: str
    values: list[str]


class ProjectTags(Shown):
    """All tags of a project's resources."""

    tags: list[KeyValues]


class TopicDetail(Shown):
    """What is shown of a topic."""

    enterprise_project_id: str
    detailId: str  # noqa: N815 - the contract's name
    topic_urn: str
    display_name: str


class Resource(Shown):
    """A resource that was found."""

    resource_id: str
    resource_name: str
    resource_detail: TopicDetail | None
    tags: list[TagItem]


class Instances(Shown):
    """The number of all that were found, and for the action ``filter`` a part of them."""

    resources: list[Resource] | None = None
    total_count: int


async def create(call: Call) -> Reply:
    """Add one tag or give it another value."""
    await _add(call)
    return Reply(None, 204)


async def batch(call: Call) -> Reply:
    """Add or remove several."""
    if cast("BatchTags", call.body).action == "create":
        await _add(call)
    else:
        keys = [tag.key for tag in _given(call)]
        await call.services.engine.tags.remove(await _resource(call), keys)
    return Reply(None, 204)


async def delete(call: Call) -> Reply:
    """Remove one."""
    await call.services.engine.tags.remove_one(await _resource(call), call.path["key"])
    return Reply(None, 204)


async def list_of_resource(call: Call) -> dict[str, Any]:
    """All tags of a resource."""
    (tags,) = await call.services.engine.tags.of([await _resource(call)])
    return {"tags": shown(tags)}


async def list_of_project(call: Call) -> dict[str, Any]:
    """All keys in use with all their values."""
    found = await call.services.engine.tags.of_project(
        call.identity.project_id, call.path["resource_type"], await visible(call)
    )
    return {"tags": [{"key": key, "values": values} for key, values in found.items()]}


async def list_instances(call: Call) -> dict[str, Any]:
    """Find resources by tags and name."""
    body = cast("ListInstances", call.body)
    found = await call.services.engine.tags.find(
        call.identity.project_id,
        call.path["resource_type"],
        TagQuery(
            tags=_conditions(body.tags),
            tags_any=_conditions(body.tags_any),
            not_tags=_conditions(body.not_tags),
            not_tags_any=_conditions(body.not_tags_any),
            names=tuple(match.value for match in body.matches or ()),
            untagged=bool(body.without_any_tag),
        ),
        seen=await visible(call),
        offset=body.offset or 0,
        limit=body.limit or _MAX_PART,
    )
    if body.action == "count":
        return {"total_count": found.total}
    return {
        "resources": [_instance(tagged) for tagged in found.items],
        "total_count": found.total,
    }


def shown(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as answers have them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


async def _resource(call: Call) -> Topic:
    """The resource in the path, by its id unless a header says that it is a name."""
    path = call.path
    return await call.services.engine.tags.resource(
        call.identity.project_id,
        path["resource_type"],
        path["resource_id"],
        by_name=call.names_resource,
    )


def _adding(call: Call) -> str:
    """Either is enough to ask: which tags are new is known only when they are written."""
    return _UPDATE if allowed(call, _UPDATE) and not allowed(call, _CREATE) else _CREATE


def _batch_action(call: Call) -> str:
    if cast("BatchTags", call.body).action == "create":
        return _adding(call)
    return "smn:tag:delete"


def _given(call: Call) -> list[Tag]:
    body = cast("CreateTag | BatchTags", call.body)
    return [body.tag] if isinstance(body, CreateTag) else body.tags


async def _facts(call: Call) -> list[Facts]:
    given = _given(call)
    values = {f"{REQUEST_TAG}{tag.key}": (tag.value or "",) for tag in given}
    return [values | {TAG_KEYS: tuple(tag.key for tag in given)}]


async def _add(call: Call) -> None:
    updated = await call.services.engine.tags.add(
        await _resource(call),
        [(tag.key, tag.value or "") for tag in _given(call)],
        create=allowed(call, _CREATE),
        update=allowed(call, _UPDATE),
    )
    if updated:
        call.implied = ("deleteTag",)  # SMN "Key Operations Supported by CTS"


def _conditions(given: list[Condition] | None) -> Conditions:
    return tuple((one.key, tuple(one.values or ())) for one in given or ())


def _instance(tagged: Tagged) -> dict[str, Any]:
    topic = tagged.topic
    return {
        "resource_id": topic.id,
        "resource_name": topic.name,
        "resource_detail": {
            "enterprise_project_id": topic.enterprise_project_id,
            "detailId": topic.id,
            "topic_urn": tagged.urn,
            "display_name": topic.display_name,
        }
        if tagged.urn
        else None,
        "tags": shown(tagged.tags),
    }


ROUTES: Final = (
    Route(
        "CreateResourceTag",
        "POST",
        _TAGS,
        create,
        body=CreateTag,
        errors=("SMN.0006", "SMN.0043"),
        action=_adding,
        facts=_facts,
        trace=Trace("batchCreateTag", "tag"),
        success=204,
    ),
    Route(
        "BatchCreateOrDeleteResourceTags",
        "POST",
        f"{_TAGS}/action",
        batch,
        body=BatchTags,
        errors=("SMN.0006", "SMN.0043"),
        action=_batch_action,
        facts=_facts,
        trace=Trace("batchCreateTag", "tag"),
        success=204,
    ),
    Route(
        "DeleteResourceTag",
        "DELETE",
        f"{_TAGS}/{{key}}",
        delete,
        errors=("SMN.0006", "SMN.0013", "SMN.0043"),
        action="smn:tag:delete",
        trace=Trace("deleteTag", "tag"),
        success=204,
    ),
    Route(
        "ListResourceTags",
        "GET",
        _TAGS,
        list_of_resource,
        answer=ResourceTags,
        errors=("SMN.0006", "SMN.0043"),
        action="smn:tag:list",
        trace=Trace("listResourceTags", "tag"),
    ),
    Route(
        "ListProjectTags",
        "GET",
        f"{_KIND}/tags",
        list_of_project,
        answer=ProjectTags,
        errors=("SMN.0043",),
        action="smn:tag:list",
        searches=True,
        trace=Trace("listProjectTags", "tag"),
    ),
    Route(
        "ListResourceInstances",
        "POST",
        f"{_KIND}/resource_instances/action",
        list_instances,
        body=ListInstances,
        answer=Instances,
        errors=("SMN.0043",),
        action="smn:tag:list",
        searches=True,
    ),
)
