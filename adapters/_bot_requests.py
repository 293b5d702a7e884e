"""How bots are spoken to: JSON by POST, one request a part of a message."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models import Delivered, Outcome, Retry
from engine.ports import Answer, TransportError

if TYPE_CHECKING:
    from engine.ports import Gateway

JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json; charset=utf-8"}


def wire(body: object) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def ask(
    gateway: Gateway, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Answer | Outcome:
    """POST to a platform's API; what the lack of an answer means for a message."""
    try:
        return await gateway.request("POST", url, {**JSON_HEADERS, **(headers or {})}, wire(body))
    except TransportError as error:
        return error.outcome


async def in_order(calls: Iterable[Callable[[], Awaitable[Outcome]]]) -> Outcome:
    """Send the parts of a message; ends with the first that does not get through.

    A part that failed when others had been sent is tried a second time at once, because another
    attempt begins with the first part again.
    """
    outcome: Outcome = Delivered()
    spare = False
    for call in calls:
        outcome = await call()
        if spare and isinstance(outcome, Retry):
            spare = False
            outcome = await call()
        elif isinstance(outcome, Delivered):
            spare = True
        if not isinstance(outcome, Delivered):
            break
    return outcome
