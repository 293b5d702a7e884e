"""URNs as the contract writes them."""

from __future__ import annotations

import pytest

from engine.errors import Refused
from engine.urns import (
    SubscriptionUrn,
    TopicUrn,
    parse_application,
    parse_endpoint,
    parse_subscription,
    parse_topic,
)

PROJECT = "0123456789abcdef" * 2
ID = "fedcba9876543210" * 2
TOPIC = f"urn:smn:region01:{PROJECT}:Alarms_of-day-1"


def test_a_topic_urn_has_its_parts() -> None:
    """Region, project and name; as text it is the same again."""
    assert parse_topic(TOPIC) == TopicUrn("region01", PROJECT, "Alarms_of-day-1")
    assert str(parse_topic(TOPIC)) == TOPIC


def test_a_subscription_urn_is_its_topics_and_an_id() -> None:
    """All before the last colon is the topic's URN."""
    parsed = parse_subscription(f"{TOPIC}:{ID}")
    assert parsed == SubscriptionUrn(parse_topic(TOPIC), ID)
    assert str(parsed) == f"{TOPIC}:{ID}"


BAD_TOPICS = [
    "",
    "alarms",
    f"urn:smn:region01:{PROJECT}",
    f"urn:smn:region01:{PROJECT}:",
    f"urn:smn::{PROJECT}:a",
    f"urn:smn:Region01:{PROJECT}:a",
    f"urn:sns:region01:{PROJECT}:a",
    f"URN:smn:region01:{PROJECT}:a",
    f"urn:smn:region01:{PROJECT.upper()}:a",
    f"urn:smn:region01:{PROJECT[1:]}:a",
    f"urn:smn:region01:{PROJECT}:-a",
    f"urn:smn:region01:{PROJECT}:a b",
    f"urn:smn:region01:{PROJECT}:a\n",
    f" urn:smn:region01:{PROJECT}:a",
    f"urn:smn:region01:{PROJECT}:ä",
    f"urn:smn:region01:{PROJECT}:" + "a" * 256,
]


@pytest.mark.parametrize("text", [*BAD_TOPICS, f"{TOPIC}:{ID}"])
def test_what_is_no_topic_urn_is_refused(text: str) -> None:
    """SMN.0005, also for a subscription's URN."""
    with pytest.raises(Refused, match=r"SMN\.0005"):
        parse_topic(text)


@pytest.mark.parametrize(
    "text",
    [f"{topic}:{ID}" for topic in BAD_TOPICS]
    + [TOPIC, f"{TOPIC}:", f"{TOPIC}:{ID[1:]}", f"{TOPIC}:{ID.upper()}", f"{TOPIC}:{ID}\n"],
)
def test_what_is_no_subscription_urn_is_refused(text: str) -> None:
    """SMN.0014, also for a topic's URN."""
    with pytest.raises(Refused, match=r"SMN\.0014"):
        parse_subscription(text)


APPLICATION = f"urn:smn:region01:{'a' * 32}:application:HMS:my_shop"
ENDPOINT = f"urn:smn:region01:{'a' * 32}:endpoint:HMS:my_shop:{'b' * 32}"


def test_the_urns_of_applications_are_read_and_written() -> None:
    """The parts give the text back, and an endpoint names its application."""
    application = parse_application(APPLICATION)
    assert (application.platform, application.name) == ("HMS", "my_shop")
    assert str(application) == APPLICATION
    endpoint = parse_endpoint(ENDPOINT)
    assert (endpoint.application, endpoint.id) == (application, "b" * 32)
    assert str(endpoint) == ENDPOINT


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", APPLICATION + ":x", APPLICATION[:-8], APPLICATION + "\n", APPLICATION + "-"),
        *(APPLICATION.replace("HMS", "hms"), APPLICATION.replace("aaa", "AAA"), "a:" * 9),
        APPLICATION + "y" * 64,
    ],
)
def test_other_texts_are_no_urns_of_applications(text: str) -> None:
    """Nor of endpoints."""
    with pytest.raises(Refused, match=r"SMN\.0123"):
        parse_application(text)
    with pytest.raises(Refused, match=r"SMN\.0134"):
        parse_endpoint(f"{text.replace(':application:', ':endpoint:')}:{'b' * 32}")


def test_an_application_is_no_endpoint_and_the_reverse() -> None:
    """Each has its own code."""
    with pytest.raises(Refused, match=r"SMN\.0123"):
        parse_application(ENDPOINT.rpartition(":")[0])
    with pytest.raises(Refused, match=r"SMN\.0134"):
        parse_endpoint(f"{APPLICATION}:{'b' * 32}")
    with pytest.raises(Refused, match=r"SMN\.0134"):
        parse_endpoint(ENDPOINT[:-1])
