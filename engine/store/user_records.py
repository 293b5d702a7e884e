"""Subscription users: hidden topics of their domain, and the one subscription of each protocol.

The domain stands where a topic has its project, so that a domain's index lists its users, and
no project's does. The first to be seated in a protocol has seat 0 of page 0: a user's endpoints
are read without looking up where they sit.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from engine.models import Status
from engine.store.shards import read_fields
from engine.store.subscription_lists import Scope
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

    async def all(self, domain_id: str) -> list[Topic]:
        """The topics of all of a domain's users, in no order."""
        return await self._topics.all(domain_id)

    async def by_status(self, domain_id: str) -> dict[Status, set[str]]:
        """For each status the ids of a domain's users that have an endpoint with it."""
        kept = await self._roster.lists.all_cards(Scope(domain_id))
        found: dict[Status, set[str]] = {status: set() for status in Status}
        for user_id, status in zip(kept.topic_id, kept.status, strict=True):
            found[status].add(user_id)
        return found

    async def describe(self, topic: Topic, user: SubscriptionUser) -> bool:
        """Change name and groups; False if the user is gone."""
        return await self._topics.describe(topic, user)

    async def delete(self, topic: Topic) -> bool:
        """Remove the user with its endpoints; False if it is gone."""
        urn = TopicUrn(self._region, topic.project_id, topic.name)
        return await self._topics.delete(urn, topic.id)

    async def endpoints(self, users: Sequence[Topic]) -> list[Endpoints]:
        """The endpoints of each of these users; one question a shard."""
        key = self._keys.page
        places = [
            (position, one.id, protocol)
            for position, one in enumerate(users)
            if one.user is not None
            for protocol in one.user.protocols
        ]
        values = await read_fields(
            self._store,
            self._keys,
            [(user_id, key(user_id, protocol, 0), 0) for _, user_id, protocol in places],
        )
        found: list[Endpoints] = [{} for _ in users]
        for (position, user_id, protocol), (value, urn) in zip(places, values, strict=True):
            if value is not None and urn is not None:
                found[position][protocol] = self._roster.decode(
                    user_id, urn.decode(), protocol, 0, 0, value
                )
        return found
