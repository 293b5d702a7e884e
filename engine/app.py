"""The composition root: builds every part, owns start and stop.

The only module that knows all others; adapters come by entry point.
"""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.control.attributes import Attributes
from engine.control.audit import Audit
from engine.control.logs import Logs
from engine.control.logtanks import Logtanks
from engine.control.metrics import Metrics
from engine.control.subscriptions import Subscriptions
from engine.control.tags import Tags
from engine.control.topics import Topics
from engine.embedded import EmbeddedServer
from engine.errors import StoreError
from engine.faults import Faults
from engine.guard import AddressGuard
from engine.links import LinkMaker
from engine.pipeline.accept import Draft, Publisher
from engine.ports import Ports
from engine.registry import load_adapters
from engine.retention import Retention
from engine.settings import Settings
from engine.signing import CertificateSigner
from engine.store.accounts import Accounts
from engine.store.attribute_records import AttributeRecords
from engine.store.audit_log import AuditLog
from engine.store.connection import Store
from engine.store.counters import Counters
from engine.store.dataset import open_dataset
from engine.store.dead_letters import DeadLetters
from engine.store.delivery_log import DeliveryLog
from engine.store.events import Events
from engine.store.keys import Keys
from engine.store.limiter import Limiter
from engine.store.logtank_records import LogtankRecords
from engine.store.outbox import StoreOutbox
from engine.store.pending import Pending
from engine.store.roster import Roster
from engine.store.tag_records import TagRecords
from engine.store.topic_records import TopicRecords
from engine.transport import AiohttpTransport
from engine.vault import Vault
from engine.worker import Worker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from engine.models import DeadLetter, LogLine, Subscription, Topic
    from engine.ports import Transport
    from engine.store.dataset import Dataset

_WORKER_SILENCE_MS = 15_000


class Engine:
    """A fan-out engine on one data set: the same for a server, a benchmark and a library.

    Get one from `Engine.open`. It installs no signal handlers, no loop policy and no logging.
    Methods raise `engine.errors.Refused` for what the SMN contract refuses and
    `engine.errors.StoreError` for what Redis could not do.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        keys: Keys,
        vault: Vault,
        dataset: Dataset,
        transport: Transport | None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.keys = keys
        self.vault = vault
        self.dataset = dataset
        self.clock = store.clock
        self.faults = Faults(settings.fault_point)
        self.accounts = Accounts(store, keys, vault, settings)
        self.outbox = StoreOutbox(store, keys, settings.outbox_entries)
        self.events = Events(store, keys)
        self.audit = Audit(AuditLog(store, keys, settings, self.clock), self.clock)
        self.counts = Counters(store, keys)
        self.log = DeliveryLog(store, keys)
        self.dead = DeadLetters(store, keys)
        self.pending = Pending(store, keys)
        self.retention = Retention(
            store, keys, settings, self.clock, self.dead, self.log, self.pending
        )
        self.links = LinkMaker(vault, settings.public_url, dataset.region)
        self.signer = CertificateSigner(
            dataset.signing_key_pem,
            dataset.certificate_pem,
            dataset.certificate_id,
            settings.public_url,
        )
        guard = AddressGuard(settings.allow_endpoints)
        self._transport = AiohttpTransport(guard, timeout_s=settings.send_timeout)
        self.adapters = load_adapters(
            Ports(
                clock=self.clock,
                transport=transport or self._transport,
                guard=guard,
                signer=self.signer,
                links=self.links,
                outbox=self.outbox,
            )
        )
        records = TopicRecords(store, keys, self.pending)
        secret = frozenset(
            protocol
            for protocol, adapter in self.adapters.items()
            if adapter.limits.secret_endpoint
        )
        self.roster = Roster(store, keys, vault, self.pending, secret)
        self.limiter = Limiter(store, keys, vault)
        self.topics = Topics(records, settings)
        self.metrics = Metrics(records, self.counts, settings, self.clock)
        self.attributes = Attributes(self.topics, records, AttributeRecords(store, keys))
        self.tags = Tags(self.topics, TagRecords(store, keys))
        self.logtanks = Logtanks(self.topics, LogtankRecords(store, keys))
        self.logs = Logs(self.log, records)
        self.publisher = Publisher(store, keys, self.clock, settings, records, self.faults)
        self.subscriptions = Subscriptions(
            roster=self.roster,
            topics=self.topics,
            records=records,
            publisher=self.publisher,
            limiter=self.limiter,
            links=self.links,
            adapters=self.adapters,
            clock=self.clock,
            settings=settings,
        )

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
    ) -> AsyncIterator[Engine]:
        """Open an engine on the Redis at ``url``, or on a private server in ``data``.

        ``settings`` default to what the environment and ``tocsin.toml`` say; the other
        arguments go before them. ``public_url`` is the base of links in messages; ``transport``
        replaces the HTTP client. Raises `ConfigurationError`, `StoreUnfit` or `AdapterError`
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
            engine = cls(settings, store, keys, vault, dataset, transport)
            stack.push_async_callback(engine._close)
            yield engine

    async def _close(self) -> None:
        for adapter in {id(a): a for a in self.adapters.values()}.values():
            await adapter.close()
        await self._transport.close()

    def set_public_url(self, url: str) -> None:
        """Use another base for links from now on: a server on port 0 learns it late."""
        self.links.set_base_url(url)
        self.signer.set_base_url(url)

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

    async def publish(
        self,
        topic_urn: str,
        message: str,
        *,
        subject: str | None = None,
        ttl: int | None = None,
        attributes: Sequence[Mapping[str, object]] | None = None,
        idempotency_key: str | None = None,
        request_hash: str | None = None,
    ) -> str:
        """Accept a message for all confirmed subscriptions of a topic; returns its id.

        ``message`` has 1 to 262,144 bytes of UTF-8, ``subject`` at most 512; ``ttl`` is in
        seconds. When this returns, the message is as safe as ``settings.durability`` says.
        See `engine.pipeline.accept.Publisher.publish` for the codes of refusals.
        """
        return await self.publisher.publish(
            topic_urn,
            Draft({"default": message}, subject, ttl, tuple(attributes or ())),
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
        """Ended deliveries of a topic, oldest first, at most ``limit``."""
        topic = await self.topics.get(topic_urn)
        found: list[LogLine] = []
        async for line in self.log.read(topic, since_ms=since_ms, message_id=message_id):
            found.append(line)
            if len(found) == limit:
                break
        return found

    async def counters(
        self, topic_urn: str, *, since_ms: int = 0, until_ms: int | None = None
    ) -> dict[tuple[str, str], int]:
        """Counts of a topic by (protocol, name); names: attempted, delivered, 4xx, 5xx.

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
        """Dead letters of one topic, or of all, at most ``limit``."""
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
        return [(await self.topics.get(topic_urn)).id]


def _of_message(message_id: str | None) -> Callable[[DeadLetter], bool]:
    return lambda letter: message_id is None or letter.message_id == message_id
