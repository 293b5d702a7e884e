"""URNs: ``urn:smn:{region}:{project_id}:{topic}`` and, for a subscription, ``:{32 hex}`` more.

Source: SMN API, "Conventions". The topic URN is everything before a subscription URN's last
colon; clients rely on that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from engine.errors import Refused

TOPIC_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
TOPIC_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", re.ASCII)
_TOPIC = re.compile(
    r"urn:smn:([a-z0-9-]{1,63}):([0-9a-f]{32}):([A-Za-z0-9][A-Za-z0-9_-]{0,254})", re.ASCII
)
_SUBSCRIPTION_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class TopicUrn(NamedTuple):
    """The parts of a topic URN; ``str()`` gives the URN back."""

    region: str
    project_id: str
    name: str

    def __str__(self) -> str:
        return f"urn:smn:{self.region}:{self.project_id}:{self.name}"


class SubscriptionUrn(NamedTuple):
    """The parts of a subscription URN; ``str()`` gives the URN back."""

    topic: TopicUrn
    id: str

    def __str__(self) -> str:
        return f"{self.topic}:{self.id}"


def parse_topic(text: str) -> TopicUrn:
    """Raises `Refused` ``SMN.0005`` for anything but a topic URN."""
    found = _TOPIC.fullmatch(text)
    if found is None:
        raise Refused("SMN.0005")
    return TopicUrn(*found.groups())


def parse_subscription(text: str) -> SubscriptionUrn:
    """Raises `Refused` ``SMN.0014`` for anything but a subscription URN."""
    topic, _, identifier = text.rpartition(":")
    found = _TOPIC.fullmatch(topic)
    if found is None or _SUBSCRIPTION_ID.fullmatch(identifier) is None:
        raise Refused("SMN.0014")
    return SubscriptionUrn(TopicUrn(*found.groups()), identifier)
