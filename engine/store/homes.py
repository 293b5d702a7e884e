"""Homes: records in the form of a topic's for messages that belong to none.

A direct message needs a shard and a record that says whether it is still wanted, as any
message does. A home has no name in any list, so that nobody subscribes or publishes to it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.models import Topic
from engine.store.scripts import script
from engine.store.tag_records import APPLICATIONS

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

_OPEN = script(__file__, "home_open")
_RETIRE = script(__file__, "home_retire")


def home_of(urn: str) -> str:
    """The id of the home with this URN, unless it has one of its own."""
    return hashlib.sha256(f"home\n{urn}".encode()).hexdigest()[:32]


class Homes:
    """Opens and retires homes."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def open(
        self, project_id: str, urn: str, name: str, *, home_id: str | None = None
    ) -> Topic | None:
        """The home with this URN, made if it is missing; None once it is retired.

        ``urn`` must be no topic's. A home that can be retired needs an id of its own, which is
        never used again; the others' ids follow from their URNs.
        """
        home_id = home_id or home_of(urn)
        created_ms = await self._store.run(
            _OPEN, (self._keys.topic(home_id),), (urn, name, project_id)
        )
        if not created_ms:
            return None
        return Topic(home_id, urn, name, project_id, "", "0", created_ms, created_ms)

    async def retire(self, project_id: str, home_id: str) -> None:
        """Withdraw what is under way; the purge of topics removes what is left."""
        keys = self._keys
        shard = keys.shard_of_topic(home_id)
        tags = keys.tags(shard, APPLICATIONS, project_id)
        await self._store.run(_RETIRE, (keys.topic(home_id), keys.purge(shard), tags), (home_id,))
