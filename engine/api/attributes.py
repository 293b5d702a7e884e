"""Topic attributes."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import BeforeValidator

from engine.api.bodies import Body, Code, Query, Requested, Shown
from engine.api.call import Call
from engine.api.paging import iso
from engine.api.routes import TOPIC, Route, Trace
from engine.control.attributes import ACCESS_POLICY

_ATTRIBUTES: Final = f"{TOPIC}/attributes"
_ATTRIBUTE: Final = f"{_ATTRIBUTES}/{{name}}"
_POLICY_ERRORS: Final = (
    *("SMN.0047", "SMN.0048", "SMN.0049", "SMN.0050", "SMN.0051", "SMN.0052", "SMN.0053"),
    *("SMN.0054", "SMN.0055", "SMN.0056", "SMN.0058"),
)


class ListAttributes(Query):
    """Which one; all without a name."""

    name: str | None = None


def _text(value: object) -> str | None:
    """None for what is no text: which code that has depends on the attribute."""
    return value if isinstance(value, str) else None


class UpdateAttribute(Body):
    """The new value; an empty one clears the attribute."""

    value: Annotated[str | None, BeforeValidator(_text), Code("SMN.0048")] = None


class AttributeValues(Shown):
    """Values by name; the times are those of the access policy, if there is one."""

    access_policy: str | None = None
    introduction: str | None = None
    create_time: str | None = None
    update_time: str | None = None


class AttributeList(Requested):
    """A topic's attributes."""

    attributes: AttributeValues


async def list_all(call: Call) -> dict[str, Any]:
    """All or one; unset ones read as empty texts."""
    asked = cast("ListAttributes", call.asked)
    found = await call.services.engine.attributes.get(call.path["topic_urn"], asked.name)
    shown = {name: attribute.text for name, attribute in found.items()}
    policy = found.get(ACCESS_POLICY)
    if policy is not None and policy.text:
        shown["create_time"] = iso(policy.created_ms)
        shown["update_time"] = iso(policy.updated_ms)
    return {"request_id": call.request_id, "attributes": shown}


async def update(call: Call) -> dict[str, Any]:
    """Set or clear one."""
    body = cast("UpdateAttribute", call.body)
    attributes, path = call.services.engine.attributes, call.path
    await attributes.set(path["topic_urn"], path["name"], body.value)
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Clear one, or all where the path names none; also what is unset."""
    await call.services.engine.attributes.clear(call.path["topic_urn"], call.path.get("name"))
    return {"request_id": call.request_id}


ROUTES: Final = (
    Route(
        "ListTopicAttributes",
        "GET",
        _ATTRIBUTES,
        list_all,
        query=ListAttributes,
        answer=AttributeList,
        errors=("SMN.0006", "SMN.0046"),
        action="smn:topic:list",
        topic_action="SMN:ListTopicAttributes",
        trace=Trace("listTopicAttributes", "topic"),
    ),
    Route(
        "UpdateTopicAttribute",
        "PUT",
        _ATTRIBUTE,
        update,
        body=UpdateAttribute,
        answer=Requested,
        errors=("SMN.0006", "SMN.0046", *_POLICY_ERRORS),
        action="smn:topic:update",
        topic_action="SMN:UpdateTopicAttribute",
        trace=Trace("updateTopicAttribute", "topic"),
    ),
    Route(
        "DeleteTopicAttributeByName",
        "DELETE",
        _ATTRIBUTE,
        delete,
        answer=Requested,
        errors=("SMN.0006", "SMN.0046"),
        action="smn:topic:update",
        topic_action="SMN:DeleteTopicAttributeByName",
        trace=Trace("deleteTopicAttributeByName", "topic"),
    ),
    Route(
        "DeleteTopicAttributes",
        "DELETE",
        _ATTRIBUTES,
        delete,
        answer=Requested,
        errors=("SMN.0006",),
        action="smn:topic:update",
        topic_action="SMN:DeleteTopicAttributes",
        trace=Trace("deleteTopicAttributes", "topic"),
    ),
)
