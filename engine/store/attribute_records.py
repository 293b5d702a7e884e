"""Attributes of topics: fields of the topic's record, which go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models import Attribute
from engine.store.scripts import script
from engine.store.shards import read_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_WRITE = script(__file__, "topic_attributes")


class AttributeRecords:
    """Reads and writes attributes; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(self, topic_ids: Sequence[str], name: str) -> list[Attribute]:
        """One attribute of each topic, in the same order; unset if the topic is gone."""
        field = f"attribute:{name}"
        fields = ("gone", field, f"{field}:created", f"{field}:updated")
        records = await read_records(self._store, self._keys, topic_ids, fields)
        return [
            Attribute(text.decode(), int(created or 0), int(updated or 0))
            if text and not gone
            else Attribute()
            for gone, text, created, updated in records
        ]

    async def write(self, topic_id: str, values: Mapping[str, str]) -> bool:
        """Set attributes, '' clears one; False if the topic is gone."""
        pairs = [part for pair in values.items() for part in pair]
        return bool(await self._store.run(_WRITE, (self._keys.topic(topic_id),), pairs))
