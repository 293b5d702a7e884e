"""What goes back: replies, failures and the shapes that failures take on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from pydantic_core import to_json

from engine.api.response import Response
from engine.errors import TocsinError

if TYPE_CHECKING:
    from engine.errors import Refused

REQUEST_ID: Final = "X-Request-Id"
_JSON: Final = "application/json"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Shape(Enum):
    """How a failure of a route looks (SMN API, "Error body")."""

    SMN = "smn"
    """``request_id`` and both pairs of code and message that clients look for."""
    MESSAGE = "message"
    """``{"message"}`` alone: the public confirmation endpoints."""
    KEYSTONE = "keystone"
    """``{"error": {"code", "message", "title"}}`` with the status: everything under ``/v3``."""
    IAM = "iam"
    """``{"error": {"code", "message"}}`` with the failure's code: what is under ``/v3.0``."""
    PAGE = "page"
    """A page for a person."""


class Reply(NamedTuple):
    """A success that is more than a body with its route's status.

    ``body`` is a JSON object, raw bytes with their ``content_type``, or None for no body.
    """

    body: dict[str, Any] | bytes | None
    status: int = 200
    content_type: str = _JSON
    headers: Mapping[str, str] = _NO_HEADERS


class Failure(TocsinError):
    """A failure as it will be shown: HTTP status, code and sentence.

    Raise it only for what `Refused` cannot say: answers outside the contract's catalogue.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @classmethod
    def of(cls, refused: Refused) -> Self:
        """The same as a failure to show."""
        return cls(refused.status, refused.code, refused.message, retry_after=refused.retry_after)


def request_failure(failure: Failure, shape: Shape, request_id: str) -> Response:
    """Render a failure in JSON; ``shape`` must not be a page's."""
    body: dict[str, Any]
    if shape is Shape.MESSAGE:
        body = {"message": failure.message}
    elif shape is Shape.KEYSTONE:
        title = HTTPStatus(failure.status).phrase
        body = {"error": {"code": failure.status, "message": failure.message, "title": title}}
    elif shape is Shape.IAM:
        body = {"error": {"code": failure.code, "message": failure.message}}
    else:
        body = {
            "request_id": request_id,
            "code": failure.code,
            "message": failure.message,
            "error_code": failure.code,
            "error_msg": failure.message,
        }
    return render(Reply(body, failure.status, headers=retry_header(failure)), request_id)


def retry_header(failure: Failure) -> dict[str, str]:
    """``Retry-After`` where the failure says how long."""
    return {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}


def render(reply: Reply, request_id: str) -> Response:
    """The response for a reply."""
    body = dump(reply.body) if isinstance(reply.body, dict) else reply.body
    headers = {REQUEST_ID: request_id, **reply.headers}
    if body is not None:
        headers["Content-Type"] = reply.content_type
    return Response(reply.status, headers, body)


def dump(body: dict[str, Any]) -> bytes:
    """Compact JSON."""
    return to_json(body)
