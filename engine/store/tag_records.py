"""Tags of topics: a hash in the topic's shard, which goes with the topic."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from engine.store.scripts import script
from engine.store.shards import ask_topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_ADD = script(__file__, "tags_add")


class Added(IntEnum):
    """What became of tags to be added."""

    TOPIC_GONE = 0
    DONE = 1
    TOO_MANY = 2


class TagRecords:
    """Reads and writes tags; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(self, topic_ids: Sequence[str]) -> list[dict[str, str]]:
        """The tags of each topic, in the same order of topics and by key."""
        replies = await ask_topics(
            self._store,
            self._keys,
            topic_ids,
            lambda topic_id: [("HGETALL", self._keys.tags(topic_id))],
        )
        return [
            dict(sorted(zip(_texts(flat[::2]), _texts(flat[1::2]), strict=True)))
            for (flat,) in replies
        ]

    async def add(self, topic_id: str, tags: Mapping[str, str], limit: int) -> Added:
        """Add or overwrite all of the tags, or none."""
        pairs = [part for pair in tags.items() for part in pair]
        names = (self._keys.topic(topic_id), self._keys.tags(topic_id))
        return Added(await self._store.run(_ADD, names, (limit, *pairs)))

    async def remove(self, topic_id: str, keys: Iterable[str]) -> None:
        """Remove tags by key, as far as they are there."""
        await self._store.call("HDEL", self._keys.tags(topic_id), *keys, repeatable=True)


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]
