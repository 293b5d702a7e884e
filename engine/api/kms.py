"""The key that a topic's content is encrypted with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import AfterValidator, Field

from engine.api.bodies import Body, Code, Requested
from engine.api.routes import TOPIC, Route

if TYPE_CHECKING:
    from engine.api.call import Call

_KMS: Final = f"{TOPIC}/kms"
_UUID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

KeyId = Annotated[str, Field(pattern=_UUID), AfterValidator(str.lower)]


class BindKey(Body):
    """A key of the ring, by its id."""

    key_id: Annotated[KeyId, Code("APIGW.0201")]


class KeyBound(Requested):
    """Which binding it is."""

    id: str


class KeyShown(Requested):
    """The binding and what state its key is in."""

    id: str
    key_id: str
    status: str


async def create(call: Call) -> dict[str, Any]:
    """Encrypt with this key from now on; one a topic."""
    body = cast("BindKey", call.body)
    bound = await call.services.engine.kms.bind(call.path["topic_urn"], body.key_id)
    return {"request_id": call.request_id, "id": bound.id}


async def show(call: Call) -> dict[str, Any]:
    """The binding; 404 SMN.0045 without one."""
    bound, state = await call.services.engine.kms.show(call.path["topic_urn"])
    return {
        "request_id": call.request_id,
        "id": bound.id,
        "key_id": bound.key_id,
        "status": state,
    }


async def update(call: Call) -> dict[str, Any]:
    """Encrypt with another key from now on."""
    body = cast("BindKey", call.body)
    bound = await call.services.engine.kms.rebind(
        call.path["topic_urn"], call.path["id"], body.key_id
    )
    return {"request_id": call.request_id, "id": bound.id}


async def delete(call: Call) -> dict[str, Any]:
    """Encrypt no more from now on."""
    await call.services.engine.kms.unbind(call.path["topic_urn"], call.path["id"])
    return {"request_id": call.request_id}


ROUTES: Final = (
    Route(
        "CreateKmsKey",
        "POST",
        _KMS,
        create,
        body=BindKey,
        answer=KeyBound,
        errors=("SMN.0006",),
        action="smn:topic:createKmsKey",
        success=201,
    ),
    Route(
        "ShowKmsKey",
        "GET",
        _KMS,
        show,
        answer=KeyShown,
        errors=("SMN.0006", "SMN.0045"),
        action="smn:topic:getKmsKey",
    ),
    Route(
        "UpdateKmsKey",
        "PUT",
        f"{_KMS}/{{id}}",
        update,
        body=BindKey,
        answer=KeyBound,
        errors=("SMN.0006", "SMN.0045"),
        action="smn:topic:updateKmsKey",
    ),
    Route(
        "DeleteKmsKey",
        "DELETE",
        f"{_KMS}/{{id}}",
        delete,
        answer=Requested,
        errors=("SMN.0006", "SMN.0045"),
        action="smn:topic:deleteKmsKey",
    ),
)
