"""What the suite of lists looks through, and every list with every filter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from engine.control.subscriptions import Request
from engine.models import Status
from engine.store.applications import ApplicationRecords
from engine.store.devices import DeviceRecords
from engine.store.seats import Wish
from engine.urns import ApplicationUrn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.client import ApiClient
    from engine.app import Engine

PAGE: Final = 100
_TEAMS: Final = 10
_TOGETHER: Final = 100
_BOT: Final = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key="

Change = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many there are of each; of the subscriptions one topic has ``large``, others one each."""

    topics: int
    large: int
    small: int
    templates: int
    users: int
    applications: int
    devices: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A list: its path (below the project's if it is relative), the answer's member, how many.

    ``asked`` is what the path is asked besides offset and limit; ``searched`` the body of a query
    that is posted. A list ``whole`` has no pages. ``change`` changes something of what it looks
    through.
    """

    name: str
    path: str
    member: str
    total: int
    asked: dict[str, str] = field(default_factory=dict)
    searched: dict[str, object] | None = None
    whole: bool = False
    change: Change | None = None

    def by(self, what: str, total: int, change: Change | None = None, **asked: str) -> Listed:
        """The same list with a filter."""
        name = f"{self.name} by {what}"
        return replace(self, name=name, total=total, change=change, asked=asked)

    def offsets(self) -> dict[str, int]:
        """Full pages at both ends and between, and one beyond the end."""
        if self.whole:
            return {"all": 0}
        last = max(0, self.total - PAGE)
        return {"first": 0, "middle": last // 2, "last": last, "beyond": self.total + 1000}


class World:
    """What is listed: made through the library, since most of it takes many calls."""

    def __init__(
        self, engine: Engine, client: ApiClient, project_id: str, domain_id: str, sizes: Sizes
    ) -> None:
        self._engine = engine
        self._client = client
        self._project = project_id
        self._domain = domain_id
        self._sizes = sizes
        self._application = ""
        self._users: list[str] = []
        self._subscribed: list[str] = []
        self.topics: list[str] = []

    async def fill(self) -> None:
        """Make everything."""
        sizes = self._sizes
        self.topics += await _together(sizes.topics, self._topic)
        await self._subscribe()
        for number in range(sizes.templates):
            await self._client.create_template(f"template-{number}")
        self._users += await _together(sizes.users, self._user)
        await self._push()

    def lists(self) -> Iterator[Listed]:
        """Every list, plain and with each of its filters."""
        yield from self._of_topics()
        yield from self._of_subscriptions()
        yield from self._of_others()

    def _of_topics(self) -> Iterator[Listed]:
        topics, change = self._sizes.topics, self._change_topic
        plain = Listed("topics", "notifications/topics", "topics", topics)
        yield plain
        yield plain.by("part of the name", topics, change, fuzzy_name="LISTING")
        yield plain.by(
            "part of the display name", topics // _TEAMS, change, fuzzy_display_name="team-3"
        )
        yield plain.by("enterprise project", topics, change, enterprise_project_id="0")
        yield plain.by("name", 1, name="listing-7")
        yield Listed(
            "topics with what is theirs",
            "notifications/topics-with-associated-resources",
            "topics",
            topics,
        )
        yield Listed(
            "topics by tag",
            "smn_topic/resource_instances/action",
            "resources",
            topics,
            searched={
                "action": "filter",
                "tags": [{"key": "env", "values": ["*d", "none"]}],
                "not_tags_any": [{"key": "absent", "values": []}],
                "matches": [{"key": "resource_name", "value": "listing"}],
            },
            change=change,
        )
        yield Listed("tags of the project", "smn_topic/tags", "tags", 3, whole=True, change=change)

    def _of_subscriptions(self) -> Iterator[Listed]:
        large, small = self._sizes.large, self._sizes.small
        change, remark = self._change_subscription, "LISTING"
        path = f"notifications/topics/{quote(self.topics[0], safe='')}/subscriptions"
        of_topic = Listed("a topic's subscriptions", path, "subscriptions", large)
        yield of_topic
        yield of_topic.by("remark", large, change, fuzzy_remark=remark)
        of_project = Listed(
            "all subscriptions", "notifications/subscriptions", "subscriptions", large + small
        )
        yield of_project
        confirmed = sum(_status(number) is Status.CONFIRMED for number in range(large)) + small
        of_http = sum(_protocol(number) == "http" for number in range(large)) + small
        yield of_project.by("protocol", of_http, change, protocol="http")
        yield of_project.by("status", confirmed, change, status="1")
        yield of_project.by("endpoint", large + small, change, endpoint="127.0.0")
        yield of_project.by("remark", large + small, change, fuzzy_remark=remark)
        both = sum(
            _protocol(number) == "http" and _status(number) is Status.CONFIRMED
            for number in range(large)
        )
        yield of_project.by(
            "all of these",
            both + small,
            change,
            endpoint="127.0.0",
            fuzzy_remark=remark,
            protocol="http",
            status="1",
        )

    def _of_others(self) -> Iterator[Listed]:
        sizes = self._sizes
        templates = Listed(
            "templates", "notifications/message_template", "message_templates", sizes.templates
        )
        yield templates
        yield templates.by("protocol", sizes.templates, protocol="default")
        users = Listed(
            "users", f"/v2/{self._domain}/subscription-users", "subscription_users", sizes.users
        )
        yield users
        yield users.by("group", sizes.users, self._change_user, group="listing")
        yield users.by("protocol", sizes.users, self._change_user, protocol="wechat")
        yield users.by("status", sizes.users, self._change_user, status="CONFIRMED")
        applications = Listed(
            "applications", "notifications/applications", "applications", sizes.applications
        )
        yield applications
        yield applications.by("name", sizes.applications, name="listing")
        path = f"notifications/applications/{quote(self._application, safe='')}/endpoints"
        devices = Listed("an application's endpoints", path, "endpoints", sizes.devices)
        yield devices
        yield devices.by("state", sizes.devices, enabled="true")
        yield devices.by("user data", sizes.devices // 2, user_data="data-1")
        yield devices.by("token", 1, token="token-1")

    async def _topic(self, number: int) -> str:
        topic, _ = await self._engine.topics.create(
            self._project, f"listing-{number}", display_name=_display_name(number)
        )
        env = "prod" if number % 3 else "dev-d"
        tags = [("env", env), ("team", f"team-{number % _TEAMS}"), ("mark", "0")]
        await self._engine.tags.add(topic, tags)
        return topic.urn

    async def _subscribe(self) -> None:
        sizes = self._sizes
        topic = await self._engine.topics.get(self.topics[0])
        kinds: dict[tuple[str, Status], list[Wish]] = {}
        for number in range(sizes.large):
            kind = _protocol(number), _status(number)
            kinds.setdefault(kind, []).append(_wish(number))
        for (protocol, status), wishes in kinds.items():
            seated = await self._engine.roster.seat(
                topic, protocol, wishes, status=status, quota=sizes.large
            )
            self._subscribed += (f"{topic.urn}:{one.id}" for one in seated)
        await _together(sizes.small, self._subscribe_one)

    async def _subscribe_one(self, number: int) -> str:
        topic = await self._engine.topics.get(self.topics[1 + number])
        wish = [_wish(number)]
        (one,) = await self._engine.roster.seat(
            topic, "http", wish, status=Status.CONFIRMED, quota=1
        )
        return one.id

    async def _user(self, number: int) -> str:
        bot = Request("wechat", f"{_BOT}{number:032x}")
        return await self._engine.subscription_users.create(
            self._domain, f"user-{number}", ["listing"], [bot]
        )

    async def _push(self) -> None:
        """Through the records: the library has no adapter for these."""
        engine, region = self._engine, self._engine.dataset.region
        applications = ApplicationRecords(engine.store, engine.keys, engine.vault, region)
        devices = DeviceRecords(engine.store, engine.keys, engine.vault)
        urns = [
            ApplicationUrn(region, self._project, "HMS", f"listing_{number}")
            for number in range(self._sizes.applications)
        ]
        for urn in urns:
            await applications.create(urn, "100", "0" * 64)
        application = await applications.read(urns[0])
        if application is None:
            raise RuntimeError("the application was not made")
        self._application = application.urn

        async def register(number: int) -> str:
            made = await devices.register(application, f"token-{number}", f"data-{number % 2}")
            return made[0].urn if made is not None else ""

        await _together(self._sizes.devices, register)

    async def _change_topic(self) -> None:
        """Another display name and tag: whoever has looked has to look again."""
        number, mark = random.randrange(len(self.topics)), random.randrange(1000)
        await self._client.rename_topic(self.topics[number], f"{_display_name(number)}, {mark}")
        await self._client.tag_topic(f"listing-{number}", "mark", str(mark))

    async def _change_subscription(self) -> None:
        remark = f"listing, {random.randrange(10**9)}"
        await self._engine.subscriptions.update(random.choice(self._subscribed), remark=remark)

    async def _change_user(self) -> None:
        name = f"user {random.randrange(10**9)}"
        user_id = random.choice(self._users)
        await self._engine.subscription_users.update(self._domain, user_id, name=name)


async def _together(count: int, make: Callable[[int], Awaitable[str]]) -> list[str]:
    made: list[str] = []
    while len(made) < count:
        numbers = range(len(made), min(count, len(made) + _TOGETHER))
        made += await asyncio.gather(*(make(number) for number in numbers))
    return made


def _display_name(number: int) -> str:
    return f"Listing {number} of team-{number % _TEAMS}"


def _protocol(number: int) -> str:
    return "http" if number % 5 else "https"


def _status(number: int) -> Status:
    return Status.CONFIRMED if number % 4 else Status.CANCELLED


def _wish(number: int) -> Wish:
    return Wish(f"{_protocol(number)}://127.0.0.1:9/{number}", f"Listing {number}")
