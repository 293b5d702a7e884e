"""Notify policies: in which order a topic's phones are called (SMN "Voice Polling")."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Refused
from engine.models import NotifyPolicy
from engine.store.notify_records import Verdict
from engine.urns import parse_subscription

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.control.topics import Topics
    from engine.models import Subscription, Topic
    from engine.ports import Adapter
    from engine.store.notify_records import NotifyRecords
    from engine.store.roster import Roster

PROTOCOL: Final = "callnotify"
_NAMED: Final = 100
"""Subscriptions in one policy: all of them are read to show it."""

Rounds = tuple[tuple[int, tuple["Subscription", ...]], ...]
"""Who is called, round by round, in order."""


class NotifyPolicies:
    """One policy a topic; every method raises `Refused` with the contract's code."""

    def __init__(
        self,
        records: NotifyRecords,
        topics: Topics,
        roster: Roster,
        adapters: Mapping[str, Adapter[Any, Any]],
    ) -> None:
        self._records = records
        self._topics = topics
        self._roster = roster
        self._adapters = adapters

    async def create(
        self, topic_urn: str, protocol: str, polling: Sequence[tuple[int, Sequence[str]]]
    ) -> str:
        """Make the topic's policy; returns its id.

        ``polling`` holds an order and subscription URNs for each round. Codes: SMN.0005/0006
        topic, SMN.0011 protocol, SMN.0014 malformed URN, SMN.0013 unknown subscription,
        SMN.0043 anything else, also a second policy.
        """
        topic = await self._topics.get(topic_urn)
        policy = await self._policy(topic, secrets.token_hex(16), protocol, polling)
        verdict = await self._records.create(topic.id, policy)
        if verdict is Verdict.EXISTS:
            raise Refused("SMN.0043", "The topic has a notify policy: update it.")
        _check(verdict)
        return policy.id

    async def replace(
        self,
        topic_urn: str,
        policy_id: str,
        protocol: str,
        polling: Sequence[tuple[int, Sequence[str]]],
    ) -> None:
        """Put another in its place; codes as `create`, and SMN.0013 for an unknown id."""
        topic = await self._topics.get(topic_urn)
        policy = await self._policy(topic, policy_id, protocol, polling)
        _check(await self._records.replace(topic.id, policy))

    async def delete(self, topic_urn: str, policy_id: str) -> None:
        """Codes: SMN.0005/0006 topic, SMN.0013 unknown id."""
        topic = await self._topics.get(topic_urn)
        _check(await self._records.remove(topic.id, policy_id))

    async def read(self, topic_urn: str) -> tuple[str, Rounds] | None:
        """Its id and rounds, without subscriptions that are gone; None if there is none."""
        topic = await self._topics.get(topic_urn)
        policy = await self._records.read(topic.id)
        if policy is None:
            return None
        ids = [identifier for names in policy.polling.values() for identifier in names]
        read = await self._roster.read_many(topic.id, topic.urn, ids)
        known = {found.id: found for found in read if found is not None}
        return policy.id, tuple(
            (order, tuple(known[name] for name in names if name in known))
            for order, names in sorted(policy.polling.items())
        )

    async def _policy(
        self,
        topic: Topic,
        policy_id: str,
        protocol: str,
        polling: Sequence[tuple[int, Sequence[str]]],
    ) -> NotifyPolicy:
        if protocol != PROTOCOL or protocol not in self._adapters:
            raise Refused("SMN.0011", f"Notify policies are for {PROTOCOL}, where it is enabled.")
        rounds: dict[int, tuple[str, ...]] = {}
        for order, urns in polling:
            if order in rounds:
                raise Refused("SMN.0043", f"Order {order} is there twice.")
            if not urns:
                raise Refused("SMN.0043", f"Round {order} has no subscriptions.")
            rounds[order] = tuple(_id(topic, urn) for urn in urns)
        named = [identifier for ids in rounds.values() for identifier in ids]
        if not 1 <= len(named) <= _NAMED or len(set(named)) != len(named):
            raise Refused("SMN.0043", f"A policy names 1 to {_NAMED} different subscriptions.")
        for found in await self._roster.read_many(topic.id, topic.urn, named):
            if found is None:
                raise Refused("SMN.0013")
            if found.protocol != PROTOCOL:
                raise Refused("SMN.0043", f"Only {PROTOCOL} subscriptions are polled.")
        return NotifyPolicy(policy_id, rounds)


def _id(topic: Topic, urn: str) -> str:
    parsed = parse_subscription(urn)
    if str(parsed.topic) != topic.urn:
        raise Refused("SMN.0043", "A policy names subscriptions of its own topic.")
    return parsed.id


def _check(verdict: Verdict) -> None:
    if verdict is Verdict.TOPIC_GONE:
        raise Refused("SMN.0006")
    if verdict is Verdict.UNKNOWN:
        raise Refused("SMN.0013", "There is no such notify policy.")
