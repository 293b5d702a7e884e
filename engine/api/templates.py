"""Message templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Requested, Shown
from engine.api.paging import Paged, iso
from engine.api.routes import PROJECT, Route, Trace

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.store.templates import Template

_TEMPLATES: Final = f"{PROJECT}/message_template"
_TEMPLATE: Final = f"{_TEMPLATES}/{{message_template_id}}"
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class CreateTemplate(Body):
    """A template to make; without a protocol it is the name's ``default``."""

    message_template_name: Annotated[Line, Code("SMN.0032")]
    protocol: Annotated[Line | None, Code("SMN.0011")] = None
    content: Annotated[str, Code("SMN.0024")]


class UpdateTemplate(Body):
    """What changes: name and protocol never do."""

    content: Annotated[str, Code("SMN.0024")]


class ListTemplates(Paged):
    """Filters, which combine; both are exact."""

    message_template_name: Annotated[
        Annotated[str, Field(pattern=_NAME)] | None, Code("SMN.0032")
    ] = None
    protocol: str | None = None


class TemplateMade(Requested):
    """Which template it is."""

    message_template_id: str


class TemplateItem(Shown):
    """A template in a list; ``tag_names`` are its variables in order of appearance."""

    message_template_id: str
    message_template_name: str
    protocol: str
    tag_names: list[str]
    create_time: str
    update_time: str


class TemplateDetails(Requested, TemplateItem):
    """A template."""

    content: str


class TemplateList(Requested):
    """Templates, oldest first, and the number of all that match."""

    message_template_count: int
    message_templates: list[TemplateItem]


async def create(call: Call) -> dict[str, Any]:
    """Make one; the same name and protocol is refused, not found."""
    body = cast("CreateTemplate", call.body)
    identifier = await call.services.engine.templates.create(
        call.identity.project_id,
        body.message_template_name,
        "default" if body.protocol is None else body.protocol,
        body.content,
    )
    return {"request_id": call.request_id, "message_template_id": identifier}


async def list_all(call: Call) -> dict[str, Any]:
    """Oldest first, without contents."""
    asked = cast("ListTemplates", call.asked)
    found = await call.services.engine.templates.list(
        call.identity.project_id,
        name=asked.message_template_name,
        protocol=asked.protocol,
        marker=asked.marker,
        offset=asked.offset,
        limit=asked.limit,
    )
    return {
        "request_id": call.request_id,
        "message_template_count": found.total,
        "message_templates": [_item(template) for template in found.items],
    }


async def details(call: Call) -> dict[str, Any]:
    """One template with its content."""
    template, content = await call.services.engine.templates.get(
        call.identity.project_id, call.path["message_template_id"]
    )
    return {"request_id": call.request_id, **_item(template), "content": content}


async def update(call: Call) -> dict[str, Any]:
    """Replace the content."""
    body = cast("UpdateTemplate", call.body)
    await call.services.engine.templates.update(
        call.identity.project_id, call.path["message_template_id"], body.content
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Delete; messages that were accepted with it stay as they are."""
    await call.services.engine.templates.delete(
        call.identity.project_id, call.path["message_template_id"]
    )
    return {"request_id": call.request_id}


def _item(template: Template) -> dict[str, Any]:
    return {
        "message_template_id": template.id,
        "message_template_name": template.name,
        "protocol": template.protocol,
        "tag_names": list(template.tag_names),
        "create_time": iso(template.created_ms),
        "update_time": iso(template.updated_ms),
    }


ROUTES: Final = (
    Route(
        "CreateMessageTemplate",
        "POST",
        _TEMPLATES,
        create,
        body=CreateTemplate,
        answer=TemplateMade,
        errors=("SMN.0025", "SMN.0044", "SMN.0075"),
        action="smn:template:create",
        trace=Trace("createMessageTemplate", "message_template"),
        success=201,
    ),
    Route(
        "ListMessageTemplates",
        "GET",
        _TEMPLATES,
        list_all,
        query=ListTemplates,
        answer=TemplateList,
        action="smn:template:list",
        trace=Trace("listMessageTemplates", "message_template"),
    ),
    Route(
        "ListMessageTemplateDetails",
        "GET",
        _TEMPLATE,
        details,
        answer=TemplateDetails,
        errors=("SMN.0027", "SMN.0031"),
        action="smn:template:list",
        trace=Trace("listMessageTemplateDetails", "message_template"),
    ),
    Route(
        "UpdateMessageTemplate",
        "PUT",
        _TEMPLATE,
        update,
        body=UpdateTemplate,
        answer=Requested,
        errors=("SMN.0027", "SMN.0031", "SMN.0075"),
        action="smn:template:update",
        trace=Trace("updateMessageTemplate", "message_template"),
    ),
    Route(
        "DeleteMessageTemplate",
        "DELETE",
        _TEMPLATE,
        delete,
        answer=Requested,
        errors=("SMN.0027", "SMN.0031"),
        action="smn:template:delete",
        trace=Trace("deleteMessageTemplate", "message_template"),
    ),
)
