"""Logtanks: fields of the topic's record, which go with it, and the topics that have one.

The project's set of topics may hold more than have a logtank: it is written before the record,
and nothing leaves it until the topic is purged. The record decides, so that no order of events,
no death in between and no repeated write can hide a topic from its readers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from engine.models import Logtank
from engine.store.scripts import script
from engine.store.shards import read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_WRITE = script(__file__, "logtank_write")
_DELETE = script(__file__, "logtank_delete")
_FIELDS = (
    *("gone", "logtank", "logtank:group", "logtank:stream"),
    *("logtank:created", "logtank:updated"),
)


class Written(IntEnum):
    """What became of a logtank to be written."""

    TOPIC_GONE = 0
    DONE = 1
    ANOTHER = 2
    UNKNOWN = 3


class LogtankRecords:
    """Reads and writes logtanks; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(self, topic_ids: Sequence[str]) -> list[Logtank | None]:
        """The logtank of each topic, in the same order; None also if the topic is gone."""
        records = await read_records(self._store, self._keys, topic_ids, _FIELDS)
        return [_logtank(values) for values in records]

    async def create(
        self, project_id: str, topic_id: str, logtank_id: str, group_id: str, stream_id: str
    ) -> Written:
        """Give a topic its logtank, unless it has one."""
        index = self._keys.project_logtanks(project_id)
        await self._store.call("SADD", index, topic_id, repeatable=True)
        return await self._write(topic_id, logtank_id, group_id, stream_id, "create")

    async def update(
        self, topic_id: str, logtank_id: str, group_id: str, stream_id: str
    ) -> Written:
        """Change what a topic's logtank is bound to."""
        return await self._write(topic_id, logtank_id, group_id, stream_id, "update")

    async def delete(self, topic_id: str, logtank_id: str) -> None:
        """Take a topic's logtank away, if it still is this one."""
        await self._store.run(_DELETE, (self._keys.topic(topic_id),), (logtank_id,))

    async def candidates(self, project_id: str) -> list[str]:
        """Ids of topics among which are all of the project that have a logtank."""
        index = self._keys.project_logtanks(project_id)
        members = await self._store.call("SMEMBERS", index, repeatable=True)
        return sorted(member.decode() for member in members)

    async def _write(
        self, topic_id: str, logtank_id: str, group_id: str, stream_id: str, mode: str
    ) -> Written:
        given = (logtank_id, group_id, stream_id, mode)
        return Written(await self._store.run(_WRITE, (self._keys.topic(topic_id),), given))


def _logtank(values: Sequence[bytes | None]) -> Logtank | None:
    gone, identifier, group, stream, created, updated = values
    if gone is not None or identifier is None:
        return None
    return Logtank(
        identifier.decode(),
        (group or b"").decode(),
        (stream or b"").decode(),
        int(created or 0),
        int(updated or 0),
    )
