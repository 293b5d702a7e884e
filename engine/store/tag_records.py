"""Tags of topics: in the topic's shard one hash for all topics of a project.

So one question a shard tells all tags of a project, and a topic's tags are one field.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from engine.store.scripts import script
from engine.store.shards import ask_shards, ask_topics, texts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence

    from engine.models import Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys

_TAGS = script(__file__, "topic_tags")


class Added(IntEnum):
    """What became of tags to be added."""

    TOPIC_GONE = 0
    DONE = 1
    TOO_MANY = 2
    NO_CREATION = 3
    NO_UPDATE = 4


class TagRecords:
    """Reads and writes tags; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(self, topics: Sequence[Topic]) -> list[dict[str, str]]:
        """The tags of each of a project's topics, in the same order of topics and by key."""
        (project_id,) = {topic.project_id for topic in topics} or {""}

        def read(shard: int, ids: Sequence[str]) -> Awaitable[Any]:
            return self._store.call(
                "HMGET", self._keys.tags(shard, project_id), *ids, repeatable=True
            )

        found = await ask_topics(self._keys, [topic.id for topic in topics], read)
        return [json.loads(text) if text else {} for text in found]

    async def of_project(self, project_id: str) -> dict[str, dict[str, str]]:
        """The tags of all topics of a project that have some, by topic id."""
        replies = await ask_shards(
            self._store,
            self._keys,
            lambda shard: ("HGETALL", self._keys.tags(shard, project_id)),
        )
        return dict(texts_of(replies))

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
        names = (self._keys.topic(topic.id), self._keys.tags(shard, topic.project_id))
        may = "".join(("c" if create else "", "u" if update else ""))
        arguments = (topic.id, str(limit), may, str(len(taken)), *taken, *given)
        return Added(await self._store.run(_TAGS, names, arguments))
