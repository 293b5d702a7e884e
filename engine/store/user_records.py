"""Subscription users: hidden topics of their domain, and the one subscription of each protocol.

The domain stands where a topic has its project, so that a domain's index lists its users, and
no project's does. The first to be seated in a protocol has seat 0 of page 0: a user's endpoints
are read without looking up where they sit.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from engine.urns import TopicUrn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.models import Listing, Subscription, SubscriptionUser, Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.roster import Roster
    from engine.store.topic_records import TopicRecords

Endpoints = dict[str, "Subscription"]
"""A user's endpoints by protocol."""


class UserRecords:
    """Reads and writes users; knows nothing of the contract's rules."""

    def __init__(
        self, store: Store, keys: Keys, topics: TopicRecords, roster: Roster, region: str
    ) -> None:
        self._store = store
        self._keys = keys
        self._topics = topics
        self._roster = roster
        self._region = region

    async def create(self, domain_id: str, user: SubscriptionUser, *, quota: int) -> Topic | None:
        """A new user's topic, or None if the domain has as many users as it may have."""
        made = await self._topics.create(
            TopicUrn(self._region, domain_id, secrets.token_hex(16)),
            display_name="",
            enterprise_project_id="",
            quota=quota,
            user=user,
        )
        return await self._topics.read(made[0]) if made else None

    async def find(self, domain_id: str, user_id: str) -> Topic | None:
        """The topic of a domain's user."""
        topic = await self._topics.read(user_id)
        known = topic is not None and topic.user is not None and topic.project_id == domain_id
        return topic if known else None

    async def page(self, domain_id: str, offset: int, limit: int) -> Listing[Topic]:
        """The topics of a domain's users, newest first."""
        return await self._topics.page(domain_id, offset, limit)

    async def describe(self, topic: Topic, user: SubscriptionUser) -> bool:
        """Change name and groups; False if the user is gone."""
        return await self._topics.describe(topic, user)

    async def delete(self, topic: Topic) -> bool:
        """Remove the user with its endpoints; False if it is gone."""
        urn = TopicUrn(self._region, topic.project_id, topic.name)
        return await self._topics.delete(urn, topic.id)

    async def endpoints(self, topics: Sequence[Topic]) -> list[Endpoints]:
        """The endpoints of each of these users; one pipeline a shard."""
        keys = self._keys
        by_shard: dict[int, list[tuple[int, str]]] = {}
        for position, topic in enumerate(topics):
            places = by_shard.setdefault(keys.shard_of_topic(topic.id), [])
            if topic.user is not None:
                places += ((position, protocol) for protocol in topic.user.protocols)
        found: list[Endpoints] = [{} for _ in topics]
        for shard, places in by_shard.items():
            values = await self._store.call_many(
                [("HGET", keys.page(topics[p].id, protocol, 0), 0) for p, protocol in places],
                key=keys.shard(shard),
                repeatable=True,
            )
            for (position, protocol), value in zip(places, values, strict=True):
                if value is not None:
                    topic = topics[position]
                    found[position][protocol] = self._roster.decode(
                        topic.id, topic.urn, protocol, 0, 0, value
                    )
        return found
