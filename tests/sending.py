"""What tests of adapters send, and to whom."""

from __future__ import annotations

from typing import Any, Final

from engine.models import Status, Subscription
from engine.testing import stage

LINK: Final = stage.LINK
TOPIC_URN: Final = stage.TOPIC_URN
MESSAGE: Final = stage.MESSAGE._replace(link=None)
"""A notification of the topic `orders`."""


def subscription(protocol: str, endpoint: str, **extension: Any) -> Subscription:
    """A confirmed one, whatever the contract says of its endpoint."""
    return Subscription(
        id="b" * 32,
        topic_id="a" * 32,
        topic_urn=TOPIC_URN,
        protocol=protocol,
        endpoint=endpoint,
        status=Status.CONFIRMED,
        page=0,
        seat=0,
        extension=extension,
    )
