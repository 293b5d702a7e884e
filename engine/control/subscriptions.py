"""Subscriptions: add, confirm, cancel, list. The control plane's half of a subscription."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from engine.errors import Refused
from engine.models import Kind, Listing, Status
from engine.pipeline.accept import Draft
from engine.store.roster import QuotaExceeded, Seated, TopicGone, Wish
from engine.urns import parse_subscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.control.topics import Topics
    from engine.links import LinkMaker
    from engine.models import Subscription, Topic
    from engine.pipeline.accept import Publisher
    from engine.ports import Adapter, Clock
    from engine.settings import Settings
    from engine.store.limiter import Limiter
    from engine.store.roster import Roster
    from engine.store.topic_records import TopicRecords

log = logging.getLogger(__name__)

MAX_REMARK_BYTES = 128
LINK_SECONDS = 48 * 3600
"""Life of a confirmation or re-subscription link (SMN "Adding a Subscription")."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LIMIT = "confirmation"


class Subscriptions:
    """Subscriptions of all topics; every method raises `Refused` with the contract's code."""

    def __init__(  # noqa: PLR0913 - built once, by the composition root
        self,
        *,
        roster: Roster,
        topics: Topics,
        records: TopicRecords,
        publisher: Publisher,
        limiter: Limiter,
        links: LinkMaker,
        adapters: Mapping[str, Adapter[Any, Any]],
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._roster = roster
        self._topics = topics
        self._records = records
        self._publisher = publisher
        self._limiter = limiter
        self._links = links
        self._adapters = adapters
        self._clock = clock
        self._settings = settings

    async def add(
        self,
        topic_urn: str,
        protocol: str,
        endpoint: str,
        *,
        remark: str = "",
        extension: Mapping[str, object] | None = None,
        confirmed: bool = False,
    ) -> tuple[Subscription, bool]:
        """Add, or find the same (topic, protocol, endpoint); the flag says whether it is new.

        An unconfirmed one is invited (again), within the confirmation flow control.
        Codes: SMN.0005/0006 topic, SMN.0011 protocol, SMN.0012 endpoint, SMN.0017 remark,
        SMN.0043 extension, SMN.0069 internal endpoint, SMN.0007 quota, APIGW.0201 when the
        invitation cannot be encrypted with the topic's key.
        """
        adapter = self._adapter(protocol)
        _check_remark(remark)
        await adapter.check(protocol, endpoint, extension or {})
        topic = await self._topics.get(topic_urn)
        needs_link = adapter.limits.confirm and not confirmed
        if needs_link:
            await self._publisher.check_key(topic)
        wished = Status.UNCONFIRMED if needs_link else Status.CONFIRMED
        (seated,) = await self._seat(topic, protocol, [Wish(endpoint, remark, extension)], wished)
        subscription = await self._roster.find(topic.id, topic.urn, seated.id)
        if subscription is None:
            raise Refused("SMN.0013")
        if not seated.new and subscription.status is not Status.CONFIRMED:
            # A cancelled one goes back to the start; the operator's own word confirms.
            await self._roster.set_status(subscription, wished)
            subscription = await self._roster.find(topic.id, topic.urn, seated.id) or subscription
        if subscription.status is Status.UNCONFIRMED:
            await self._invite(topic, subscription)
        return subscription, seated.new

    async def add_many(self, topic_urn: str, protocol: str, endpoints: Iterable[str]) -> int:
        """Add the operator's own endpoints as confirmed; returns how many are new."""
        adapter = self._adapter(protocol)
        wishes = [Wish(endpoint) for endpoint in dict.fromkeys(endpoints)]
        for wish in wishes:
            await adapter.check(protocol, wish.endpoint, {})
        topic = await self._topics.get(topic_urn)
        seated = await self._seat(topic, protocol, wishes, Status.CONFIRMED)
        return sum(seat.new for seat in seated)

    async def list(
        self, project_id: str, *, offset: int = 0, limit: int = 100
    ) -> Listing[Subscription]:
        """All of a project, oldest first."""
        total, places, members = await self._roster.page_of_project(project_id, offset, limit)
        topic_ids = list(dict.fromkeys(topic_id for topic_id, _ in places))
        topics = await self._records.read_many(topic_ids)
        found: dict[tuple[str, str], Subscription] = {}
        for topic_id, topic in zip(topic_ids, topics, strict=True):
            if topic is None:
                continue
            ids = [identifier for owner, identifier in places if owner == topic_id]
            read = await self._roster.read_many(topic.id, topic.urn, ids)
            found |= {(topic_id, s.id): s for s in read if s is not None}
        gone = [m for place, m in zip(places, members, strict=True) if place not in found]
        if gone:
            await self._roster.forget_members(project_id, gone)
        items = tuple(found[place] for place in places if place in found)
        return Listing(items, total - len(gone))

    async def list_by_topic(
        self, topic_urn: str, *, offset: int = 0, limit: int = 100
    ) -> Listing[Subscription]:
        """All of a topic, oldest first."""
        topic = await self._topics.get(topic_urn)
        return await self._roster.page_of_topic(topic, offset, limit)

    async def delete(self, subscription_urn: str) -> None:
        """Remove by its owner; codes SMN.0014 malformed, SMN.0013 unknown."""
        _, subscription = await self._find(subscription_urn)
        if not await self._roster.remove(subscription):
            raise Refused("SMN.0013")

    async def confirm(self, token: str, topic_urn: str | None = None) -> Subscription:
        """Confirm by the token of a link; twice is fine. Code: SMN.0022."""
        claims = self._links.read_token(token, self._clock.now_ms())
        topic = await self._records.read(claims.topic_id)
        if topic is None or (topic_urn and topic_urn != topic.urn):
            raise Refused("SMN.0022")
        subscription = await self._roster.find(topic.id, topic.urn, claims.subscription_id)
        if subscription is None or not await self._roster.set_status(
            subscription, Status.CONFIRMED
        ):
            raise Refused("SMN.0022", "The subscription is gone.")
        adapter = self._adapter(subscription.protocol)
        await self._limiter.clear(_LIMIT, _subject(subscription), adapter.limits.confirmations)
        return subscription

    async def unsubscribe(self, subscription_urn: str, sig: str | None = None) -> str:
        """Cancel by the link in a message; returns the link to subscribe again.

        Codes: SMN.0014, SMN.0013, and 403 SMN.0001 for a wrong or missing ``sig``.
        """
        parse_subscription(subscription_urn)
        if sig is None:
            allowed = self._settings.unsubscribe_bare_urn
        else:
            allowed = self._links.check_sig(subscription_urn, sig)
        if not allowed:
            raise Refused("SMN.0001", "The link is not valid.")
        topic, subscription = await self._find(subscription_urn)
        link = self._link(subscription)
        if not await self._roster.set_status(subscription, Status.CANCELLED):
            raise Refused("SMN.0013")
        if subscription.status is Status.CONFIRMED:
            text = (
                f"You no longer receive messages of the topic {topic.urn}."
                f" To subscribe again, open this link within 48 hours: {link}"
            )
            try:
                await self._publisher.address(
                    topic, subscription, Kind.CANCELLATION, Draft({"default": text}), link=link
                )
            except Refused as refused:
                # A farewell that cannot be sent must keep nobody subscribed.
                log.warning("cancellation.unsent", extra={"reason": str(refused)})
        return link

    def _adapter(self, protocol: str) -> Adapter[Any, Any]:
        adapter = self._adapters.get(protocol)
        if adapter is None:
            raise Refused("SMN.0011", f"Enabled are {', '.join(sorted(self._adapters))}.")
        return adapter

    async def _find(self, urn: str) -> tuple[Topic, Subscription]:
        parsed = parse_subscription(urn)
        topic_id = await self._records.find(parsed.topic)
        topic = await self._records.read(topic_id) if topic_id else None
        if topic is None or topic.urn != str(parsed.topic):
            raise Refused("SMN.0013")
        subscription = await self._roster.find(topic.id, topic.urn, parsed.id)
        if subscription is None:
            raise Refused("SMN.0013")
        return topic, subscription

    async def _seat(
        self, topic: Topic, protocol: str, wishes: Sequence[Wish], status: Status
    ) -> Sequence[Seated]:
        try:
            return await self._roster.seat(
                topic,
                protocol,
                wishes,
                status=status,
                quota=self._settings.quota_subscriptions,
            )
        except TopicGone as error:
            raise Refused("SMN.0006") from error
        except QuotaExceeded as error:
            raise Refused("SMN.0007") from error

    async def _invite(self, topic: Topic, subscription: Subscription) -> None:
        """Send the confirmation message, unless flow control suppresses it."""
        windows = self._adapter(subscription.protocol).limits.confirmations
        until_ms = await self._limiter.take(_LIMIT, _subject(subscription), windows)
        if until_ms:
            log.warning(
                "confirmation.suppressed",
                extra={"subscription": subscription.id, "until_ms": until_ms},
            )
            return
        link = self._link(subscription)
        text = (
            f"You are invited to subscribe to the topic {topic.urn}."
            f" To confirm, open this link within 48 hours: {link}"
        )
        await self._publisher.address(
            topic, subscription, Kind.CONFIRMATION, Draft({"default": text}), link=link
        )

    def _link(self, subscription: Subscription) -> str:
        expires_ms = self._clock.now_ms() + LINK_SECONDS * 1000
        return self._links.confirm(subscription, expires_ms, subscription.topic_urn)


def _subject(subscription: Subscription) -> str:
    return f"{subscription.protocol}\n{subscription.endpoint}"


def _check_remark(remark: str) -> None:
    if len(remark.encode()) > MAX_REMARK_BYTES or _CONTROL.search(remark):
        raise Refused(
            "SMN.0017", f"It has at most {MAX_REMARK_BYTES} bytes and no control characters."
        )
