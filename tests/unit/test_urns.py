"""URNs as the contract writes them."""

from __future__ import annotations

import pytest

from engine.errors import Refused
from engine.urns import SubscriptionUrn, TopicUrn, parse_subscription, parse_topic

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
