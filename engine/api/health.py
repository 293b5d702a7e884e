"""Liveness and readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api.answers import Reply

if TYPE_CHECKING:
    from engine.api.call import Call


async def alive(call: Call) -> dict[str, Any]:
    """The process answers."""
    return {"request_id": call.request_id, "status": "ok"}


async def ready(call: Call) -> Reply:
    """Whether requests would be served; 503 with the reason if not."""
    reason = "draining" if call.services.draining else await call.services.engine.health()
    if reason:
        answer = {"request_id": call.request_id, "status": "unready", "reason": reason}
        return Reply(answer, 503)
    return Reply({"request_id": call.request_id, "status": "ready"})
