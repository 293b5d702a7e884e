"""The engine as programs use it: a server, a worker, a benchmark, a library."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.embedded import EmbeddedServer
from engine.errors import Refused, StoreError
from engine.keyring import Keyring
from engine.parts import Parts
from engine.pipeline.accept import Draft
from engine.policy import attributes as message_attributes
from engine.policy import structure as message_structure
from engine.settings import Settings
from engine.store.connection import Store
from engine.store.dataset import open_dataset
from engine.store.homes import home_of
from engine.store.keys import Keys
from engine.urns import parse_application, parse_topic
from engine.vault import Vault
from engine.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.models import DeadLetter, LogLine, Subscription, Topic
    from engine.ports import Adapter, Transport

_WORKER_SILENCE_MS = 15_000
_TOPIC_COLONS = 4
"""In a topic's URN; one of anything else has more."""


class Engine(Parts):
    """A fan-out engine on one data set: the same for a server, a benchmark and a library.

    Get one from `Engine.open`. It installs no signal handlers, no loop policy and no logging.
    Methods raise `engine.errors.Refused` for what the SMN contract refuses and
    `engine.errors.StoreError` for what Redis could not do.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str | None = None,
        *,
        data: Path | None = None,
        settings: Settings | None = None,
        public_url: str | None = None,
        transport: Transport | None = None,
        adapters: Iterable[Adapter[Any, Any]] = (),
    ) -> AsyncIterator[Engine]:
        """Open an engine on the Redis at ``url``, or on a private server in ``data``.

        ``settings`` default to what the environment and ``tocsin.toml`` say; the other
        arguments go before them. ``public_url`` is the base of links in messages; ``transport``
        replaces the HTTP client; ``adapters`` speak for their protocols in place of those that
        are installed. Raises `ConfigurationError`, `StoreUnfit` or `AdapterError`
        when it must not run as asked.
        """
        given: dict[str, Any] = {"redis": url, "data": data, "public_url": public_url}
        changes = {name: value for name, value in given.items() if value is not None}
        if settings is None:
            settings = Settings.read(**changes)
        elif changes:
            settings = settings.model_copy(update=changes)
        async with AsyncExitStack() as stack:
            address = settings.redis
            if not address:
                server = await EmbeddedServer.start(settings.data, settings)
                stack.push_async_callback(server.stop)
                address = server.url
            store = await Store.connect(address, settings=settings)
            stack.push_async_callback(store.close)
            await store.verify_durability(settings.durability)
            keys = Keys(settings.key_prefix, settings.shards)
            fresh = not await store.call("EXISTS", keys.dataset(), repeatable=True)
            vault = Vault.open(
                settings.master_key_file or settings.data / "master.key", create=fresh
            )
            dataset = await open_dataset(store, keys, settings, vault)
            keyring = await asyncio.to_thread(Keyring.open, settings.data, vault)
            engine = cls(settings, store, keys, vault, keyring, dataset, transport, adapters)
            stack.push_async_callback(engine._close)
            yield engine

    async def _close(self) -> None:
        for adapter in {id(a): a for a in self.adapters.values()}.values():
            await adapter.close()
        await self._transport.close()
        await self._gateway.close()
        await self._multiplexer.close()

    # Topics, subscriptions, messages

    async def create_topic(self, name: str, *, project_id: str | None = None) -> Topic:
        """The topic of this name in a project (default: the data set's own), made if missing."""
        if project_id is None:
            project_id = (await self.accounts.bootstrap()).project_id
        topic, _ = await self.topics.create(project_id, name)
        return topic

    async def subscribe(
        self,
        topic_urn: str,
        protocol: str,
        endpoint: str,
        *,
        confirmed: bool = False,
        extension: Mapping[str, object] | None = None,
    ) -> Subscription:
        """Subscribe an endpoint; ``confirmed`` skips the invitation, for one's own endpoints."""
        subscription, _ = await self.subscriptions.add(
            topic_urn, protocol, endpoint, extension=extension, confirmed=confirmed
        )
        return subscription

    async def subscribe_many(self, topic_urn: str, protocol: str, endpoints: Iterable[str]) -> int:
        """Subscribe one's own endpoints as confirmed; returns how many are new."""
        return await self.subscriptions.add_many(topic_urn, protocol, endpoints)

    async def publish(  # noqa: PLR0913 - all that the contract lets a publisher say
        self,
        topic_urn: str,
        message: str = "",
        *,
        subject: str | None = None,
        ttl: int | None = None,
        attributes: Sequence[Mapping[str, object]] | None = None,
        structure: str | None = None,
        template: str | None = None,
        tags: Mapping[str, str] | None = None,
        locale: str = "",
        project_id: str | None = None,
        idempotency_key: str | None = None,
        request_hash: str | None = None,
    ) -> str:
        """Accept a message for all confirmed subscriptions of a topic; returns its id.

        ``message`` has 1 to 262,144 bytes of UTF-8, ``subject`` at most 512; ``ttl`` is in
        seconds. ``structure``, JSON with a text for each protocol, goes before ``template``, a
        template's name whose variables are filled with ``tags``, and that before ``message``;
        templates are those of ``project_id``, by default the topic's. When this returns, the
        message is as safe as ``settings.durability`` says.

        Codes of refusals: `engine.pipeline.accept.Publisher.publish`, SMN.0021 structure,
        SMN.0038/0042/0076 template, SMN.0043 attributes.
        """
        content: Mapping[str, str]
        if structure is not None:
            content = message_structure.parse(structure, self.protocols)
        elif template is not None:
            project_id = project_id or parse_topic(topic_urn).project_id
            content = await self.templates.fill(project_id, template, tags)
        else:
            content = {"default": message}
        checked = message_attributes.check(attributes, self.protocols) if attributes else ()
        return await self.publisher.publish(
            topic_urn,
            Draft(content, subject, ttl, checked, locale),
            idempotency_key=idempotency_key,
            request_hash=request_hash,
        )

    # Delivery

    async def run_worker(
        self,
        stop: asyncio.Event,
        *,
        name: str | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Deliver until ``stop`` is set, then finish or give back what is in hand."""
        worker = Worker(self, name or f"w-{secrets.token_hex(4)}")
        await worker.run(stop, on_ready)

    async def delivery_log(
        self, topic_urn: str, *, since_ms: int = 0, message_id: str | None = None, limit: int = 1000
    ) -> list[LogLine]:
        """Ended deliveries of a topic or home, oldest first, at most ``limit``."""
        topic = await self.topic_or_home(topic_urn)
        found: list[LogLine] = []
        async for line in self.log.read(topic, since_ms=since_ms, message_id=message_id):
            found.append(line)
            if len(found) == limit:
                break
        return found

    async def topic_or_home(self, urn: str) -> Topic:
        """What deliveries belong to: a topic, or of direct messages their home.

        That is an application, or for a project's texts to numbers ``…:sms:direct``. Codes:
        SMN.0005/0006 topic, SMN.0122 application, SMN.0006 for what is neither.
        """
        if urn.count(":") == _TOPIC_COLONS:
            return await self.topics.get(urn)
        if ":application:" in urn:
            application = await self.applications.find(parse_application(urn))
            if application is None:
                raise Refused("SMN.0122")
            return await self.applications.home(application)
        home = await self._records.read(home_of(urn))
        if home is None:
            raise Refused("SMN.0006")
        return home

    async def counters(
        self, topic_urn: str, *, since_ms: int = 0, until_ms: int | None = None
    ) -> dict[tuple[str, str], int]:
        """Counts of a topic by (protocol, name); names: attempted, delivered, 4xx, 5xx, limited.

        Summed over 5-minute buckets from ``since_ms`` on, as far back as they are kept.
        """
        topic = await self.topics.get(topic_urn)
        now_ms = self.clock.now_ms()
        oldest_ms = max(since_ms, topic.created_ms, now_ms - self.settings.counter_seconds * 1000)
        found = await self.counts.read(topic.id, since_ms=oldest_ms, until_ms=until_ms or now_ms)
        total: Counter[tuple[str, str]] = Counter()
        for bucket in found.values():
            total += bucket
        return dict(total)

    async def dead_letters(
        self, topic_urn: str | None = None, *, limit: int = 100
    ) -> list[DeadLetter]:
        """Dead letters of one topic or home, or of all, at most ``limit``."""
        found: list[DeadLetter] = []
        for topic_id in await self._dead_topics(topic_urn):
            async for letter in self.dead.list(topic_id):
                if len(found) == limit:
                    return found
                found.append(letter)
        return found

    async def redrive(
        self, topic_urn: str | None = None, *, message_id: str | None = None, ttl: int | None = None
    ) -> int:
        """Deliver dead letters again, of one topic or all, with all tries anew for ``ttl`` seconds.

        Returns how many; those of a page that is still being delivered stay for a later call.
        """
        lifetime_s = ttl or self.settings.default_ttl
        redriven = 0
        for topic_id in await self._dead_topics(topic_urn):
            count, _ = await self.dead.redrive(
                topic_id,
                deadline_ms=self.clock.now_ms() + lifetime_s * 1000,
                wanted=_of_message(message_id),
            )
            redriven += count
        return redriven

    async def drop(self, topic_urn: str | None = None, *, message_id: str | None = None) -> int:
        """Drop dead letters of one topic or all for good; returns how many."""
        return sum(
            [
                await self.dead.drop(topic_id, wanted=_of_message(message_id))
                for topic_id in await self._dead_topics(topic_urn)
            ]
        )

    async def health(self) -> str:
        """Why the service is not ready, in one sentence; '' if it is."""
        try:
            seen = await self.store.call(
                "ZCOUNT",
                self.keys.workers(),
                self.clock.now_ms() - _WORKER_SILENCE_MS,
                "+inf",
                repeatable=True,
            )
        except StoreError:
            return "Redis does not answer."
        return "" if seen else "No worker has been seen lately."

    async def _dead_topics(self, topic_urn: str | None) -> list[str]:
        if topic_urn is None:
            return await self.dead.topics()
        return [(await self.topic_or_home(topic_urn)).id]


def _of_message(message_id: str | None) -> Callable[[DeadLetter], bool]:
    return lambda letter: message_id is None or letter.message_id == message_id
