"""Applications of mobile push; the vendor has withdrawn them, clients still know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.answers import Reply
from engine.api.bodies import Body, Code, Line, Requested, Shown
from engine.api.paging import Paged, iso
from engine.api.routes import PROJECT, Route
from engine.certificates import expiry_ms
from engine.control.applications import MAX_NAME

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.store.applications import Application

APPLICATIONS: Final = f"{PROJECT}/applications"
_APPLE: Final = frozenset({"APNS", "APNS_SANDBOX"})
APPLICATION: Final = f"{APPLICATIONS}/{{application_urn}}"


class Secrets(Body):
    """What the platform knows the application by: id and secret, or certificate and key."""

    platform_principal: Annotated[str, Code("SMN.0124")]
    platform_credential: Annotated[str, Code("SMN.0124")]


class CreateApplication(Secrets):
    """An application to make; the same one is found."""

    name: Annotated[Line, Code("SMN.0115")]
    platform: Annotated[Line, Code("SMN.0116")]


class ListApplications(Paged):
    """Filters, which combine: the beginning of the name, and the platform."""

    name: Annotated[Annotated[str, Field(max_length=MAX_NAME)] | None, Code("SMN.0115")] = None
    platform: Annotated[str | None, Code("SMN.0116")] = None


class ApplicationMade(Requested):
    """Which application it is."""

    application_urn: str
    application_id: str


class ApplicationItem(Shown):
    """An application in a list; its secrets are never shown."""

    name: str
    platform: str
    create_time: str
    application_urn: str
    application_id: str
    enabled: str
    apple_certificate_expiration_date: str | None = None


class ApplicationList(Requested):
    """Applications, oldest first, and the number of all that match."""

    application_count: int
    applications: list[ApplicationItem]


class Enabled(Shown):
    """All that is shown of an application's attributes."""

    enabled: str
    apple_certificate_expiration_date: str | None = None


class ApplicationAttributes(Requested):
    """An application."""

    application_id: str
    attributes: Enabled


async def create(call: Call) -> Reply:
    """201 for a new application, 200 for the same one."""
    body = cast("CreateApplication", call.body)
    urn, identifier, new = await call.services.engine.applications.create(
        call.identity.project_id,
        body.platform,
        body.name,
        (body.platform_principal, body.platform_credential),
    )
    answer = {
        "request_id": call.request_id,
        "application_urn": urn,
        "application_id": identifier,
    }
    return Reply(answer, 201 if new else 200)


async def list_all(call: Call) -> dict[str, Any]:
    """Oldest first."""
    asked = cast("ListApplications", call.asked)
    found = await call.services.engine.applications.list(
        call.identity.project_id,
        prefix=asked.name,
        platform=asked.platform,
        marker=asked.marker,
        offset=asked.offset,
        limit=asked.limit,
    )
    return {
        "request_id": call.request_id,
        "application_count": found.total,
        "applications": [_item(application) for application in found.items],
    }


async def attributes(call: Call) -> dict[str, Any]:
    """What can be shown of one."""
    found = await call.services.engine.applications.get(
        call.identity.project_id, call.path["application_urn"]
    )
    return {
        "request_id": call.request_id,
        "application_id": found.id,
        "attributes": _attributes(found),
    }


async def update(call: Call) -> dict[str, Any]:
    """Authenticate anew."""
    body = cast("Secrets", call.body)
    await call.services.engine.applications.update(
        call.identity.project_id,
        call.path["application_urn"],
        (body.platform_principal, body.platform_credential),
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Delete with all endpoints."""
    await call.services.engine.applications.delete(
        call.identity.project_id, call.path["application_urn"]
    )
    return {"request_id": call.request_id}


def _item(application: Application) -> dict[str, Any]:
    return {
        "name": application.parts.name,
        "platform": application.parts.platform,
        "create_time": iso(application.created_ms),
        "application_urn": application.urn,
        "application_id": application.id,
        **_attributes(application),
    }


def _attributes(application: Application) -> dict[str, str]:
    """Of Apple's platforms also when the certificate expires, if it is one that can be read."""
    expires_ms = None
    if application.parts.platform in _APPLE:
        expires_ms = expiry_ms(application.principal)
    if expires_ms is None:
        return {"enabled": "true"}
    return {"enabled": "true", "apple_certificate_expiration_date": iso(expires_ms)}


ROUTES: Final = (
    Route(
        "CreateApplication",
        "POST",
        APPLICATIONS,
        create,
        body=CreateApplication,
        answer=ApplicationMade,
        errors=("SMN.0118", "SMN.0119", "SMN.0120", "SMN.0121"),
        action="smn:application:create",
        success=201,
        also=(200,),
    ),
    Route(
        "ListApplications",
        "GET",
        APPLICATIONS,
        list_all,
        query=ListApplications,
        answer=ApplicationList,
        action="smn:application:list",
    ),
    Route(
        "ListApplicationAttributes",
        "GET",
        APPLICATION,
        attributes,
        answer=ApplicationAttributes,
        errors=("SMN.0116", "SMN.0122", "SMN.0123"),
        action="smn:application:list",
    ),
    Route(
        "UpdateApplication",
        "PUT",
        APPLICATION,
        update,
        body=Secrets,
        answer=Requested,
        errors=("SMN.0116", "SMN.0118", "SMN.0119", "SMN.0120", "SMN.0122", "SMN.0123"),
        action="smn:application:update",
    ),
    Route(
        "DeleteApplication",
        "DELETE",
        APPLICATION,
        delete,
        answer=Requested,
        errors=("SMN.0116", "SMN.0122", "SMN.0123"),
        action="smn:application:delete",
    ),
)
