"""Publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Requested
from engine.api.routes import TOPIC, Route
from engine.errors import Refused

if TYPE_CHECKING:
    from engine.api.call import Call


class Publish(Body):
    """A message for the subscribers of a topic; ``time_to_live`` is in seconds.

    ``message_structure`` goes before ``message_template_name``, and that before ``message``.
    What only one of them has, and attributes, the engine checks: most messages have none.
    """

    subject: Annotated[Line | None, Code("SMN.0008")] = None
    message: Annotated[str | None, Code("SMN.0009")] = None
    message_structure: Annotated[str | None, Code("SMN.0021")] = None
    message_template_name: Annotated[str | None, Code("SMN.0042")] = None
    tags: Annotated[Any, Code("SMN.0038")] = None
    time_to_live: Annotated[
        int | Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None, Code("APIGW.0201")
    ] = None
    message_attributes: Annotated[list[Any] | None, Code("SMN.0043")] = None
    locale: Annotated[Annotated[Line, Field(max_length=32)] | None, Code("APIGW.0201")] = None


class Published(Requested):
    """The message is stored, and its delivery begins."""

    message_id: str


async def publish(call: Call) -> dict[str, Any]:
    """Accept a message; answered as soon as it is stored."""
    body = cast("Publish", call.body)
    keys = call.headers("idempotency-key")
    if len(keys) > 1:
        raise Refused("TOCSIN.0003")
    message_id = await call.services.engine.publish(
        call.path["topic_urn"],
        body.message or "",
        subject=body.subject,
        ttl=None if body.time_to_live is None else int(body.time_to_live),
        idempotency_key=keys[0] if keys else None,
        request_hash=call.content.digest() if keys else None,
        **_rarer(call, body),
    )
    return {"request_id": call.request_id, "message_id": message_id}


def _rarer(call: Call, body: Publish) -> dict[str, Any]:
    """What most messages do not say."""
    given: dict[str, Any] = {}
    if body.message_structure is not None:
        given["structure"] = body.message_structure
    elif body.message_template_name is not None:
        given["template"] = body.message_template_name
        given["tags"] = body.tags
        given["project_id"] = call.identity.project_id
    if body.message_attributes:
        given["attributes"] = body.message_attributes
    if body.locale:
        given["locale"] = body.locale
    return given


ROUTES: Final = (
    Route(
        "PublishMessage",
        "POST",
        f"{TOPIC}/publish",
        publish,
        body=Publish,
        answer=Published,
        errors=("SMN.0006", "SMN.0076", "APIGW.0308", "TOCSIN.0001", "TOCSIN.0003"),
        headers=(("Idempotency-Key", "The same key and body again answer the same message id."),),
        action="smn:topic:publish",
        topic_action="SMN:Publish",
    ),
)
