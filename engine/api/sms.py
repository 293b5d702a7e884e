"""The legacy direct SMS call; the official SDK has none for it any more, other clients do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Requested
from engine.api.routes import PROJECT, Route

if TYPE_CHECKING:
    from engine.api.call import Call


class SendSms(Body):
    """A text for a number; older clients also name a signature, which nothing here has."""

    endpoint: Annotated[Annotated[Line, Field(max_length=64)], Code("SMN.0012")]
    message: Annotated[str, Code("SMN.0009")]


class Sent(Requested):
    """The text is stored, and its delivery begins."""

    message_id: str


async def send(call: Call) -> dict[str, Any]:
    """Accept a text; answered as soon as it is stored."""
    body = cast("SendSms", call.body)
    message_id = await call.services.engine.sms.send(
        call.identity.project_id, body.endpoint, body.message
    )
    return {"request_id": call.request_id, "message_id": message_id}


ROUTES: Final = (
    Route(
        "SendSms",
        "POST",
        f"{PROJECT}/sms",
        send,
        body=SendSms,
        answer=Sent,
        errors=("SMN.0011", "APIGW.0308"),
        action="smn:sms:publish",
    ),
)
