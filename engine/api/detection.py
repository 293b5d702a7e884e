"""HTTP detection: whether an endpoint is available."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Requested, Short, Shown
from engine.api.routes import TOPIC, Route

if TYPE_CHECKING:
    from engine.api.call import Call

_DETECTION: Final = f"{TOPIC}/detection"
_USABLE, _PENDING, _UNUSABLE = 0, 1, 2


class ProbeExtension(Body):
    """Headers to send along, by the rules of subscriptions."""

    header: dict[Short, Short] | None = None


class Detect(Body):
    """An endpoint to probe."""

    protocol: Annotated[Line, Code("SMN.0011")]
    endpoint: Annotated[Annotated[Line, Field(max_length=2048)], Code("SMN.0012")]
    extension: Annotated[ProbeExtension | None, Code("SMN.0043")] = None


class Detecting(Requested):
    """The probe is on its way."""

    task_id: str


class Detail(Shown):
    """What the endpoint answered: its status, or 0 parked, -1 no answer, -2 nothing was sent."""

    httpCode: int  # noqa: N815 - the contract's name
    httpResponse: str  # noqa: N815 - as above


class Detected(Requested):
    """``status`` is 0 for a usable endpoint, 1 as long as it is not known, 2 for another."""

    status: int
    detail: Detail | None


async def start(call: Call) -> dict[str, Any]:
    """Send a probe; a worker does."""
    body = cast("Detect", call.body)
    header = body.extension.header if body.extension else None
    task_id = await call.services.engine.detection.start(
        call.path["topic_urn"],
        body.protocol,
        body.endpoint,
        {} if header is None else {"header": header},
    )
    return {"request_id": call.request_id, "task_id": task_id}


async def result(call: Call) -> dict[str, Any]:
    """What it has found so far."""
    found = await call.services.engine.detection.result(
        call.path["topic_urn"], call.path["task_id"]
    )
    if found is None:
        return {"request_id": call.request_id, "status": _PENDING, "detail": None}
    return {
        "request_id": call.request_id,
        "status": _USABLE if found.usable else _UNUSABLE,
        "detail": {"httpCode": found.code, "httpResponse": found.text},
    }


ROUTES: Final = (
    Route(
        "PublishHttpDetect",
        "POST",
        _DETECTION,
        start,
        body=Detect,
        answer=Detecting,
        errors=("SMN.0006", "SMN.0069", "APIGW.0308"),
        action="smn:topic:publish",
    ),
    # Nobody needs a permission for the result (SMN "Permissions and Supported Actions").
    Route(
        "ShowHttpDetectResult",
        "GET",
        f"{_DETECTION}/{{task_id}}",
        result,
        answer=Detected,
        errors=("SMN.0006", "SMN.00013030"),
    ),
)
