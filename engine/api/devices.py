"""Endpoints of applications, and publishing to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import Field

from engine.api.answers import Reply
from engine.api.applications import APPLICATION
from engine.api.bodies import Body, Code, Line, Query, Requested, Shown
from engine.api.paging import Paged, iso
from engine.api.routes import PROJECT, Route

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.store.devices import Device

_OF_APPLICATION: Final = f"{APPLICATION}/endpoints"
_ENDPOINT: Final = f"{PROJECT}/endpoints/{{endpoint_urn}}"
_Flag = Annotated[Literal["true", "false"] | None, Code("SMN.0136")]


class CreateEndpoint(Body):
    """A device to register; the same one is found."""

    token: Annotated[Line, Code("SMN.0131")]
    user_data: Annotated[str, Code("SMN.0132")]


class UpdateEndpoint(Body):
    """What changes; what is not given stays."""

    enabled: _Flag = None
    user_data: Annotated[str | None, Code("SMN.0132")] = None


class PublishToEndpoint(Body):
    """A message for a device; ``message_structure`` has a content for each platform."""

    message: Annotated[str | None, Code("SMN.0009")] = None
    message_structure: Annotated[str | None, Code("SMN.0021")] = None
    time_to_live: Annotated[
        int | Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None, Code("APIGW.0201")
    ] = None


class Matching(Query):
    """Filters, which all combine and are exact."""

    enabled: _Flag = None
    token: str | None = None
    user_data: str | None = None


class ListEndpoints(Paged, Matching):
    """Which of an application's endpoints."""


class EndpointMade(Requested):
    """Which endpoint it is."""

    endpoint_urn: str


class EndpointItem(Shown):
    """An endpoint in a list."""

    create_time: str
    endpoint_urn: str
    user_data: str
    enabled: str
    token: str


class EndpointList(Requested):
    """Endpoints, oldest first, and whether there are more."""

    next_page_flag: bool
    endpoints: list[EndpointItem]


class Attributes(Shown):
    """What is known of a device."""

    enabled: str
    token: str
    user_data: str


class EndpointAttributes(Requested):
    """An endpoint."""

    attributes: Attributes


class PublishedToEndpoint(Requested):
    """The message is stored, and its delivery begins."""

    message_id: str


async def create(call: Call) -> Reply:
    """201 for a new endpoint, 200 for the same one."""
    body = cast("CreateEndpoint", call.body)
    device, new = await call.services.engine.devices.register(
        call.identity.project_id, call.path["application_urn"], body.token, body.user_data
    )
    answer = {"request_id": call.request_id, "endpoint_urn": device.urn}
    return Reply(answer, 201 if new else 200)


async def list_all(call: Call) -> dict[str, Any]:
    """Oldest first."""
    engine, asked = call.services.engine, cast("ListEndpoints", call.asked)
    application = await engine.applications.get(
        call.identity.project_id, call.path["application_urn"]
    )
    found = await engine.devices.list(
        application,
        token=asked.token,
        user_data=asked.user_data,
        enabled=None if asked.enabled is None else asked.enabled == "true",
        marker=asked.marker,
        offset=asked.offset,
        limit=asked.limit + 1,  # the one that is not shown tells that there are more
    )
    return {
        "request_id": call.request_id,
        "next_page_flag": len(found.items) > asked.limit,
        "endpoints": [_item(device) for device in found.items[: asked.limit]],
    }


async def attributes(call: Call) -> dict[str, Any]:
    """One endpoint."""
    _, device = await call.services.engine.devices.get(
        call.identity.project_id, call.path["endpoint_urn"]
    )
    item = _item(device)
    shown = {name: item[name] for name in ("enabled", "token", "user_data")}
    return {"request_id": call.request_id, "attributes": shown}


async def update(call: Call) -> dict[str, Any]:
    """Switch it on or off, or replace its data."""
    body = cast("UpdateEndpoint", call.body)
    await call.services.engine.devices.update(
        call.identity.project_id,
        call.path["endpoint_urn"],
        enabled=None if body.enabled is None else body.enabled == "true",
        user_data=body.user_data,
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Remove it."""
    await call.services.engine.devices.delete(call.identity.project_id, call.path["endpoint_urn"])
    return {"request_id": call.request_id}


async def publish(call: Call) -> dict[str, Any]:
    """Send a message to it; answered as soon as it is stored."""
    body = cast("PublishToEndpoint", call.body)
    message_id = await call.services.engine.devices.publish(
        call.identity.project_id,
        call.path["endpoint_urn"],
        body.message or "",
        structure=body.message_structure,
        ttl=None if body.time_to_live is None else int(body.time_to_live),
    )
    return {"request_id": call.request_id, "message_id": message_id}


def _flag(device: Device) -> str:
    return "true" if device.enabled else "false"


def _item(device: Device) -> dict[str, Any]:
    return {
        "create_time": iso(device.created_ms),
        "endpoint_urn": device.urn,
        "user_data": device.user_data,
        "enabled": _flag(device),
        "token": device.token,
    }


ROUTES: Final = (
    Route(
        "CreateApplicationEndpoint",
        "POST",
        _OF_APPLICATION,
        create,
        body=CreateEndpoint,
        answer=EndpointMade,
        errors=("SMN.0116", "SMN.0122", "SMN.0123", "SMN.0133"),
        action="smn:application:update",
        success=201,
        also=(200,),
    ),
    Route(
        "ListApplicationEndpoints",
        "GET",
        _OF_APPLICATION,
        list_all,
        query=ListEndpoints,
        answer=EndpointList,
        errors=("SMN.0116", "SMN.0122", "SMN.0123"),
        action="smn:application:list",
    ),
    Route(
        "ListApplicationEndpointAttributes",
        "GET",
        _ENDPOINT,
        attributes,
        answer=EndpointAttributes,
        errors=("SMN.0116", "SMN.0125", "SMN.0134"),
        action="smn:application:list",
    ),
    Route(
        "UpdateApplicationEndpoint",
        "PUT",
        _ENDPOINT,
        update,
        body=UpdateEndpoint,
        answer=Requested,
        errors=("SMN.0116", "SMN.0125", "SMN.0134"),
        action="smn:application:update",
    ),
    Route(
        "DeleteApplicationEndpoint",
        "DELETE",
        _ENDPOINT,
        delete,
        answer=Requested,
        errors=("SMN.0116", "SMN.0125", "SMN.0134"),
        action="smn:application:update",
    ),
    Route(
        "PublishAppMessage",
        "POST",
        f"{_ENDPOINT}/publish",
        publish,
        body=PublishToEndpoint,
        answer=PublishedToEndpoint,
        errors=("SMN.0116", "SMN.0125", "SMN.0134", "SMN.0136", "APIGW.0308"),
        action="smn:application:publish",
    ),
)
