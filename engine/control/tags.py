"""Tags: on resources, of a project, and the query that finds resources by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.control.topics import newest_first
from engine.errors import Refused
from engine.models import Listing, Topic
from engine.policy.texts import is_line
from engine.store.tag_records import Added

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.control.applications import Applications
    from engine.control.topics import Topics
    from engine.policy.tag_query import TagQuery
    from engine.store.tag_records import TagRecords

TOPIC: Final = "smn_topic"
APPLICATION: Final = "smn_application"
KINDS: Final = (TOPIC, "smn_sms", APPLICATION)
"""Types of resources that tags can be asked for (SMN "Tags"); of ``smn_sms`` there are none."""

MAX_TAGS: Final = 20
MAX_KEY: Final = 128
MAX_VALUE: Final = 256


Seen = Callable[[Topic], bool]
"""Whether somebody may see a resource."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A resource that a query has found, with its tags. Only a topic has a URN here."""

    urn: str
    topic: Topic
    tags: dict[str, str]


class Tags:
    """Tags of all resources; every method raises `Refused` with the contract's code.

    ``kind`` is the type of resource: SMN.0043 unless it is one of `KINDS`.
    """

    def __init__(
        self,
        topics: Topics,
        applications: Applications,
        of_topics: TagRecords,
        of_applications: TagRecords,
    ) -> None:
        self._topics = topics
        self._applications = applications
        self._records = {TOPIC: of_topics, APPLICATION: of_applications}

    async def resource(self, project_id: str, kind: str, resource: str, *, by_name: bool) -> Topic:
        """The resource with this id or name, an application's home; SMN.0006 if there is none.

        A name that applications of several platforms have is none of theirs.
        """
        check_kind(kind)
        found = None
        if kind == TOPIC:
            find = self._topics.by_name if by_name else self._topics.by_id
            found = await find(project_id, resource)
        elif kind == APPLICATION:
            found = await self._application(project_id, resource, by_name=by_name)
        if found is None:
            raise Refused("SMN.0006")
        return found

    async def of(self, topics: Sequence[Topic]) -> list[dict[str, str]]:
        """The tags of resources of one kind, in the same order."""
        return await self._of(topics[0]).read(topics) if topics else []

    async def add(
        self,
        topic: Topic,
        tags: Sequence[tuple[str, str]],
        *,
        create: bool = True,
        update: bool = True,
    ) -> bool:
        """Add tags, or give those that are there a new value: all of them or none.

        Returns whether any has got a new value.

        Codes: SMN.0038 no or too many tags, a key twice or a bad one, a bad value;
        SMN.0006 topic; SMN.00308 a new key without ``create``, a new value without ``update``.
        """
        for key, value in tags:
            _check(key, value)
        given = dict(tags)
        if not given or len(given) != len(tags):
            raise Refused("SMN.0038", "There must be at least one tag, and no key twice.")
        added = await self._of(topic).change(
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
        return added is Added.UPDATED

    async def remove(self, topic: Topic, keys: Sequence[str]) -> None:
        """Remove tags; a key that is not there is ignored. Code: SMN.0038 an empty key or none."""
        if not keys or not all(keys):
            raise Refused("SMN.0038", "There must be at least one tag, and no empty key.")
        await self._of(topic).change(topic, add={}, remove=dict.fromkeys(keys), limit=MAX_TAGS)

    async def remove_one(self, topic: Topic, key: str) -> None:
        """Remove a tag; SMN.0013 if it is not there."""
        (tags,) = await self.of([topic])
        if key not in tags:
            raise Refused("SMN.0013", "The resource has no tag with this key.")
        await self._of(topic).change(topic, add={}, remove=[key], limit=MAX_TAGS)

    async def by_id(self, project_id: str, kind: str = TOPIC) -> dict[str, dict[str, str]]:
        """The tags of all of a project's resources that have some, by their ids."""
        check_kind(kind)
        records = self._records.get(kind)
        return await records.of_project(project_id) if records is not None else {}

    async def of_project(
        self, project_id: str, kind: str, seen: Seen | None = None
    ) -> dict[str, list[str]]:
        """All keys in use with all their values, on resources that may be ``seen``."""
        found: dict[str, set[str]] = {}
        tagged = await self.by_id(project_id, kind)
        if seen is not None:
            shown = {one.id for one in await self._all(project_id, kind) if seen(one)}
            tagged = {one: tags for one, tags in tagged.items() if one in shown}
        for tags in tagged.values():
            for key, value in tags.items():
                found.setdefault(key, set()).add(value)
        return {key: sorted(found[key]) for key in sorted(found)}

    async def find(
        self,
        project_id: str,
        kind: str,
        query: TagQuery,
        *,
        seen: Seen | None = None,
        offset: int = 0,
        limit: int = 0,
    ) -> Listing[Tagged]:
        """The window of all resources that the query finds, newest first, and their number.

        Only those that may be ``seen``, if that is told.
        """
        topics, tags = await asyncio.gather(
            self._all(project_id, kind), self.by_id(project_id, kind)
        )
        none: dict[str, str] = {}
        if seen is not None:
            topics = [topic for topic in topics if seen(topic)]
        own = [tags.get(topic.id, none) for topic in topics]
        found = [topics[one] for one in query.among([topic.name for topic in topics], own)]
        window = newest_first(found)[offset : offset + limit]
        return Listing(
            tuple(
                Tagged(topic.urn if kind == TOPIC else "", topic, tags.get(topic.id, none))
                for topic in window
            ),
            len(found),
        )

    def _of(self, topic: Topic) -> TagRecords:
        is_topic = topic.urn == str(self._topics.urn(topic.project_id, topic.name))
        return self._records[TOPIC if is_topic else APPLICATION]

    async def _all(self, project_id: str, kind: str) -> Sequence[Topic]:
        check_kind(kind)
        if kind == TOPIC:
            return await self._topics.all(project_id)
        if kind != APPLICATION:
            return ()
        return await self._applications.all(project_id)

    async def _application(self, project_id: str, resource: str, *, by_name: bool) -> Topic | None:
        find = self._applications.named if by_name else self._applications.with_id
        known = await find(project_id, resource)
        return await self._applications.home(known[0]) if len(known) == 1 else None


def check_kind(kind: str) -> None:
    """SMN.0043 if there is no such type of resource."""
    if kind not in KINDS:
        raise Refused("SMN.0043", f"The type of resource is one of {', '.join(KINDS)}.")


def _check(key: str, value: str) -> None:
    if not 0 < len(key) <= MAX_KEY or len(value) > MAX_VALUE or not is_line(key + value):
        raise Refused(
            "SMN.0038",
            f"A key has 1 to {MAX_KEY} characters, a value up to {MAX_VALUE}, none of them control"
            " characters.",
        )
