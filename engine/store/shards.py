"""Questions about many topics at once.

One command a shard, all of them in one go: one round trip whatever the number of topics.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.store.connection import Arg, Call, Store
    from engine.store.keys import Keys

_READ = script(__file__, "topics_read")
_READ_FIELDS = script(__file__, "fields_read")

Spot = tuple[str, str, "Arg"]
"""A topic's id, the key of a hash that belongs to it, and a field."""


async def read_records(
    store: Store, keys: Keys, topic_ids: Sequence[str], fields: Sequence[str]
) -> list[list[bytes | None]]:
    """The values of fields of each topic's record, in order of the ids."""

    def call(_: int, positions: Sequence[int]) -> Call:
        return _READ, [keys.topic(topic_ids[one]) for one in positions], fields

    return await ask_topics(store, keys, topic_ids, call)


async def read_fields(
    store: Store, keys: Keys, spots: Sequence[Spot]
) -> list[tuple[bytes | None, bytes | None]]:
    """The values at these spots, in their order, each with its topic's URN.

    None for what is not there, and for the URN of a topic that is deleted.
    """
    # Those of one hash stand together: they are one question.
    order = sorted(range(len(spots)), key=lambda one: spots[one][:2])

    def call(_: int, positions: Sequence[int]) -> Call:
        names: list[str] = []
        fields: list[Arg] = []
        of = itertools.groupby((spots[order[one]] for one in positions), lambda spot: spot[:2])
        for (topic_id, name), group in of:
            asked = [field for _, _, field in group]
            names += keys.topic(topic_id), name
            fields += len(asked), *asked
        return _READ_FIELDS, names, fields

    replies = await ask_topics(store, keys, [spots[one][0] for one in order], call)
    found: list[tuple[bytes | None, bytes | None]] = [(None, None)] * len(spots)
    for position, (value, urn) in zip(order, replies, strict=True):
        found[position] = value, urn
    return found


async def ask_topics(
    store: Store,
    keys: Keys,
    topic_ids: Sequence[str],
    call: Callable[[int, Sequence[int]], Call],
) -> list[Any]:
    """What is found of each topic, in order of the ids.

    ``call`` gets a shard and the positions of the ids that are in it; its script returns as many
    values.
    """
    by_shard: dict[int, list[int]] = {}
    for position, topic_id in enumerate(topic_ids):
        by_shard.setdefault(keys.shard_of_topic(topic_id), []).append(position)
    replies = await store.run_many([call(*one) for one in by_shard.items()])
    found: list[Any] = [None] * len(topic_ids)
    for positions, values in zip(by_shard.values(), replies, strict=True):
        for position, value in zip(positions, values, strict=True):
            found[position] = value
    return found
