"""Topic records and the project index that lists them.

The record in the topic's shard is the truth. The index lives in the project's own slot and is
written after it: every change is first noted in the shard's ``pending`` hash by the script that
makes it, then applied to the index, then struck off. Whoever dies in between leaves the note,
and any worker's sweep finishes the job (`Pending`).

What lists search and show is kept a second time as *cards*, one hash a shard and project, which
the scripts that change a record keep in step: reading thousands of records takes far longer.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from engine.models import KmsBinding, Listing, SubscriptionUser, Topic
from engine.store.lines import Lines
from engine.store.scripts import script
from engine.store.shards import read_records
from engine.store.tag_records import TOPICS
from engine.urns import TopicUrn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.pending import Pending

_CREATE = script(__file__, "topic_create")
_UPDATE = script(__file__, "topic_update")
_DELETE = script(__file__, "topic_delete")
_KMS = script(__file__, "topic_kms")
_USER = ("user", "user:groups", "user:protocols")
_FIELDS = (
    *("gone", "urn", "name", "project", "display", "enterprise", "created", "updated", "kms"),
    *_USER,
)


class TopicRecords:
    """Reads and writes topics; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, pending: Pending) -> None:
        self._store = store
        self._keys = keys
        self._pending = pending
        self._cards = Lines(store, keys, keys.cards, _card)

    async def find(self, urn: TopicUrn) -> str | None:
        """The id of the topic with this URN."""
        keys = self._keys
        names = keys.names(keys.shard_of_name(urn.project_id, urn.name))
        found = await self._store.call(
            "HGET", names, f"{urn.project_id}:{urn.name}", repeatable=True
        )
        return found.decode() if found else None

    async def read(self, topic_id: str) -> Topic | None:
        """The topic, or None if it is gone."""
        values = await self._store.call(
            "HMGET", self._keys.topic(topic_id), *_FIELDS, repeatable=True
        )
        return _topic(topic_id, values)

    async def create(
        self,
        urn: TopicUrn,
        *,
        display_name: str,
        enterprise_project_id: str,
        quota: int,
        user: SubscriptionUser | None = None,
    ) -> tuple[str, bool] | None:
        """Create or find; the id and whether it is new, or None if the quota is used up.

        The quota is counted in the project's index, so that a few more may slip through when
        many are created at once, as the contract allows.
        """
        keys = self._keys
        shard = keys.shard_of_name(urn.project_id, urn.name)
        used = await self._store.call("ZCARD", keys.project_topics(urn.project_id), repeatable=True)
        topic_id = keys.new_topic_id(shard)
        found, new, created_ms = await self._store.run(
            _CREATE,
            (
                keys.names(shard),
                keys.topic(topic_id),
                keys.pending(shard),
                keys.cards(shard, urn.project_id),
            ),
            (
                f"{urn.project_id}:{urn.name}",
                topic_id,
                str(urn),
                urn.name,
                urn.project_id,
                display_name,
                enterprise_project_id,
                "1" if used < quota else "0",
                *(_fields(user) if user else ()),
            ),
        )
        if not found:
            return None
        if new:
            await self._pending.apply(shard, f"t:{topic_id}", f"+:{urn.project_id}:{created_ms}")
        return found.decode(), bool(new)

    async def rename(self, topic: Topic, display_name: str) -> bool:
        """Change the display name; False if the topic is gone."""
        return await self._update(topic, ("display", display_name))

    async def describe(self, topic: Topic, user: SubscriptionUser) -> bool:
        """Change what a subscription user is called; False if it is gone."""
        return await self._update(topic, _fields(user))

    async def bind_key(self, topic: Topic, expected: str, binding: KmsBinding | None) -> int:
        """Write or remove the KMS binding, if the one with the id ``expected`` is there.

        Returns 1 if done, 0 if the topic is gone, 2 if another binding is there, or none.
        """
        written = f"{binding.id}:{binding.key_id}" if binding else ""
        args = (expected, written, secrets.token_hex(8), topic.id)
        return int(await self._store.run(_KMS, self._names(topic), args))

    async def delete(self, urn: TopicUrn, topic_id: str) -> bool:
        """Put up the tombstone and take the topic out of the index; False if it is unknown."""
        keys = self._keys
        shard = keys.shard_of_topic(topic_id)
        done = await self._store.run(
            _DELETE,
            (
                keys.names(shard),
                keys.topic(topic_id),
                keys.pending(shard),
                keys.purge(shard),
                keys.cards(shard, urn.project_id),
                keys.tags(shard, TOPICS, urn.project_id),
                keys.versions(shard, urn.project_id),
            ),
            (f"{urn.project_id}:{urn.name}", topic_id, urn.project_id),
        )
        if done:
            await self._pending.apply(shard, f"t:{topic_id}", f"-:{urn.project_id}")
        return bool(done)

    async def page(self, project_id: str, offset: int, limit: int) -> Listing[Topic]:
        """Newest first, ties by id. An index entry without a record is taken out."""
        index = self._keys.project_topics(project_id)
        total, members = await self._store.call_many(
            [("ZCARD", index), ("ZREVRANGE", index, offset, offset + limit - 1)],
            key=index,
            repeatable=True,
        )
        topics = await self.read_many([member.decode() for member in members])
        found = tuple(topic for topic in topics if topic is not None)
        if missing := [m for m, topic in zip(members, topics, strict=True) if topic is None]:
            await self._store.call("ZREM", index, *missing, repeatable=True)
        return Listing(found, total - len(missing))

    async def all(self, project_id: str) -> list[Topic]:
        """All of a project's topics, in no order."""
        parts = await self._cards.of(project_id)
        return [card for part in parts for card in part.values()]

    async def ids(
        self, project_id: str, first: int, count: int, *, newest_first: bool
    ) -> tuple[int, list[str]]:
        """How many topics a project has, and the ids of some by creation."""
        index = self._keys.project_topics(project_id)
        order = "ZREVRANGE" if newest_first else "ZRANGE"
        total, members = await self._store.call_many(
            [("ZCARD", index), (order, index, first, first + count - 1)],
            key=index,
            repeatable=True,
        )
        return total, [member.decode() for member in members]

    async def place(
        self, project_id: str, topic_id: str, *, newest_first: bool = True
    ) -> int | None:
        """Where a topic stands in the project's list; None if it is not in it."""
        index, order = (
            self._keys.project_topics(project_id),
            "ZREVRANK" if newest_first else "ZRANK",
        )
        found = await self._store.call(order, index, topic_id, repeatable=True)
        return None if found is None else int(found)

    async def read_many(self, topic_ids: Sequence[str]) -> list[Topic | None]:
        """The topics in the same order, with one round trip."""
        records = await read_records(self._store, self._keys, topic_ids, _FIELDS)
        return [_topic(one, values) for one, values in zip(topic_ids, records, strict=True)]

    async def _update(self, topic: Topic, fields: Sequence[str]) -> bool:
        return bool(await self._store.run(_UPDATE, self._names(topic), (topic.id, *fields)))

    def _names(self, topic: Topic) -> tuple[str, str]:
        """The keys of a topic's record and of the cards that its card is among."""
        keys = self._keys
        shard = keys.shard_of_topic(topic.id)
        return keys.topic(topic.id), keys.cards(shard, topic.project_id)


def _card(topic_id: str, values: Sequence[Any]) -> Topic:
    created, updated, urn, display, enterprise, kms, *user = values
    _, _, _, project, name = urn.split(":")
    return _made(topic_id, (urn, name, project, display, enterprise, created, updated, kms, *user))


def _topic(topic_id: str, values: Sequence[bytes | None]) -> Topic | None:
    gone, urn, *_ = values
    if gone is not None or not urn:
        return None
    return _made(topic_id, [value.decode() if value else "" for value in values[1:]])


def _made(topic_id: str, texts: Sequence[Any]) -> Topic:
    """The topic of what its record holds after ``gone``; what is missing is '' or false."""
    urn, name, project, display, enterprise, created, updated, kms, *user = texts
    return Topic(
        topic_id,
        urn,
        name,
        project,
        display,
        enterprise,
        int(created or 0),
        int(updated or 0),
        KmsBinding(*kms.split(":")) if kms else None,
        _user(*user) if user[0] else None,
    )


def _user(name: str, groups: str, protocols: str) -> SubscriptionUser:
    return SubscriptionUser(name, tuple(groups.split()), tuple(protocols.split()))


def _fields(user: SubscriptionUser) -> tuple[str, ...]:
    values = (user.name, " ".join(user.groups), " ".join(user.protocols))
    return tuple(part for pair in zip(_USER, values, strict=True) for part in pair)
