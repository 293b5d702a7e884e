"""Liveness and readiness."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine.api.answers import Reply
from engine.api.bodies import Requested
from engine.api.routes import Auth, Route

if TYPE_CHECKING:
    from engine.api.call import Call


class Health(Requested):
    """``ok``, ``ready`` or ``unready`` with the reason."""

    status: str
    reason: str | None = None


async def alive(call: Call) -> dict[str, Any]:
    """The process answers."""
    return {"request_id": call.request_id, "status": "ok"}


async def ready(call: Call) -> Reply:
    """Whether requests would be served; 503 with the reason if not."""
    reason = "draining" if call.services.draining.is_set() else await call.services.engine.health()
    if reason:
        answer = {"request_id": call.request_id, "status": "unready", "reason": reason}
        return Reply(answer, 503)
    return Reply({"request_id": call.request_id, "status": "ready"})


_probe = partial(Route, method="GET", answer=Health, auth=Auth.NONE, quiet=True)

ROUTES: Final = (
    _probe("CheckAlive", path="/healthz", handler=alive),
    _probe("CheckReady", path="/readyz", handler=ready, also=(503,)),
)
