"""Stage 1: check a message, store it, number it and queue its pages, in one round trip.

The answer leaves only when Redis holds the message as the configured durability says: with
``fsync`` the server itself answers after its fsync, with ``replica`` the same connection waits
for a replica.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import KeyGone, Refused
from engine.keyring import USABLE
from engine.models import Kind, Message, Subscription, Topic
from engine.policy import filters, texts
from engine.settings import Durability
from engine.store import messages
from engine.store.keys import GROUP
from engine.store.scripts import script
from engine.urns import parse_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.faults import Faults
    from engine.keyring import Keyring
    from engine.pipeline.limits import FlowControl
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.topic_records import TopicRecords

MAX_MESSAGE_BYTES = 262_144
MAX_SUBJECT_BYTES = 512
QUANTUM_PAGES = 8
LANE_LIMIT = 32
"""Batches that wait in a lane at most: about a second of one worker's work."""

_ACCEPT = script(__file__, "accept")
_RECENT_MS = 10_000
_BRIEF_BYTES = 4096
"""Content that travels with its only lane entry, at most: it is in memory twice meanwhile."""
_KNOWN_TOPICS = 10_000
_MEMORY_CHECK_S = 1.0
_CLOCK_SYNC_S = 60.0
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,128}")


class Draft(NamedTuple):
    """A message as its publisher wants it; ``content`` holds ``default`` and per protocol."""

    content: Mapping[str, str]
    subject: str | None = None
    ttl_s: int | None = None
    attributes: Sequence[Mapping[str, object]] = ()
    locale: str = ""
    code: str | None = None


class _Offer(NamedTuple):
    """What the script is asked to accept, and under which conditions."""

    message: Message
    content: bytes
    topic_seen: str
    recipient: Subscription | None
    digest: str
    marker: str
    memory_full: bool


class Publisher:
    """Accepts messages."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        settings: Settings,
        topics: TopicRecords,
        faults: Faults,
        keyring: Keyring,
        flow: FlowControl | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._topics = topics
        self._faults = faults
        self._keyring = keyring
        self._flow = flow
        # URN → topic and the protocols that it had subscribers of; the script corrects both.
        self._known: dict[str, tuple[Topic, str]] = {}
        self._memory_checked = -_MEMORY_CHECK_S
        self._memory_full = False
        self._clock_synced = time.monotonic()

    async def publish(
        self,
        topic_urn: str,
        draft: Draft,
        *,
        idempotency_key: str | None = None,
        request_hash: str | None = None,
    ) -> str:
        """Accept a message for all confirmed subscriptions of a topic; returns its id.

        With an ``idempotency_key`` a second call within the window returns the first one's id;
        ``request_hash`` (hex SHA-256) tells whether it is the same request, by default that of
        the draft. Raises `Refused`: SMN.0005/0006 topic, SMN.0008 subject, SMN.0009 message,
        APIGW.0201 time_to_live or KMS key, TOCSIN.0001/0003 idempotency, APIGW.0308 backlog,
        memory or the topic's rate.
        """
        ttl_s = self._check(draft)
        digest, marker = "", ""
        if idempotency_key is not None:
            if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
                raise Refused("TOCSIN.0003")
            digest = hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]
            marker = request_hash or _fingerprint(draft)
        memory_full = await self._memory_is_full()
        fresh, counted = False, ""
        while True:
            topic, active = await self._topic(topic_urn, fresh=fresh)
            message = self._message(topic, Kind.NOTIFICATION, draft, ttl_s)
            try:
                content = await self._encode(topic, message)
            except Refused:
                if fresh:
                    raise
                fresh = True  # it may have another key since it was read
                continue
            if self._flow is not None and counted != topic.id:
                await self._flow.check_publish(topic)
                counted = topic.id
            accepted = await self._accept(
                _Offer(message, content, _seen(topic), None, digest, marker, memory_full),
                active.split(),
            )
            if accepted is not None:
                return accepted
            # Deleted, made anew or changed since it was read.
            fresh = True

    async def address(
        self,
        topic: Topic,
        subscription: Subscription,
        kind: Kind,
        draft: Draft,
        *,
        link: str | None = None,
        sealed: str | None = None,
    ) -> str:
        """Accept a message for one subscription, whatever its status is; returns its id.

        ``sealed`` is the subscription itself if it is an inline recipient (`Direct`).
        """
        ttl_s = self._check(draft)
        message = self._message(topic, kind, draft, ttl_s, link=link, sealed=sealed)
        memory_full = await self._memory_is_full()
        content = await self._encode(topic, message)
        accepted = await self._accept(
            _Offer(message, content, _seen(topic), subscription, "", "", memory_full),
            (subscription.protocol,),
        )
        if accepted is None:
            raise Refused("SMN.0006")
        return accepted

    async def check_key(self, topic: Topic) -> None:
        """Refuse (APIGW.0201) if the topic is to be encrypted with a key that is not usable."""
        if topic.kms is None:
            return
        key_id = topic.kms.key_id
        state = await self._keyring.fresh_for(key_id)
        if state not in USABLE:
            raise Refused("APIGW.0201", f"The KMS key {key_id} of the topic is {state}.")

    async def _encode(self, topic: Topic, message: Message) -> bytes:
        """The message as it is stored: encrypted if the topic has a key."""
        content = messages.encode(message)
        if topic.kms is None:
            return content
        await self.check_key(topic)
        context = messages.context(topic.id, message.id)
        try:
            return self._keyring.seal(topic.kms.key_id, content, context)
        except KeyGone as error:
            raise Refused("APIGW.0201", f"The topic's content cannot be kept: {error}.") from error

    def _check(self, draft: Draft) -> int:
        """Refuse what the contract refuses; returns the time to live in seconds."""
        subject = draft.subject or ""
        if not texts.is_line(subject) or texts.size(subject) > MAX_SUBJECT_BYTES:
            raise Refused(
                "SMN.0008", f"It has at most {MAX_SUBJECT_BYTES} bytes and no control characters."
            )
        if "default" not in draft.content or not all(
            1 <= texts.size(text) <= MAX_MESSAGE_BYTES for text in draft.content.values()
        ):
            raise Refused("SMN.0009", f"It has 1 to {MAX_MESSAGE_BYTES} bytes of UTF-8.")
        ttl_s = self._settings.default_ttl if draft.ttl_s is None else draft.ttl_s
        if not 1 <= ttl_s <= self._settings.max_ttl:
            raise Refused("APIGW.0201", f"time_to_live is 1 to {self._settings.max_ttl} seconds.")
        return ttl_s

    def _message(
        self,
        topic: Topic,
        kind: Kind,
        draft: Draft,
        ttl_s: int,
        *,
        link: str | None = None,
        sealed: str | None = None,
    ) -> Message:
        now_ms = self._clock.now_ms()
        return Message(
            id=os.urandom(16).hex(),
            topic_id=topic.id,
            topic_urn=topic.urn,
            project_id=topic.project_id,
            kind=kind,
            content=draft.content,
            created_ms=now_ms,
            deadline_ms=now_ms + ttl_s * 1000,
            subject=draft.subject or None,
            attributes=tuple(draft.attributes),
            link=link,
            locale=draft.locale,
            topic_name=topic.name,
            display_name=topic.display_name,
            recipient=sealed,
            code=draft.code,
        )

    async def _accept(self, offer: _Offer, protocols: Iterable[str]) -> str | None:
        """Run the script until it knows the protocols.

        Returns the message's id, or None if the topic is not as it was read.
        """
        known = tuple(protocols)
        while True:
            self._faults.reach("accept:before")
            verdict, *rest = await self._store.run(
                _ACCEPT,
                self._accept_keys(offer, known),
                (*self._accept_args(offer), *known),
                wait_replicas=self._settings.durability is Durability.REPLICA,
            )
            self._faults.reach("accept:after")
            match verdict:
                case b"ok" | b"replay":
                    if offer.recipient is None:
                        self._learn(offer.message.topic_urn, rest[2].decode())
                    return str(rest[0].decode())
                case b"protocols":
                    known = tuple(rest[2].decode().split())
                case b"gone" | b"stale":
                    return None
                case b"conflict":
                    raise Refused("TOCSIN.0001")
                case b"full":
                    raise Refused("APIGW.0308", "the backlog limit is reached", retry_after=5)
                case _:
                    raise Refused("APIGW.0308", "the memory limit is reached", retry_after=5)

    def _accept_keys(self, offer: _Offer, protocols: Iterable[str]) -> list[str]:
        keys, message = self._keys, offer.message
        shard = keys.shard_of_topic(message.topic_id)
        stored = keys.message(message.topic_id, message.id)
        found = [
            keys.topic(message.topic_id),
            stored,
            keys.recent(shard),
            keys.gauges(shard),
            keys.idempotency(message.topic_id, offer.digest) if offer.digest else stored,
        ]
        for protocol in protocols:
            found += (
                keys.inbox(shard, protocol),
                keys.backlog(shard, protocol),
                keys.lane(shard, protocol),
                keys.page(message.topic_id, protocol, 0),
            )
        return found

    def _accept_args(self, offer: _Offer) -> tuple[str | bytes | int, ...]:
        recipient = offer.recipient
        place = ""
        only = filters.protocols(offer.message.attributes) if recipient is None else None
        if recipient is not None:
            place = f"{recipient.page}:{recipient.seat}:{recipient.id}"
        return (
            offer.message.id,
            offer.message.topic_id,
            offer.content,
            _RECENT_MS,
            offer.marker if offer.digest else "",
            self._settings.idempotency_seconds * 1000,
            QUANTUM_PAGES,
            LANE_LIMIT,
            self._settings.max_backlog,
            recipient.protocol if recipient else "",
            place,
            int(offer.memory_full),
            offer.topic_seen,
            GROUP,
            "" if only is None else f" {' '.join(sorted(only))} ",
            _BRIEF_BYTES,
        )

    async def _topic(self, urn: str, *, fresh: bool) -> tuple[Topic, str]:
        known = None if fresh else self._known.get(urn)
        if known is not None:
            return known
        parsed = parse_topic(urn)
        topic_id = await self._topics.find(parsed)
        topic = await self._topics.read(topic_id) if topic_id else None
        # A subscription user's topic is hidden, also from services that publish to every topic.
        if topic is None or topic.urn != urn or topic.user is not None:
            raise Refused("SMN.0006")
        if len(self._known) >= _KNOWN_TOPICS:
            self._known.clear()
        self._known[urn] = topic, ""
        return self._known[urn]

    def _learn(self, urn: str, active: str) -> None:
        known = self._known.get(urn)
        if known is not None and known[1] != active:
            self._known[urn] = known[0], active

    async def _memory_is_full(self) -> bool:
        """Whether Redis is past the share of its memory that messages may take.

        Asked once a second at most; the clock's offset is measured anew on the way.
        """
        now = time.monotonic()
        if now - self._memory_checked >= _MEMORY_CHECK_S:
            self._memory_checked = now
            if now - self._clock_synced >= _CLOCK_SYNC_S:
                self._clock_synced = now
                await self._store.sync_clock()
            used, maximum = await self._store.used_memory()
            self._memory_full = maximum > 0 and used >= maximum * self._settings.memory_limit
        return self._memory_full


def _seen(topic: Topic) -> str:
    """What the script compares, so that a change is never overlooked."""
    kms = topic.kms
    return f"{topic.updated_ms} {kms.id}:{kms.key_id}" if kms else f"{topic.updated_ms} "


def _fingerprint(draft: Draft) -> str:
    text = repr((sorted(draft.content.items()), draft.subject, draft.ttl_s, draft.attributes))
    return hashlib.sha256(text.encode()).hexdigest()
