"""Subscriptions: add, confirm, change, cancel, list. The control plane's half of a subscription."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.control.windows import NOWHERE, window
from engine.errors import Refused
from engine.models import Listing, Status, Subscription
from engine.policy import protocols, texts
from engine.store.roster import QuotaExceeded, Seated, TopicGone
from engine.store.seats import Wish
from engine.store.subscription_lists import Scope
from engine.urns import parse_subscription, parse_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.control.invitations import Invitations
    from engine.control.topics import Topics
    from engine.links import LinkMaker
    from engine.models import Topic
    from engine.policy.subscription_query import SubscriptionQuery
    from engine.ports import Adapter, Clock
    from engine.settings import Settings
    from engine.store.roster import Roster
    from engine.store.subscription_lists import Place
    from engine.store.topic_records import TopicRecords

MAX_REMARK_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Request:
    """A subscription that somebody asks for."""

    protocol: str
    endpoint: str
    remark: str = ""
    extension: Mapping[str, object] = field(default_factory=dict)


Added = tuple[Subscription, bool]
"""A subscription, and whether it is new."""


class Subscriptions:
    """Subscriptions of all topics; every method raises `Refused` with the contract's code."""

    def __init__(
        self,
        *,
        roster: Roster,
        topics: Topics,
        records: TopicRecords,
        invitations: Invitations,
        links: LinkMaker,
        adapters: Mapping[str, Adapter[Any, Any]],
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._roster = roster
        self._topics = topics
        self._records = records
        self._invitations = invitations
        self._links = links
        self._adapters = adapters
        self._clock = clock
        self._settings = settings

    # Adding

    async def check(
        self, project_id: str, protocol: str, endpoint: str, extension: Mapping[str, object]
    ) -> dict[str, object]:
        """Whether an endpoint can be served; returns the part of the extension that counts.

        ``project_id`` is the topic's, or the domain of a subscription user.

        Codes: SMN.0011 protocol, SMN.0012 endpoint, SMN.0043 extension, SMN.0069 internal.
        """
        adapter = self._adapter(protocol)
        kept = protocols.check(protocol, endpoint, extension)
        # First: whether another project has such an endpoint is nobody's business.
        protocols.check_project(protocol, endpoint, project_id)
        await adapter.check(protocol, endpoint, kept)
        return kept

    async def add(
        self,
        topic_urn: str,
        protocol: str,
        endpoint: str,
        *,
        remark: str = "",
        extension: Mapping[str, object] | None = None,
        confirmed: bool = False,
    ) -> Added:
        """Add, or find the same (topic, protocol, endpoint); the flag says whether it is new.

        An unconfirmed one is invited (again), within the confirmation flow control.
        Codes: SMN.0005/0006 topic, SMN.0011 protocol, SMN.0012 endpoint, SMN.0017 remark,
        SMN.0043 extension, SMN.0069 internal endpoint, SMN.0007 quota, APIGW.0201 when the
        invitation cannot be encrypted with the topic's key.
        """
        request = Request(protocol, endpoint, remark, extension or {})
        wish = await self._wish(parse_topic(topic_urn).project_id, request)
        topic = await self._topics.get(topic_urn)
        status = Status.CONFIRMED if confirmed else self.first_status(protocol)
        (result,) = await self.admit(topic, protocol, [wish], status)
        if isinstance(result, Refused):
            raise result
        return result

    async def add_batch(self, topic_urn: str, requests: Sequence[Request]) -> list[Added | Refused]:
        """Add several to one topic; what is wrong with one is its own result.

        Codes of the whole: SMN.0005/0006; those of one are `add`'s.
        """
        results: list[Added | Refused | None] = [None] * len(requests)
        wishes: dict[str, list[tuple[int, Wish]]] = {}
        project_id = parse_topic(topic_urn).project_id
        # Together: each endpoint's name may take seconds to resolve.
        tried = await asyncio.gather(*(self._tried(project_id, one) for one in requests))
        for position, (request, wish) in enumerate(zip(requests, tried, strict=True)):
            if isinstance(wish, Refused):
                results[position] = wish
            else:
                wishes.setdefault(request.protocol, []).append((position, wish))
        topic = await self._topics.get(topic_urn)
        for protocol, numbered in wishes.items():
            status = self.first_status(protocol)
            added = await self.admit(topic, protocol, [wish for _, wish in numbered], status)
            for (position, _), result in zip(numbered, added, strict=True):
                results[position] = result
        return [result for result in results if result is not None]

    def first_status(self, protocol: str) -> Status:
        """What a new one of the protocol has: those that need no confirmation are confirmed."""
        needs = self._adapter(protocol).limits.confirm
        return Status.UNCONFIRMED if needs else Status.CONFIRMED

    async def admit(
        self, topic: Topic, protocol: str, wishes: Sequence[Wish], status: Status
    ) -> list[Added | Refused]:
        """Seat checked wishes with a status; unconfirmed ones are invited.

        One that is known and not confirmed takes the status: a cancelled one goes back to the
        start, and the operator's own word confirms. Codes: those of `add`, SMN.0007 in place
        of a result.
        """
        if protocol not in self._adapters:
            return [Refused("SMN.0011")] * len(wishes)
        if status is Status.UNCONFIRMED:
            try:
                await self._invitations.check_key(topic)
            except Refused as refused:
                return [refused] * len(wishes)
        seated = await self._seat(topic, protocol, wishes, status)
        ids = [seat.id for seat in seated if seat is not None]
        read = await self._roster.read_many(topic.id, topic.urn, ids)
        found = dict(zip(ids, read, strict=True))
        results: list[Added | Refused] = []
        done: set[str] = set()
        for wish, seat in zip(wishes, seated, strict=True):
            if seat is None:
                results.append(Refused("SMN.0007"))
                continue
            subscription = found[seat.id]
            if subscription is not None and _takes(subscription.status, status):
                # Who has confirmed meanwhile stays confirmed.
                await self._roster.set_status(subscription, status, only=subscription.status)
                subscription = await self._roster.find(topic.id, topic.urn, seat.id)
            if subscription is None:
                # Deleted by somebody else in between, who came first then.
                results += await self.admit(topic, protocol, [wish], status)
                continue
            if subscription.status is Status.UNCONFIRMED and seat.id not in done:
                done.add(seat.id)
                await self._invitations.invite(topic, subscription)
            results.append((subscription, seat.new))
        return results

    async def add_many(self, topic_urn: str, protocol: str, endpoints: Iterable[str]) -> int:
        """Add the operator's own endpoints as confirmed; returns how many are new."""
        project_id = parse_topic(topic_urn).project_id
        wishes = [Wish(endpoint) for endpoint in dict.fromkeys(endpoints)]
        for wish in wishes:
            await self.check(project_id, protocol, wish.endpoint, {})
        topic = await self._topics.get(topic_urn)
        seated = await self._seat(topic, protocol, wishes, Status.CONFIRMED)
        if None in seated:
            raise Refused("SMN.0007")
        return sum(seat is not None and seat.new for seat in seated)

    # Looking

    async def list(
        self,
        project_id: str,
        *,
        query: SubscriptionQuery | None = None,
        offset: int = 0,
        limit: int = 100,
        marker: str | None = None,
    ) -> Listing[Subscription]:
        """A window of a project's that the query finds, oldest first, and the number of all.

        It begins after the one with the URN ``marker``; if that is none of them, with nothing.
        """
        return await self._list(Scope(project_id), query, marker, offset, limit)

    async def list_by_topic(
        self,
        topic_urn: str,
        *,
        query: SubscriptionQuery | None = None,
        offset: int = 0,
        limit: int = 100,
        marker: str | None = None,
    ) -> Listing[Subscription]:
        """As `list`, of a topic."""
        topic = await self._topics.get(topic_urn)
        scope = Scope(topic.project_id, topic.id)
        return await self._list(scope, query, marker, offset, limit)

    async def _list(
        self,
        scope: Scope,
        query: SubscriptionQuery | None,
        marker: str | None,
        offset: int,
        limit: int,
    ) -> Listing[Subscription]:
        lists = self._roster.lists
        after = await self._place(marker) if marker is not None else None
        if query is not None:
            kept = await lists.cards(scope)
            if kept is None:
                return await self._read_through(scope, query, marker, after, offset, limit)
            positions = query.among(kept)
            is_marker = (
                None if marker is None else lambda at: (kept.topic_id[at], kept.id[at]) == after
            )
            part = window(positions, is_marker, offset, limit)
            found = await self._roster.read_seats(
                [
                    (
                        (kept.topic_id[at], kept.id[at]),
                        (kept.protocol[at], kept.page[at], kept.seat[at]),
                    )
                    for at in part
                ]
            )
            # What was deleted in between is left out.
            return Listing(tuple(found.values()), len(positions))
        if marker is not None:
            rank = await lists.rank(scope, after) if after is not None else None
            offset = NOWHERE if rank is None else offset + rank + 1
        total, places = await lists.window(scope, offset, limit)
        found = await self._roster.read_places(places)
        gone = [place for place in places if place not in found]
        await lists.forget(scope, gone)
        return Listing(tuple(found.values()), total - len(gone))

    async def _read_through(
        self,
        scope: Scope,
        query: SubscriptionQuery,
        marker: str | None,
        after: Place | None,
        offset: int,
        limit: int,
    ) -> Listing[Subscription]:
        """Search a list that is too long for its cards to be kept; memory does not grow with it."""
        found: list[Subscription] = []
        total = skipped = 0
        passed = marker is None
        async for places in self._roster.lists.each(scope):
            for place, one in (await self._roster.read_places(places)).items():
                if not query.finds(one):
                    continue
                total += 1
                if not passed:
                    passed = place == after
                elif skipped < offset:
                    skipped += 1
                elif len(found) < limit:
                    found.append(one)
        return Listing(tuple(found), total)

    async def find(self, urn: str) -> tuple[Topic, Subscription]:
        """One with its topic; codes SMN.0014 malformed, SMN.0013 unknown."""
        parsed = parse_subscription(urn)
        topic_id = await self._records.find(parsed.topic)
        topic = await self._records.read(topic_id) if topic_id else None
        if topic is None or topic.urn != str(parsed.topic):
            raise Refused("SMN.0013")
        subscription = await self._roster.find(topic.id, topic.urn, parsed.id)
        if subscription is None:
            raise Refused("SMN.0013")
        return topic, subscription

    # Changing

    async def update(
        self, urn: str, *, remark: str | None = None, verification_code: str | None = None
    ) -> None:
        """Change the remark, confirm by a code, both or neither.

        Codes: SMN.0014, SMN.0013, SMN.0017 remark, SMN.0022 code, APIGW.0308 too many codes.
        """
        if remark is not None:
            check_remark(remark)
        topic, subscription = await self.find(urn)
        if verification_code is not None:
            await self.confirm_by_code(topic, subscription, verification_code)
        if remark is not None and not await self._roster.set_remark(subscription, remark):
            raise Refused("SMN.0013")

    async def delete(self, urn: str) -> None:
        """Remove by its owner; codes SMN.0014 malformed, SMN.0013 unknown."""
        _, subscription = await self.find(urn)
        if not await self._roster.remove(subscription):
            raise Refused("SMN.0013")

    async def of_token(
        self,
        token: str,
        topic_urn: str | None = None,
        endpoint: str | None = None,
        *,
        used: bool = False,
    ) -> tuple[Topic, Subscription]:
        """What the link to confirm is about. Code: SMN.0022, also for others' topic or endpoint.

        ``used``: an expired one will do where it, or another, has confirmed the subscription.
        """
        claims = self._links.read_token(token)
        topic = await self._records.read(claims.topic_id)
        if topic is None or (topic_urn and topic_urn != topic.urn):
            raise Refused("SMN.0022")
        subscription = await self._roster.find(topic.id, topic.urn, claims.subscription_id)
        if subscription is None:
            raise Refused("SMN.0022", "The subscription is gone.")
        if endpoint and endpoint != subscription.endpoint:
            raise Refused("SMN.0022")
        if not (used and subscription.status is Status.CONFIRMED):
            claims.check(self._clock.now_ms())
        return topic, subscription

    async def confirm(
        self, token: str, topic_urn: str | None = None, endpoint: str | None = None
    ) -> tuple[Topic, Subscription]:
        """Confirm by the token of a link; twice is fine. Codes: those of `of_token`."""
        topic, subscription = await self.of_token(token, topic_urn, endpoint)
        await self._confirm(topic, subscription)
        return topic, subscription

    async def confirm_by_code(self, topic: Topic, subscription: Subscription, code: str) -> None:
        """Confirm by a code that was sent; codes SMN.0022, APIGW.0308 too many."""
        await self._invitations.check_code(subscription, code)
        await self._confirm(topic, subscription)

    async def of_link(self, subscription_urn: str, sig: str | None) -> tuple[Topic, Subscription]:
        """What the unsubscribe link in a message is about; codes as `unsubscribe`."""
        parse_subscription(subscription_urn)
        if sig is None:
            allowed = self._settings.unsubscribe_bare_urn
        else:
            allowed = self._links.check_sig(subscription_urn, sig)
        if not allowed:
            raise Refused("SMN.0001", "The link is not valid.")
        return await self.find(subscription_urn)

    def leave_link(self, subscription: Subscription) -> str:
        """The link by which its holder cancels a subscription."""
        return self._links.unsubscribe(subscription)

    def return_link(self, subscription: Subscription) -> str:
        """The link by which who has left subscribes again, for 48 hours."""
        return self._invitations.link(subscription)

    async def unsubscribe(self, subscription_urn: str, sig: str | None = None) -> tuple[Topic, str]:
        """Cancel by the link in a message; returns what was left, and the link to return.

        Codes: SMN.0014, SMN.0013, and 403 SMN.0001 for a wrong or missing ``sig``.
        """
        topic, subscription = await self.of_link(subscription_urn, sig)
        link = self.return_link(subscription)
        if not await self._roster.set_status(subscription, Status.CANCELLED):
            raise Refused("SMN.0013")
        if subscription.status is Status.CONFIRMED:
            await self._invitations.part(topic, subscription, link)
        return topic, link

    async def _confirm(self, topic: Topic, subscription: Subscription) -> None:
        if not await self._roster.set_status(subscription, Status.CONFIRMED):
            raise Refused("SMN.0022", "The subscription is gone.")
        await self._invitations.settle(topic, subscription)
        if subscription.status is not Status.CONFIRMED:
            await self._invitations.welcome(topic, subscription)

    def _adapter(self, protocol: str) -> Adapter[Any, Any]:
        adapter = self._adapters.get(protocol)
        if adapter is None:
            raise Refused("SMN.0011", f"Enabled are {', '.join(sorted(self._adapters))}.")
        return adapter

    async def _tried(self, project_id: str, request: Request) -> Wish | Refused:
        try:
            return await self._wish(project_id, request)
        except Refused as refused:
            return refused

    async def _wish(self, project_id: str, request: Request) -> Wish:
        self._adapter(request.protocol)
        check_remark(request.remark)
        kept = await self.check(project_id, request.protocol, request.endpoint, request.extension)
        return Wish(request.endpoint, request.remark, kept)

    async def _seat(
        self, topic: Topic, protocol: str, wishes: Sequence[Wish], status: Status
    ) -> Sequence[Seated | None]:
        """Where each sits; None if the topic has no room for it."""
        quota = self._settings.quota_subscriptions
        try:
            return await self._roster.seat(topic, protocol, wishes, status=status, quota=quota)
        except TopicGone as error:
            raise Refused("SMN.0006") from error
        except QuotaExceeded as error:
            return error.seated

    async def _place(self, urn: str) -> Place | None:
        """Where the subscription with this URN would stand; None for what is no URN of one."""
        try:
            parsed = parse_subscription(urn)
        except Refused:
            return None
        topic_id = await self._records.find(parsed.topic)
        return None if topic_id is None else (topic_id, parsed.id)


def _takes(now: Status, wished: Status) -> bool:
    """Whether one that is known already takes a status: nobody is cancelled by being added."""
    return now is not Status.CONFIRMED and wished not in {now, Status.CANCELLED}


def check_remark(remark: str) -> None:
    """Code: SMN.0017 over 128 bytes, or with control characters."""
    if not texts.is_line(remark) or texts.size(remark) > MAX_REMARK_BYTES:
        raise Refused(
            "SMN.0017", f"It has at most {MAX_REMARK_BYTES} bytes and no control characters."
        )
