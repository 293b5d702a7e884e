"""Topic attributes: the access policy and the introduction, kept byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.policy import access_policy, texts
from engine.urns import parse_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.control.topics import Topics
    from engine.models import Attribute, Topic
    from engine.store.attribute_records import AttributeRecords
    from engine.store.topic_records import TopicRecords

ACCESS_POLICY: Final = "access_policy"
INTRODUCTION: Final = "introduction"
NAMES: Final = (ACCESS_POLICY, INTRODUCTION)
MAX_INTRODUCTION_BYTES: Final = 120


class Attributes:
    """Attributes of all topics; every method raises `Refused` with the contract's code."""

    def __init__(
        self, topics: Topics, topic_records: TopicRecords, records: AttributeRecords
    ) -> None:
        self._topics = topics
        self._topic_records = topic_records
        self._records = records

    async def access_policy(self, topic_urn: str) -> str:
        """The topic's access policy, '' if it has none or there is no such topic.

        Whoever is not permitted must not learn whether a topic exists. Code: SMN.0005.
        """
        topic_id = await self._topic_records.find(parse_topic(topic_urn))
        if topic_id is None:
            return ""
        (policy,) = await self._records.read([topic_id], ACCESS_POLICY)
        return policy.text

    async def get(self, topic_urn: str, name: str | None = None) -> dict[str, Attribute]:
        """One attribute or all of them by name, also those that are unset.

        Codes: SMN.0005/0006 topic, SMN.0046 name.
        """
        names = NAMES if name is None else (_known(name),)
        topic = await self._topics.get(topic_urn)
        return {one: (await self._records.read([topic.id], one))[0] for one in names}

    async def policies(self, topics: Sequence[Topic]) -> list[Attribute]:
        """The access policies of topics, in the same order."""
        return await self._records.read([topic.id for topic in topics], ACCESS_POLICY)

    async def set(self, topic_urn: str, name: str, text: str | None) -> None:
        """Set an attribute, '' clears it; None stands for what is no text.

        Codes: SMN.0005/0006 topic, SMN.0046 name or what is no text, SMN.0047 too long,
        SMN.0048 to SMN.0058 access policy.
        """
        if _known(name) == ACCESS_POLICY:
            if text is None:
                raise Refused("SMN.0048", "value must be a text.")
            if text:
                access_policy.check(text, topic_urn)
        elif text is None:
            raise Refused("SMN.0046", "value must be a text.")
        elif not 0 <= texts.size(text) <= MAX_INTRODUCTION_BYTES:
            raise Refused(
                "SMN.0047", f"An introduction has at most {MAX_INTRODUCTION_BYTES} bytes."
            )
        await self._write(topic_urn, {name: text})

    async def clear(self, topic_urn: str, name: str | None = None) -> None:
        """Clear one attribute or all; codes as `get`."""
        names = NAMES if name is None else (_known(name),)
        await self._write(topic_urn, dict.fromkeys(names, ""))

    async def _write(self, topic_urn: str, values: dict[str, str]) -> None:
        topic = await self._topics.get(topic_urn)
        if not await self._records.write(topic.id, values):
            raise Refused("SMN.0006")


def _known(name: str) -> str:
    if name not in NAMES:
        raise Refused("SMN.0046", f"There are {' and '.join(NAMES)}.")
    return name
