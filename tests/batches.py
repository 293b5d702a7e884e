"""What batches in memory are made of: one message for one page, as a worker holds them."""

from __future__ import annotations

from typing import Any, Final

from engine.models import Kind, Message
from engine.pipeline.batch import Taken
from engine.pipeline.pages import EndpointState, Entry
from engine.store.ledger import Row
from engine.store.messages import Reference
from engine.testing import RecordingAdapter

MESSAGE: Final = Message(
    id="1" * 32,
    topic_id="2" * 32,
    topic_urn="urn:smn:region01:p:t",
    project_id="p",
    kind=Kind.NOTIFICATION,
    content={"default": "hello"},
    created_ms=1_000,
    deadline_ms=9_000,
)


def entry(
    identifier: str, shown: str = "http://e/", *, first: int = 1, confirmed: bool = True
) -> Entry:
    """A seat of a page, at an endpoint of its own that nothing is known of."""
    return Entry(identifier, first, confirmed, None, shown, EndpointState(shown, shown))


def claimed(protocol: str) -> dict[str, Any]:
    """What a batch of page 7 begins with that has been claimed, and not loaded yet."""
    return {
        "shard": 0,
        "taken": Taken(protocol, b"1-0", b""),
        "reference": Reference(MESSAGE.id, MESSAGE.topic_id, 7),
        "claims": 1,
        "row": Row(),
        "adapter": RecordingAdapter(protocol),
        "now": 0.0,
        "lease_until": 30.0,
    }
