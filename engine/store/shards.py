"""Questions about many topics at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.link import Command


async def ask_topics(
    store: Store,
    keys: Keys,
    topic_ids: Sequence[str],
    commands: Callable[[str], Sequence[Command]],
) -> list[list[Any]]:
    """The replies to each topic's commands, in order of the ids.

    One pipeline a shard, all of them at the same time, so that it takes one round trip whatever
    the number of topics. All commands must be reads.
    """
    by_shard: dict[int, list[int]] = {}
    for position, topic_id in enumerate(topic_ids):
        by_shard.setdefault(keys.shard_of_topic(topic_id), []).append(position)
    found: list[list[Any]] = [[] for _ in topic_ids]

    async def ask(shard: int, positions: Sequence[int]) -> None:
        asked = [(p, command) for p in positions for command in commands(topic_ids[p])]
        replies = await store.call_many(
            [command for _, command in asked], key=keys.shard(shard), repeatable=True
        )
        for (position, _), reply in zip(asked, replies, strict=True):
            found[position].append(reply)

    await asyncio.gather(*(ask(shard, positions) for shard, positions in by_shard.items()))
    return found
