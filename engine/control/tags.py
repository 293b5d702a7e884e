"""Tags: on resources, of a project, and the query that finds resources by them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.control.topics import newest_first
from engine.errors import Refused
from engine.models import Listing
from engine.store.tag_records import Added

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.control.topics import Topics
    from engine.models import Topic, TopicCard
    from engine.policy.tag_query import TagQuery
    from engine.store.tag_records import TagRecords

TOPIC: Final = "smn_topic"
KINDS: Final = (TOPIC, "smn_sms", "smn_application")
"""Types of resources that tags can be asked for (SMN "Tags"); only topics carry any here."""

MAX_TAGS: Final = 20
MAX_KEY: Final = 128
MAX_VALUE: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A topic that a query has found, with its tags."""

    urn: str
    card: TopicCard
    tags: dict[str, str]


class Tags:
    """Tags of all resources; every method raises `Refused` with the contract's code.

    ``kind`` is the type of resource: SMN.0043 unless it is one of `KINDS`.
    """

    def __init__(self, topics: Topics, records: TagRecords) -> None:
        self._topics = topics
        self._records = records

    async def resource(self, project_id: str, kind: str, resource: str, *, by_name: bool) -> Topic:
        """The resource with this id or name; SMN.0006 if there is none."""
        found = None
        if is_topic(kind):
            find = self._topics.by_name if by_name else self._topics.by_id
            found = await find(project_id, resource)
        if found is None:
            raise Refused("SMN.0006")
        return found

    async def of(self, topics: Sequence[Topic]) -> list[dict[str, str]]:
        """The tags of topics, in the same order."""
        return await self._records.read(topics)

    async def add(
        self,
        topic: Topic,
        tags: Sequence[tuple[str, str]],
        *,
        create: bool = True,
        update: bool = True,
    ) -> None:
        """Add tags, or give those that are there a new value: all of them or none.

        Codes: SMN.0038 no or too many tags, a key twice or a bad one, a bad value;
        SMN.0006 topic; SMN.00308 a new key without ``create``, a new value without ``update``.
        """
        for key, value in tags:
            _check(key, value)
        given = dict(tags)
        if not given or len(given) != len(tags):
            raise Refused("SMN.0038", "There must be at least one tag, and no key twice.")
        added = await self._records.change(
            topic, add=given, limit=MAX_TAGS, create=create, update=update
        )
        if added is Added.TOPIC_GONE:
            raise Refused("SMN.0006")
        if added is Added.TOO_MANY:
            raise Refused("SMN.0038", f"A resource has at most {MAX_TAGS} tags.")
        if added is Added.NO_CREATION:
            raise Refused("SMN.00308", "smn:tag:create")
        if added is Added.NO_UPDATE:
            raise Refused("SMN.00308", "smn:tag:update")

    async def remove(self, topic: Topic, keys: Sequence[str]) -> None:
        """Remove tags; a key that is not there is ignored. Code: SMN.0038 an empty key or none."""
        if not keys or not all(keys):
            raise Refused("SMN.0038", "There must be at least one tag, and no empty key.")
        await self._records.change(topic, add={}, remove=dict.fromkeys(keys), limit=MAX_TAGS)

    async def remove_one(self, topic: Topic, key: str) -> None:
        """Remove a tag; SMN.0013 if it is not there."""
        (tags,) = await self.of([topic])
        if key not in tags:
            raise Refused("SMN.0013", "The resource has no tag with this key.")
        await self._records.change(topic, add={}, remove=[key], limit=MAX_TAGS)

    async def by_topic(self, project_id: str) -> dict[str, dict[str, str]]:
        """The tags of all of a project's topics that have some, by topic id."""
        return await self._records.of_project(project_id)

    async def of_project(
        self, project_id: str, kind: str, seen: Callable[[TopicCard], bool] | None = None
    ) -> dict[str, list[str]]:
        """All keys in use with all their values, on topics that may be ``seen``."""
        found: dict[str, set[str]] = {}
        if is_topic(kind):
            by_topic = await self._records.of_project(project_id)
            if seen is not None:
                cards = await self._topics.cards(project_id)
                shown = {card.id for card in cards if seen(card)}
                by_topic = {one: tags for one, tags in by_topic.items() if one in shown}
            for tags in by_topic.values():
                for key, value in tags.items():
                    found.setdefault(key, set()).add(value)
        return {key: sorted(found[key]) for key in sorted(found)}

    async def find(
        self,
        project_id: str,
        kind: str,
        query: TagQuery,
        *,
        seen: Callable[[TopicCard], bool] | None = None,
        offset: int = 0,
        limit: int = 0,
    ) -> Listing[Tagged]:
        """The window of all resources that the query finds, newest first, and their number.

        Only those that may be ``seen``, if that is told.
        """
        if not is_topic(kind):
            return Listing((), 0)
        cards, tags = await asyncio.gather(
            self._topics.cards(project_id), self._records.of_project(project_id)
        )
        none: dict[str, str] = {}
        found = [
            card
            for card in cards
            if query.finds(card.name, tags.get(card.id, none)) and (seen is None or seen(card))
        ]
        window = newest_first(found)[offset : offset + limit]
        return Listing(
            tuple(
                Tagged(str(self._topics.urn(project_id, card.name)), card, tags.get(card.id, none))
                for card in window
            ),
            len(found),
        )


def is_topic(kind: str) -> bool:
    """Whether resources of this type are topics; SMN.0043 if there is no such type."""
    if kind not in KINDS:
        raise Refused("SMN.0043", f"The type of resource is one of {', '.join(KINDS)}.")
    return kind == TOPIC


def _check(key: str, value: str) -> None:
    if not 0 < len(key) <= MAX_KEY or len(value) > MAX_VALUE or _CONTROL.search(key + value):
        raise Refused(
            "SMN.0038",
            f"A key has 1 to {MAX_KEY} characters, a value up to {MAX_VALUE}, none of them control"
            " characters.",
        )
