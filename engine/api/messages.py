"""Publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.api import bodies
from engine.errors import Refused

if TYPE_CHECKING:
    from engine.api.call import Call


async def publish(call: Call) -> dict[str, Any]:
    """Accept a message; answered as soon as it is stored."""
    body = cast("bodies.Publish", call.body)
    _refuse_unsupported(body)
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
    )
    return {"request_id": call.request_id, "message_id": message_id}


def _refuse_unsupported(body: bodies.Publish) -> None:
    """Refuse what would otherwise deliver something else than was asked for."""
    if body.message_structure is not None:
        raise Refused("SMN.0021", "message_structure is not supported yet: use message.")
    if body.message_template_name is not None:
        raise Refused("SMN.0076", "Templates are not supported yet: use message.")
    if body.message_attributes:
        raise Refused("SMN.0043", "message_attributes are not supported yet.")
