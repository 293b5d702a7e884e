"""Subscription users: an account's own recipients, whose endpoints topics take over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.control.topics import newest_first
from engine.control.windows import window
from engine.errors import Refused, TocsinError
from engine.models import Listing, Status, SubscriptionUser
from engine.policy import texts
from engine.store.seats import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from engine.control.subscriptions import Added, Request, Subscriptions
    from engine.control.topics import Topics
    from engine.models import Subscription, Topic
    from engine.store.user_records import UserRecords

MAX_USERS: Final = 10_000
"""The contract publishes no number; filtered lists look through all of a domain's."""
_DECISIVE: Final = (Status.UNCONFIRMED, Status.CONFIRMED)
"""Statuses of which one endpoint decides what its user's is, the first one first."""
_NAME_LENGTH: Final = 64
_GROUPS: Final = 10
# Chinese and English letters, digits, and underscores inside, one at a time.
_GROUP: Final = re.compile(
    r"(?!_)(?!.*_$)(?!.*__)[A-Za-z0-9_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{1,32}"
)


@dataclass(frozen=True, slots=True)
class User:
    """A subscription user with its endpoints by protocol."""

    topic: Topic
    endpoints: Mapping[str, Subscription]

    @property
    def described(self) -> SubscriptionUser:
        """Its name, groups and protocols."""
        return self.topic.user or SubscriptionUser("", (), ())

    @property
    def status(self) -> Status:
        """Unconfirmed while any endpoint is, else confirmed if any is, else cancelled."""
        return _overall({endpoint.status for endpoint in self.endpoints.values()})


class SubscriptionUsers:
    """Users of all domains; every method raises `Refused` with the contract's code."""

    def __init__(self, records: UserRecords, subscriptions: Subscriptions, topics: Topics) -> None:
        self._records = records
        self._subscriptions = subscriptions
        self._topics = topics

    async def create(
        self, domain_id: str, name: str, groups: Sequence[str], requests: Sequence[Request]
    ) -> str:
        """Make a user with one endpoint a protocol, and invite them; returns its id.

        Codes: SMN.0002 name, SMN.0043 groups or no endpoint, those of an endpoint as for
        subscriptions, SMN.0078 quota, APIGW.0308 no room for invitations.
        """
        _check_name(name)
        _check_groups(groups)
        if not requests:
            raise Refused("SMN.0043", "A subscription user has at least one endpoint.")
        wishes: list[tuple[str, Wish]] = []
        for one in requests:
            kept = await self._subscriptions.check(
                domain_id, one.protocol, one.endpoint, one.extension
            )
            wishes.append((one.protocol, Wish(one.endpoint, extension=kept)))
        user = SubscriptionUser(name, tuple(groups), tuple(protocol for protocol, _ in wishes))
        topic = await self._records.create(domain_id, user, quota=MAX_USERS)
        if topic is None:
            raise Refused("SMN.0078")
        try:
            for protocol, wish in wishes:
                status = self._subscriptions.first_status(protocol)
                await self._subscriptions.admit(topic, protocol, [wish], status)
        except TocsinError:
            # Who is told that it failed tries again, which would make another one.
            await self._records.delete(topic)
            raise
        return topic.id

    async def list(
        self,
        domain_id: str,
        *,
        offset: int = 0,
        limit: int = 100,
        wanted: Callable[[SubscriptionUser], bool] | None = None,
        status: Status | None = None,
    ) -> Listing[User]:
        """A window of a domain's users that are wanted, newest first, and their number."""
        if wanted is None and status is None:
            page = await self._records.page(domain_id, offset, limit)
            return Listing(await self._read(page.items), page.total)
        topics = await self._records.all(domain_id)
        if status is not None:
            has_status = _having(status, await self._records.by_status(domain_id))
            topics = [topic for topic in topics if has_status(topic.id)]
        found = newest_first(
            topic
            for topic in topics
            if topic.user is not None and (wanted is None or wanted(topic.user))
        )
        return Listing(await self._read(window(found, None, offset, limit)), len(found))

    async def update(
        self,
        domain_id: str,
        user_id: str,
        *,
        name: str | None = None,
        groups: Sequence[str] | None = None,
        verification_code: str | None = None,
    ) -> None:
        """Change name and groups, confirm by a code; what is None stays.

        Codes: SMN.0013 unknown, SMN.0002 name, SMN.0043 groups, SMN.0022 code, APIGW.0308.
        """
        if name is not None:
            _check_name(name)
        if groups is not None:
            _check_groups(groups)
        user = await self._get(domain_id, user_id)
        if verification_code is not None:
            await self._confirm(user, verification_code)
        if name is None and groups is None:
            return
        described = user.described
        changed = described._replace(
            name=described.name if name is None else name,
            groups=described.groups if groups is None else tuple(groups),
        )
        if not await self._records.describe(user.topic, changed):
            raise _unknown()

    async def delete(self, domain_id: str, user_id: str) -> None:
        """Remove with all endpoints; what topics took over from it stays. Code: SMN.0013."""
        user = await self._get(domain_id, user_id)
        if not await self._records.delete(user.topic):
            raise _unknown()

    async def subscribe(
        self, domain_id: str, topic_urn: str, user_ids: Sequence[str]
    ) -> Sequence[Added | Refused]:
        """Subscribe all endpoints of these users to a topic, each with the status it has.

        One result for each endpoint, in order, and one for a user that is unknown.
        """
        topic = await self._topics.get(topic_urn)
        results: list[Added | Refused] = []
        for user_id in user_ids:
            try:
                user = await self._get(domain_id, user_id)
            except Refused as refused:
                results.append(refused)
                continue
            for protocol, known in user.endpoints.items():
                wish = Wish(known.endpoint, extension=known.extension)
                results += await self._subscriptions.admit(topic, protocol, [wish], known.status)
        return results

    async def endpoints(self, domain_id: str, user_ids: Sequence[str]) -> Sequence[Subscription]:
        """The endpoints of those of the users that there are."""
        found: list[Subscription] = []
        for user_id in user_ids:
            try:
                user = await self._get(domain_id, user_id)
            except Refused:
                continue
            found += user.endpoints.values()
        return found

    async def _confirm(self, user: User, code: str) -> None:
        """Confirm the endpoint that was sent this code."""
        refused = Refused("SMN.0022", "Nobody waits for a code.")
        for endpoint in user.endpoints.values():
            if endpoint.extension.get("verification_code_enabled"):
                try:
                    await self._subscriptions.confirm_by_code(user.topic, endpoint, code)
                except Refused as error:
                    refused = error
                else:
                    return
        raise refused

    async def _get(self, domain_id: str, user_id: str) -> User:
        known = re.fullmatch("[0-9a-f]{32}", user_id)
        topic = await self._records.find(domain_id, user_id) if known else None
        if topic is None:
            raise _unknown()
        (endpoints,) = await self._records.endpoints([topic])
        return User(topic, endpoints)

    async def _read(self, topics: Sequence[Topic]) -> tuple[User, ...]:
        read = await self._records.endpoints(topics)
        return tuple(User(*pair) for pair in zip(topics, read, strict=True))


def _overall(found: Collection[Status]) -> Status:
    """A user's status from its endpoints'."""
    return next((status for status in _DECISIVE if status in found), Status.CANCELLED)


def _having(status: Status, users: Mapping[Status, set[str]]) -> Callable[[str], bool]:
    """Whether `_overall` is this status for the user of an id; ``users`` by their endpoints'."""
    decided: set[str] = set()
    for one in _DECISIVE:
        if one is status:
            return (users[one] - decided).__contains__
        decided |= users[one]
    return lambda user_id: user_id not in decided


def _unknown() -> Refused:
    return Refused("SMN.0013", "There is no such subscription user.")


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _NAME_LENGTH or not texts.is_line(name):
        raise Refused("SMN.0002", f"It has 1 to {_NAME_LENGTH} printable characters.")


def _check_groups(groups: Sequence[str]) -> None:
    if len(groups) > _GROUPS or len(set(groups)) != len(groups):
        raise Refused("SMN.0043", f"A subscription user is in at most {_GROUPS} different groups.")
    if not all(_GROUP.fullmatch(group) for group in groups):
        raise Refused(
            "SMN.0043",
            "A group has 1 to 32 Chinese or English letters, digits and single inner underscores.",
        )
