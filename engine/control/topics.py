"""Topics: create, read, update, delete, list. The control plane's half of a topic."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from engine.control.windows import NOWHERE, window
from engine.errors import Refused
from engine.models import Listing
from engine.policy import texts
from engine.urns import TOPIC_ID, TOPIC_NAME, TopicUrn, parse_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.models import Topic
    from engine.settings import Settings
    from engine.store.topic_records import TopicRecords

MAX_DISPLAY_NAME_BYTES = 192


class Topics:
    """Topics of all projects; every method raises `Refused` with the contract's code."""

    def __init__(self, records: TopicRecords, settings: Settings) -> None:
        self._records = records
        self._settings = settings

    async def create(
        self,
        project_id: str,
        name: str,
        *,
        display_name: str = "",
        enterprise_project_id: str = "0",
    ) -> tuple[Topic, bool]:
        """Create, or find the one of that name; the flag says whether it is new.

        Codes: SMN.0002 name, SMN.0003 display_name over 192 bytes, SMN.0004 quota.
        """
        if TOPIC_NAME.fullmatch(name) is None:
            raise Refused(
                "SMN.0002",
                "It has 1 to 255 letters, digits, hyphens and underscores"
                " and begins with a letter or digit.",
            )
        _check_display_name(display_name)
        while True:
            made = await self._records.create(
                self.urn(project_id, name),
                display_name=display_name,
                enterprise_project_id=enterprise_project_id,
                quota=self._settings.quota_topics,
            )
            if made is None:
                raise Refused("SMN.0004")
            topic_id, new = made
            topic = await self._records.read(topic_id)
            if topic is not None:
                return topic, new
            # Deleted by somebody else in between, who came first then.

    async def get(self, urn: str) -> Topic:
        """Codes: SMN.0005 malformed URN, SMN.0006 unknown."""
        topic_id = await self._records.find(parse_topic(urn))
        topic = await self._records.read(topic_id) if topic_id else None
        if topic is None or topic.urn != urn or topic.user is not None:
            raise Refused("SMN.0006")
        return topic

    async def by_name(self, project_id: str, name: str) -> Topic | None:
        """The project's topic of this name, whatever the text is."""
        topic_id = await self._records.find(self.urn(project_id, name))
        return await self._records.read(topic_id) if topic_id else None

    async def by_id(self, project_id: str, topic_id: str) -> Topic | None:
        """The project's topic with this id, whatever the text is."""
        if TOPIC_ID.fullmatch(topic_id) is None:
            return None
        topic = await self._records.read(topic_id)
        # Homes of direct messages are records of the same form, but no topics.
        own = topic is not None and topic.urn == str(self.urn(project_id, topic.name))
        return topic if own else None

    async def update(self, urn: str, *, display_name: str) -> Topic:
        """Change the display name; codes as `create` and `get`."""
        _check_display_name(display_name)
        topic = await self.get(urn)
        if not await self._records.rename(topic, display_name):
            raise Refused("SMN.0006")
        return await self.get(urn)

    async def delete(self, urn: str) -> None:
        """Delete with everything that belongs to it; the purge goes on in the background."""
        topic = await self.get(urn)
        if not await self._records.delete(parse_topic(urn), topic.id):
            raise Refused("SMN.0006")

    async def list(
        self, project_id: str, *, marker: str | None = None, offset: int = 0, limit: int = 100
    ) -> Listing[Topic]:
        """A window of a project's, newest first (SMN API, "Order"), and the number of all.

        With a marker it begins after the topic of this URN; if there is none, with nothing.
        """
        if marker is not None:
            topic = await self.by_name(project_id, marker.rpartition(":")[2])
            known = topic is not None and topic.urn == marker
            place = await self._records.place(project_id, topic.id) if topic and known else None
            offset = NOWHERE if place is None else offset + place + 1
        return await self._records.page(project_id, offset, limit)

    async def search(
        self,
        project_id: str,
        wanted: Callable[[Topic], bool],
        *,
        marker: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Listing[Topic]:
        """A window of the topics that are wanted, newest first, and the number of all.

        With a marker the window begins after the topic of this URN; if that is none of them,
        there is nothing in it.
        """
        found = newest_first(one for one in await self.all(project_id) if wanted(one))
        is_marker = None if marker is None else lambda topic: topic.urn == marker
        return Listing(tuple(window(found, is_marker, offset, limit)), len(found))

    async def all(self, project_id: str) -> Sequence[Topic]:
        """All of a project's topics, in no order."""
        return await self._records.all(project_id)

    def urn(self, project_id: str, name: str) -> TopicUrn:
        """The URN of a project's topic."""
        return TopicUrn(self._settings.region, project_id, name)


def newest_first(topics: Iterable[Topic]) -> list[Topic]:
    """Topics in the order of lists (SMN API, "Order"), ties by id."""
    return sorted(topics, key=attrgetter("created_ms", "id"), reverse=True)


def _check_display_name(text: str) -> None:
    if not texts.is_line(text) or texts.size(text) > MAX_DISPLAY_NAME_BYTES:
        raise Refused(
            "SMN.0003", f"It has at most {MAX_DISPLAY_NAME_BYTES} bytes and no control characters."
        )
