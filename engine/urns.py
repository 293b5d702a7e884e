"""URNs: ``urn:smn:{region}:{project_id}:{topic}`` and, for a subscription, ``:{32 hex}`` more.

Source: SMN API, "Conventions". The topic URN is everything before a subscription URN's last
colon; clients rely on that. Those of applications and their endpoints are
``urn:smn:{region}:{project_id}:application:{platform}:{name}`` and ``…:endpoint:…:{32 hex}``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from engine.errors import Refused

TOPIC_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
TOPIC_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", re.ASCII)
_TOPIC = re.compile(
    r"urn:smn:([a-z0-9-]{1,63}):([0-9a-f]{32}):([A-Za-z0-9][A-Za-z0-9_-]{0,254})", re.ASCII
)
_APPLICATION = re.compile(
    r"urn:smn:([a-z0-9-]{1,63}):([0-9a-f]{32}):(application|endpoint)"
    r":([A-Z_]{1,32}):([A-Za-z0-9_]{1,64})",
    re.ASCII,
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


@lru_cache(maxsize=1024)  # publishers name the same topics again and again
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


class ApplicationUrn(NamedTuple):
    """The parts of an application's URN; ``str()`` gives the URN back."""

    region: str
    project_id: str
    platform: str
    name: str

    def __str__(self) -> str:
        return f"urn:smn:{self.region}:{self.project_id}:application:{self.platform}:{self.name}"


class EndpointUrn(NamedTuple):
    """The parts of the URN of an application's endpoint; ``str()`` gives the URN back."""

    application: ApplicationUrn
    id: str

    def __str__(self) -> str:
        region, project_id, platform, name = self.application
        return f"urn:smn:{region}:{project_id}:endpoint:{platform}:{name}:{self.id}"


def parse_application(text: str) -> ApplicationUrn:
    """Raises `Refused` ``SMN.0123`` for anything but an application URN."""
    found = _APPLICATION.fullmatch(text)
    if found is None or found[3] != "application":
        raise Refused("SMN.0123")
    return ApplicationUrn(found[1], found[2], found[4], found[5])


def parse_endpoint(text: str) -> EndpointUrn:
    """Raises `Refused` ``SMN.0134`` for anything but the URN of an application's endpoint."""
    rest, _, identifier = text.rpartition(":")
    found = _APPLICATION.fullmatch(rest)
    if found is None or found[3] != "endpoint" or _SUBSCRIPTION_ID.fullmatch(identifier) is None:
        raise Refused("SMN.0134")
    return EndpointUrn(ApplicationUrn(found[1], found[2], found[4], found[5]), identifier)
