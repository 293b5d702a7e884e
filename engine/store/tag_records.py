"""Tags of topics and applications: in the resource's shard one hash for all of its project.

So one question a shard tells all tags of a project, and a resource's tags are one field. An
application is known by its home, which is a record in the form of a topic's.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from engine.store.lines import Lines
from engine.store.scripts import script
from engine.store.shards import read_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.models import Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys

TOPICS: Final = "topic"
APPLICATIONS: Final = "application"
_TAGS = script(__file__, "topic_tags")


class Added(IntEnum):
    """What became of tags to be added."""

    TOPIC_GONE = 0
    DONE = 1
    TOO_MANY = 2
    NO_CREATION = 3
    NO_UPDATE = 4
    UPDATED = 5
    """Done, and a key that was there has another value now."""


class TagRecords:
    """Reads and writes tags of one kind of resources; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, kind: str) -> None:
        self._store = store
        self._keys = keys
        self._kind = kind
        self._lines = Lines(
            store,
            keys,
            lambda shard, project_id: keys.tags(shard, kind, project_id),
            _tags,
        )

    async def read(self, topics: Sequence[Topic]) -> list[dict[str, str]]:
        """The tags of each of a project's resources, in the same order and by key."""
        of = self._keys.shard_of_topic
        spots = [
            (topic.id, self._keys.tags(of(topic.id), self._kind, topic.project_id), topic.id)
            for topic in topics
        ]
        found = await read_fields(self._store, self._keys, spots)
        return [json.loads(text) if text else {} for text, _ in found]

    async def of_project(self, project_id: str) -> dict[str, dict[str, str]]:
        """The tags of all of a project's resources that have some, by id."""
        parts = await self._lines.of(project_id)
        return {one: tags for part in parts for one, tags in part.items()}

    async def change(
        self,
        topic: Topic,
        *,
        add: Mapping[str, str],
        remove: Iterable[str] = (),
        limit: int,
        create: bool = True,
        update: bool = True,
    ) -> Added:
        """Remove keys, as far as they are there, then add or overwrite: all of it or nothing.

        Without ``create`` there may be no new key, without ``update`` no new value.
        """
        taken = tuple(remove)
        given = [part for pair in add.items() for part in pair]
        shard = self._keys.shard_of_topic(topic.id)
        names = (self._keys.topic(topic.id), self._keys.tags(shard, self._kind, topic.project_id))
        may = "".join(("c" if create else "", "u" if update else ""))
        arguments = (topic.id, str(limit), may, str(len(taken)), *taken, *given)
        return Added(await self._store.run(_TAGS, names, arguments))


def _tags(_: str, tags: dict[str, str]) -> dict[str, str]:
    return tags
