"""Questions about many topics at once.

One command a shard, all of them at the same time: one round trip whatever the number of topics.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_READ = script(__file__, "topics_read")


async def read_records(
    store: Store, keys: Keys, topic_ids: Sequence[str], fields: Sequence[str]
) -> list[list[bytes | None]]:
    """The values of fields of each topic's record, in order of the ids."""

    def read(_: int, ids: Sequence[str]) -> Awaitable[Any]:
        return store.run(_READ, [keys.topic(topic_id) for topic_id in ids], fields)

    return await ask_topics(keys, topic_ids, read)


async def ask_topics(
    keys: Keys, topic_ids: Sequence[str], ask: Callable[[int, Sequence[str]], Awaitable[Any]]
) -> list[Any]:
    """What is found of each topic, in order of the ids.

    ``ask`` gets a shard and those of the ids that are in it, and returns as many values.
    """
    by_shard: dict[int, list[int]] = {}
    for position, topic_id in enumerate(topic_ids):
        by_shard.setdefault(keys.shard_of_topic(topic_id), []).append(position)
    replies = await asyncio.gather(
        *(
            ask(shard, [topic_ids[position] for position in positions])
            for shard, positions in by_shard.items()
        )
    )
    found: list[Any] = [None] * len(topic_ids)
    for positions, values in zip(by_shard.values(), replies, strict=True):
        for position, value in zip(positions, values, strict=True):
            found[position] = value
    return found
