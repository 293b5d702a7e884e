"""The composition root: builds every part from a store, keys and settings.

The only module that knows all others; adapters come by entry point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.control.applications import Applications
from engine.control.attributes import Attributes
from engine.control.audit import Audit
from engine.control.detection import Detection
from engine.control.devices import Devices
from engine.control.directory import Directory
from engine.control.filter_policies import FilterPolicies
from engine.control.invitations import Invitations
from engine.control.kms import Kms
from engine.control.logs import Logs
from engine.control.logtanks import Logtanks
from engine.control.metrics import Metrics
from engine.control.notify_policies import NotifyPolicies
from engine.control.sms import Sms
from engine.control.subscription_users import SubscriptionUsers
from engine.control.subscriptions import Subscriptions
from engine.control.tags import Tags
from engine.control.templates import Templates
from engine.control.topics import Topics
from engine.faults import Faults
from engine.guard import AddressGuard
from engine.iam.live import LiveDirectory
from engine.keyring import Keyring
from engine.links import LinkMaker
from engine.multiplex import Multiplexer
from engine.pipeline.accept import Publisher
from engine.pipeline.direct import Direct
from engine.pipeline.limits import FlowControl
from engine.policy.limits import flow_of
from engine.policy.names import PROTOCOLS, RETIRED
from engine.ports import Ports
from engine.registry import load_adapters
from engine.retention import Retention
from engine.settings import Settings
from engine.signing import CertificateSigner
from engine.store.accounts import Accounts
from engine.store.applications import ApplicationRecords
from engine.store.attribute_records import AttributeRecords
from engine.store.audit_log import AuditLog
from engine.store.codes import Codes
from engine.store.connection import Store
from engine.store.counters import Counters
from engine.store.dead_letters import DeadLetters
from engine.store.delivery_log import DeliveryLog
from engine.store.device_finder import DeviceFinder
from engine.store.devices import DeviceRecords
from engine.store.directory_records import DirectoryRecords
from engine.store.events import Events
from engine.store.homes import Homes
from engine.store.keys import Keys
from engine.store.limiter import Limiter
from engine.store.logtank_records import LogtankRecords
from engine.store.notify_records import NotifyRecords
from engine.store.outbox import StoreOutbox
from engine.store.pending import Pending
from engine.store.probes import Probes
from engine.store.roster import Roster
from engine.store.tag_records import APPLICATIONS, TOPICS, TagRecords
from engine.store.templates import TemplateRecords
from engine.store.topic_records import TopicRecords
from engine.store.user_records import UserRecords
from engine.transport import AiohttpTransport
from engine.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ports import Adapter, Transport
    from engine.store.dataset import Dataset


class Parts:
    """Every part of an engine, under the name that others know it by."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        keys: Keys,
        vault: Vault,
        keyring: Keyring,
        dataset: Dataset,
        transport: Transport | None,
        adapters: Iterable[Adapter[Any, Any]] = (),
    ) -> None:
        self.settings = settings
        self.store = store
        self.keys = keys
        self.vault = vault
        self.keyring = keyring
        self.dataset = dataset
        self.clock = store.clock
        self.faults = Faults(settings.fault_point)
        self.accounts = Accounts(store, keys, vault, settings)
        live = LiveDirectory(
            DirectoryRecords(store, keys, settings), vault, dataset.region, self.accounts.plant
        )
        self.directory = Directory(live, self.accounts)
        self.outbox = StoreOutbox(store, keys, settings.outbox_entries, keyring)
        self.events = Events(store, keys)
        self.audit = Audit(AuditLog(store, keys, settings, self.clock), self.clock)
        self.counts = Counters(store, keys)
        self.log = DeliveryLog(store, keys)
        self.dead = DeadLetters(store, keys, keyring)
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
        self._gateway = AiohttpTransport(None, timeout_s=settings.send_timeout)
        self._multiplexer = Multiplexer(timeout_s=settings.send_timeout)
        self._applications = ApplicationRecords(store, keys, vault, dataset.region)
        self._devices = DeviceRecords(store, keys, vault)
        self.device_finder = DeviceFinder(
            self._applications, self._devices, self.clock, dataset.region
        )
        self.adapters = load_adapters(
            Ports(
                clock=self.clock,
                transport=transport or self._transport,
                gateway=self._gateway,
                http2=self._multiplexer,
                guard=guard,
                signer=self.signer,
                links=self.links,
                outbox=self.outbox,
                devices=self.device_finder,
            ),
            settings.adapters,
        )
        self.adapters |= {protocol: one for one in adapters for protocol in one.protocols}
        self._records = TopicRecords(store, keys, self.pending)
        secret = frozenset(
            protocol
            for protocol, adapter in self.adapters.items()
            if adapter.limits.secret_endpoint
        )
        self.roster = Roster(store, keys, vault, self.pending, secret)
        self.limiter = Limiter(store, keys, vault)
        self._build_control_plane(settings, store, keys, dataset)

    def _build_control_plane(
        self, settings: Settings, store: Store, keys: Keys, dataset: Dataset
    ) -> None:
        """What is built on the data path's parts: a resource of the contract each."""
        flow = flow_of(settings)
        self.flow = FlowControl(flow, self.limiter, self.clock) if flow else None
        self.topics = Topics(self._records, settings)
        self.metrics = Metrics(self._records, self.counts, settings, self.clock)
        self.attributes = Attributes(self.topics, self._records, AttributeRecords(store, keys))
        self.logtanks = Logtanks(self.topics, LogtankRecords(store, keys))
        self.logs = Logs(self.log, self._records)
        self.kms = Kms(self._records, self.topics, self.keyring)
        self.publisher = Publisher(
            store, keys, self.clock, settings, self._records, self.faults, self.keyring, self.flow
        )
        self.protocols = PROTOCOLS | self.adapters.keys()
        self.templates = Templates(TemplateRecords(store, keys), settings, self.protocols | RETIRED)
        self.homes = Homes(store, keys)
        self.direct = Direct(self.publisher, self.roster.recipients, self.adapters)
        self.applications = Applications(
            self._applications, self.homes, self.adapters, dataset.region
        )
        self.tags = Tags(
            self.topics,
            self.applications,
            TagRecords(store, keys, TOPICS),
            TagRecords(store, keys, APPLICATIONS),
        )
        self.devices = Devices(self._devices, self.applications, self.direct)
        self.sms = Sms(self.homes, self.direct, self.adapters, dataset.region)
        self.detection = Detection(
            topics=self.topics,
            direct=self.direct,
            probes=Probes(store, keys),
            limiter=self.limiter,
            adapters=self.adapters,
            clock=self.clock,
            settings=settings,
        )
        self.subscriptions = Subscriptions(
            roster=self.roster,
            topics=self.topics,
            records=self._records,
            invitations=Invitations(
                publisher=self.publisher,
                limiter=self.limiter,
                codes=Codes(store, keys, self.vault),
                links=self.links,
                adapters=self.adapters,
                directory=self.directory.live,
                clock=self.clock,
            ),
            links=self.links,
            adapters=self.adapters,
            clock=self.clock,
            settings=settings,
        )
        self.filter_policies = FilterPolicies(self.roster, self.subscriptions)
        self.subscription_users = SubscriptionUsers(
            UserRecords(store, keys, self._records, self.roster, dataset.region),
            self.subscriptions,
            self.topics,
        )
        self.notify_policies = NotifyPolicies(
            NotifyRecords(store, keys), self.topics, self.roster, self.adapters
        )
