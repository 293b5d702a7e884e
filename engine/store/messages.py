"""How a message is kept: one JSON array, written at acceptance and never changed.

The array of a topic with a key is encrypted as a whole: see `engine.sealing`.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from pydantic_core import to_json

from engine.errors import StoreError
from engine.models import Kind, Message

_VERSION = 1


class Reference(NamedTuple):
    """What a lane entry or a due time says: a message, a page of a topic, or one seat of it.

    ``seat`` and ``subscription_id`` are set for addressed messages only; an inline recipient
    has the page `INLINE`.
    """

    message_id: str
    topic_id: str
    page: int
    seat: int | None = None
    subscription_id: str = ""

    def encode(self) -> str:
        """``message:topic:page`` or ``message:topic:page:seat:subscription``; ≤ 110 bytes."""
        text = f"{self.message_id}:{self.topic_id}:{self.page}"
        if self.seat is None:
            return text
        return f"{text}:{self.seat}:{self.subscription_id}"

    @classmethod
    def decode(cls, text: bytes) -> Reference:
        """Raises `StoreError` for anything that `encode` did not write."""
        try:
            parts = text.decode().split(":")
            if len(parts) == 3:
                return cls(parts[0], parts[1], int(parts[2]))
            message_id, topic_id, page, seat, subscription_id = parts
            return cls(message_id, topic_id, int(page), int(seat), subscription_id)
        except ValueError as error:
            raise StoreError(f"a lane entry is unreadable: {text[:80]!r}") from error


def context(topic_id: str, message_id: str) -> str:
    """What a message's encrypted content belongs to."""
    return f"message:{topic_id}:{message_id}"


def encode(message: Message) -> bytes:
    """The message as Redis keeps it; its id and topic id are in the key and the reference."""
    return to_json(
        [
            _VERSION,
            message.kind.value,  # its own type costs JSON as much as all else
            message.topic_urn,
            message.project_id,
            message.created_ms,
            message.deadline_ms,
            message.subject,
            message.content,
            message.attributes,
            message.link,
            message.locale,
            message.topic_name,
            message.display_name,
            *_filled(message.recipient, message.code),
        ]
    )


def decode(message_id: str, topic_id: str, stored: bytes) -> Message:
    """Read a stored message; raises `StoreError` if it is of another version."""
    version, *values = json.loads(stored)
    if version != _VERSION:
        raise StoreError(f"message {message_id} has version {version}")
    (
        kind,
        urn,
        project,
        created,
        deadline,
        subject,
        content,
        attributes,
        link,
        locale,
        name,
        shown,
        *rest,
    ) = values
    recipient, code = (*rest, None, None)[:2]
    return Message(
        id=message_id,
        topic_id=topic_id,
        topic_urn=urn,
        project_id=project,
        kind=Kind(kind),
        content=content,
        created_ms=created,
        deadline_ms=deadline,
        subject=subject,
        attributes=tuple(attributes),
        link=link,
        locale=locale,
        topic_name=name,
        display_name=shown,
        recipient=recipient,
        code=code,
    )


def _filled(*values: str | None) -> tuple[str | None, ...]:
    """The values up to the last that there is: most messages have none of them."""
    while values and values[-1] is None:
        values = values[:-1]
    return values
