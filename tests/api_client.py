"""A signing client and an engine without a data path, for tests of the API."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from yarl import URL

from engine.api.server import serve_api
from engine.errors import Refused
from engine.iam.identities import AccessKey, Domain, Project, User, name_of
from engine.iam.passwords import hash_password
from engine.iam.snapshot import Snapshot
from engine.listening import listen, ready_url
from engine.models import Listing, Status, Subscription, SubscriptionUser, Topic
from engine.settings import Settings
from engine.store.accounts import Account
from engine.store.keys import Keys
from engine.urns import parse_subscription, parse_topic
from engine.vault import Vault

PASSWORD = "correct horse battery staple"
ACCOUNT = Account(
    domain_id="d" * 32,
    domain_name="acme",
    project_id="a" * 32,
    project_name="region01",
    user_id="e" * 32,
    user_name="alice",
    access_key="AKEXAMPLE00000000001",
    password=PASSWORD,
    secret_key="SKEXAMPLE0000000000000000000000000000001",
    password_hash=hash_password(PASSWORD),
)
PROJECT = ACCOUNT.project_id
TOPIC = f"urn:smn:region01:{PROJECT}:demo"
NOW_MS = 1_767_323_045_000


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.raw)
        assert isinstance(found, dict)
        return found


class Client:
    """Talks to an API as the official SDK does: signed, unless told otherwise."""

    def __init__(self, url: str, session: aiohttp.ClientSession, account: Account) -> None:
        self.url = url
        self.account = account
        self._session = session

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        sign: bool = True,
        secret_key: str | None = None,
    ) -> Answer:
        """``body`` is bytes, or anything for JSON; ``target`` goes out as it is."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"Content-Type": "application/json", **(headers or {})}
        if sign:
            given = self.signed(method, target, raw, given, secret_key)
        url = URL(f"{self.url}{target}", encoded=True)
        async with self._session.request(
            method, url, data=io.BytesIO(raw) if raw else None, headers=given, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    def signed(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        secret_key: str | None = None,
    ) -> dict[str, str]:
        """The headers with a signature by the official SDK's signer."""
        parts = urlsplit(target)
        request = SdkRequest(
            method=method,
            host=urlsplit(self.url).netloc,
            resource_path=parts.path,
            query_params=parse_qsl(parts.query, keep_blank_values=True),
            header_params=dict(headers or {}),
            body=body,
        )
        key = SimpleNamespace(ak=self.account.access_key, sk=secret_key or self.account.secret_key)
        Signer(key).sign(request)
        # The signer leaves the bytes of UTF-8 as single characters for its own HTTP client.
        return {k: v.encode("latin-1").decode() for k, v in request.header_params.items()}


class FakeStore:
    """Strings in a dict, and a switch to break."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.values: dict[str, str] = {}

    async def call(self, *command: Any, repeatable: bool = False) -> Any:
        name, key, *rest = command
        if name == "SET":
            self.values[key] = rest[0]
            return b"OK"
        if name == "DEL":
            return int(self.values.pop(key, None) is not None)
        assert name == "GET"
        found = self.values.get(key)
        return None if found is None else found.encode()


class FakeTopics:
    """Topics in a dict."""

    def __init__(self) -> None:
        self.known: dict[str, Topic] = {}

    async def create(
        self, project_id: str, name: str, *, display_name: str, enterprise_project_id: str
    ) -> tuple[Topic, bool]:
        urn = f"urn:smn:region01:{project_id}:{name}"
        new = urn not in self.known
        if new:
            number = len(self.known)
            self.known[urn] = Topic(
                f"{number:032x}",
                urn,
                name,
                project_id,
                display_name,
                enterprise_project_id,
                NOW_MS + number,
                NOW_MS + number,
            )
        return self.known[urn], new

    async def get(self, urn: str) -> Topic:
        parse_topic(urn)
        if urn not in self.known:
            raise Refused("SMN.0006")
        return self.known[urn]

    async def delete(self, urn: str) -> None:
        await self.get(urn)
        del self.known[urn]

    async def list(
        self, project_id: str, *, marker: None, offset: int, limit: int
    ) -> Listing[Topic]:
        newest = tuple(reversed(self.known.values()))
        return Listing(newest[offset : offset + limit], len(newest))


class FakeSubscriptions:
    """Subscriptions in a dict; the token is the id, the signature is ``good``.

    All topics have ``display_name``, and are a subscription user's if ``user`` is one; all tokens
    are ``expired`` or none is.
    """

    def __init__(self) -> None:
        self.known: dict[str, Subscription] = {}
        self.display_name = ""
        self.expired = False
        self.user: SubscriptionUser | None = None

    def _topic(self, subscription: Subscription) -> Topic:
        urn = subscription.topic_urn
        project_id, name = urn.split(":")[3:]
        described = (self.display_name, "0", NOW_MS, NOW_MS)
        return Topic(subscription.topic_id, urn, name, project_id, *described, user=self.user)

    async def add(
        self, topic_urn: str, protocol: str, endpoint: str, **options: Any
    ) -> tuple[Subscription, bool]:
        for found in self.known.values():
            if (found.topic_urn, found.protocol, found.endpoint) == (topic_urn, protocol, endpoint):
                return found, False
        new = Subscription(
            f"{len(self.known):032x}",
            "0" * 32,
            topic_urn,
            protocol,
            endpoint,
            Status.UNCONFIRMED,
            page=0,
            seat=len(self.known),
            **options,
        )
        self.known[new.urn] = new
        return new, True

    async def list_by_topic(self, topic_urn: str, **asked: Any) -> Listing[Subscription]:
        return await self.list(topic_urn.split(":")[3], **asked)

    async def list(
        self, project_id: str, *, query: Any, marker: None, offset: int, limit: int
    ) -> Listing[Subscription]:
        found = tuple(one for one in self.known.values() if query is None or query.finds(one))
        return Listing(found[offset : offset + limit], len(found))

    async def delete(self, subscription_urn: str) -> None:
        parse_subscription(subscription_urn)
        if self.known.pop(subscription_urn, None) is None:
            raise Refused("SMN.0013")

    async def of_token(
        self,
        token: str,
        topic_urn: str | None = None,
        endpoint: str | None = None,
        *,
        used: bool = False,
    ) -> tuple[Topic, Subscription]:
        for found in self.known.values():
            if found.id == token and endpoint in {None, found.endpoint}:
                if self.expired and not (used and found.status is Status.CONFIRMED):
                    break
                return self._topic(found), found
        raise Refused("SMN.0022")

    async def confirm(
        self, token: str, topic_urn: str | None = None, endpoint: str | None = None
    ) -> tuple[Topic, Subscription]:
        topic, found = await self.of_token(token, topic_urn, endpoint)
        self.known[found.urn] = found._replace(status=Status.CONFIRMED)
        return topic, found

    async def of_link(self, subscription_urn: str, sig: str | None) -> tuple[Topic, Subscription]:
        parse_subscription(subscription_urn)
        if subscription_urn not in self.known:
            raise Refused("SMN.0013")
        if sig not in {None, "good"}:
            raise Refused("SMN.0001")
        found = self.known[subscription_urn]
        return self._topic(found), found

    def leave_link(self, subscription: Subscription) -> str:
        urn = subscription.urn
        return f"https://smn.example/smn/subscription/unsubscribe?subscription_urn={urn}&sig=good"

    def return_link(self, subscription: Subscription) -> str:
        return "https://smn.example/smn/subscription/confirm?token=t&topic_urn=<b>"

    async def unsubscribe(self, subscription_urn: str, sig: str | None = None) -> tuple[Topic, str]:
        topic, found = await self.of_link(subscription_urn, sig)
        del self.known[subscription_urn]
        return topic, self.return_link(found)


class FakeDirectory:
    """One account, and what looking it up fails with."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.live = self
        records = (
            Domain(ACCOUNT.domain_id, ACCOUNT.domain_name),
            Project(ACCOUNT.project_id, ACCOUNT.domain_id, ACCOUNT.project_name),
            User(
                ACCOUNT.user_id,
                ACCOUNT.domain_id,
                ACCOUNT.user_name,
                ACCOUNT.password_hash,
                owner=True,
            ),
            AccessKey(ACCOUNT.access_key, ACCOUNT.user_id, ACCOUNT.secret_key),
        )
        self._known = Snapshot({name_of(one): one for one in records}, "region01")

    async def snapshot(self) -> Snapshot:
        if self.error is not None:
            raise self.error
        return self._known

    async def newest(self) -> Snapshot:
        return await self.snapshot()

    def secret(self, key: AccessKey) -> bytes:
        return key.secret.encode()

    def passcode_secret(self, user: User) -> bytes:
        return user.passcode_secret.encode()


class FakeLimiter:
    """No limits."""

    async def blocked(self, *_: Any) -> int:
        return 0

    async def take(self, *_: Any) -> int:
        return 0

    async def clear(self, *_: Any) -> None:
        """Nothing was counted."""


class FakeAttributes:
    """Topics without access policies."""

    async def access_policy(self, topic_urn: str) -> str:
        return ""


class SystemClock:
    """The machine's own time, as the signer uses it."""

    def now_ms(self) -> int:
        import time  # noqa: PLC0415 - only here

        return time.time_ns() // 1_000_000


@dataclass
class FakeEngine:
    """As much of an engine as the API uses."""

    clock: SystemClock = field(default_factory=SystemClock)
    topics: FakeTopics = field(default_factory=FakeTopics)
    subscriptions: FakeSubscriptions = field(default_factory=FakeSubscriptions)
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    attributes: FakeAttributes = field(default_factory=FakeAttributes)
    limiter: FakeLimiter = field(default_factory=FakeLimiter)
    vault: Vault = field(default_factory=lambda: Vault(b"k" * 32))
    keys: Keys = field(default_factory=lambda: Keys("tocsin:", 8))
    published: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None
    hold: asyncio.Event | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        self.store = FakeStore(self.clock)
        self.holding = asyncio.Event()
        self.recorded: list[Any] = []
        self.audit = SimpleNamespace(record=self.recorded.append, drain=AsyncMock())
        self.dataset = SimpleNamespace(
            region="region01",
            certificate_id=f"SMN_region01_{'c' * 32}.pem",
            certificate_pem=b"-----BEGIN",
        )

    async def publish(self, topic_urn: str, message: str, **options: Any) -> str:
        if self.hold is not None:
            self.holding.set()
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.published.append({"topic_urn": topic_urn, "message": message, **options})
        return "f" * 32

    async def health(self) -> str:
        return self.reason


@asynccontextmanager
async def serving(
    engine: Any, settings: Settings, account: Account = ACCOUNT
) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    """The real server in front of an engine; yields a client and the stop event."""
    stop, ready = asyncio.Event(), asyncio.Event()
    with listen(settings.host, settings.port) as listener:
        url = ready_url(settings, listener.getsockname()[1])
        task = asyncio.create_task(
            serve_api(engine, settings, listener, stop=stop, on_ready=ready.set)
        )
        try:
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                await task
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                yield Client(url, session, account), stop
        finally:
            stop.set()
            await task
