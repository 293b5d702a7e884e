"""A topic's notify policy: one field of its record, ``[id, [[order, subscription ids…], …]]``."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING

from engine.models import NotifyPolicy
from engine.store.scripts import script

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

_CHANGE = script(__file__, "notify_policy")


class Verdict(IntEnum):
    """What became of a change."""

    TOPIC_GONE = 0
    DONE = 1
    EXISTS = 2
    UNKNOWN = 3


class NotifyRecords:
    """Reads and writes policies; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def read(self, topic_id: str) -> NotifyPolicy | None:
        """The topic's policy, if it has one."""
        stored = await self._store.call(
            "HGET", self._keys.topic(topic_id), "notify", repeatable=True
        )
        return None if stored is None else read_policy(stored)

    async def create(self, topic_id: str, policy: NotifyPolicy) -> Verdict:
        """Keep the first policy of a topic."""
        return await self._change("create", topic_id, policy)

    async def replace(self, topic_id: str, policy: NotifyPolicy) -> Verdict:
        """Keep it in place of the one with its id."""
        return await self._change("replace", topic_id, policy)

    async def remove(self, topic_id: str, policy_id: str) -> Verdict:
        """Remove the policy with this id."""
        return await self._change("remove", topic_id, NotifyPolicy(policy_id, {}))

    async def _change(self, what: str, topic_id: str, policy: NotifyPolicy) -> Verdict:
        rounds = [[order, *ids] for order, ids in policy.polling.items()]
        text = json.dumps([policy.id, rounds], separators=(",", ":"))
        key = self._keys.topic(topic_id)
        return Verdict(await self._store.run(_CHANGE, (key,), (what, policy.id, text)))


def read_policy(stored: bytes) -> NotifyPolicy:
    """The policy as the topic's record has it, and each message that was accepted with it."""
    identifier, rounds = json.loads(stored)
    return NotifyPolicy(identifier, {order: tuple(ids) for order, *ids in rounds})
