"""How batches come into a worker's hands: read from lanes, claimed from the dead, loaded.

A load is one script call for all batches of a read: it checks that they are still this
worker's, and brings what is not cached: content, ledger row, page.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import KeyGone, StoreError
from engine.models import INLINE, End, Kind
from engine.pipeline.batch import Batch, Taken, Try
from engine.pipeline.pages import NO_PAGE
from engine.pipeline.plan import plan_call
from engine.pipeline.rounds import PolledBatch, Progress
from engine.policy.rounds import Rounds
from engine.sealing import sealed_by
from engine.store import messages
from engine.store.keys import GROUP
from engine.store.ledger import Row
from engine.store.messages import Reference
from engine.store.notify_records import read_policy
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.keyring import Keyring
    from engine.models import Message
    from engine.pipeline.pages import Page, Pages
    from engine.ports import Adapter
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys

log = logging.getLogger(__name__)

_LOAD = script(__file__, "load")
_CLAIM = script(__file__, "claim")
_GROUPS = script(__file__, "groups")
_CLAIM_AT_ONCE = 8
_CONTENTS = 32
_FRESH_S = 0.1
"""Age at which an entry that brought everything needs no look at what has changed since."""
_CONTENT_BYTES = 4 * 1024**2


class _Rendered(NamedTuple):
    message: Message
    content: Any
    size: int
    page: Page | None
    """An inline recipient's."""
    key_id: str


class Intake:
    """Takes and loads the batches of one shard."""

    def __init__(
        self,
        shard: int,
        store: Store,
        keys: Keys,
        settings: Settings,
        consumer: str,
        adapters: Mapping[str, Adapter[Any, Any]],
        pages: Pages,
        keyring: Keyring,
    ) -> None:
        self._shard = shard
        self._store = store
        self._keys = keys
        self._settings = settings
        self._consumer = consumer
        self._adapters = adapters
        self._pages = pages
        self._keyring = keyring
        self._contents: OrderedDict[tuple[str, str], _Rendered] = OrderedDict()
        self._held = 0
        self._progress = Progress(store, keys)

    @property
    def lanes(self) -> dict[str, str]:
        """Lane key by protocol."""
        return {p: self._keys.lane(self._shard, p) for p in self._adapters}

    async def ensure_groups(self) -> None:
        """Create the consumer groups that are missing, at 0: nothing added before is missed."""
        await self._store.run(_GROUPS, list(self.lanes.values()), (GROUP,))

    async def claim(self, protocols: Sequence[str]) -> list[Taken]:
        """Take over batches of these lanes whose lease has passed."""
        lanes = [self._keys.lane(self._shard, protocol) for protocol in protocols]
        taken = await self._store.run(
            _CLAIM,
            lanes,
            (GROUP, self._consumer, int(self._settings.lease_seconds * 1000), _CLAIM_AT_ONCE),
        )
        return [Taken(protocols[lane - 1], entry_id, member) for lane, entry_id, member in taken]

    async def load(self, taken: Sequence[Taken]) -> tuple[list[Batch], set[str]]:
        """Batches ready to run, and the protocols whose lanes have a backlog (see `plan`).

        Batches that went to another by now are left out.
        """
        read, at_once = [], []
        for entry in taken:
            reference = self._reference(entry)
            if reference is None:
                await self._discard(entry)
            elif batch := self._open_at_once(entry, reference):
                at_once.append(batch)
            else:
                read.append((entry, reference))
        if not read:
            return at_once, set()
        # Pinned: what the script is told to be known must not leave the caches meanwhile.
        pages = self._pages.pin((ref.topic_id, e.protocol, ref.page) for e, ref in read)
        contents = [self._contents.get((ref.message_id, e.protocol)) for e, ref in read]
        keys: list[str] = []
        args: list[str | bytes] = [GROUP, self._consumer]
        for (entry, ref), page, content in zip(read, pages, contents, strict=True):
            keys += (
                self._keys.lane(self._shard, entry.protocol),
                self._keys.topic(ref.topic_id),
                self._keys.message(ref.topic_id, ref.message_id),
                self._keys.ledger(ref.topic_id, ref.message_id),
                self._keys.page(ref.topic_id, entry.protocol, ref.page),
                self._keys.inbox(self._shard, entry.protocol),
            )
            args += (
                entry.entry_id,
                f"{entry.protocol}:{ref.page}",
                page.version if page else "",
                "1" if content else "0",
            )
        asked = asyncio.get_running_loop().time()
        loaded = await self._store.run(_LOAD, keys, args)
        await self._learn_keys(loaded, contents)
        backlogged = {
            entry.protocol for (entry, _), reply in zip(read, loaded, strict=True) if reply[0]
        }
        return at_once + [
            self._open(entry, ref, reply[1:], asked, page, content)
            for (entry, ref), reply, page, content in zip(
                read, loaded, pages, contents, strict=True
            )
            if len(reply) > 1
        ], backlogged

    async def plan(self, protocols: Iterable[str]) -> None:
        """Fill these lanes from their backlogs: batches that were taken have made room.

        Apart from `load`, which only reads and so never waits for the disk.
        """
        for protocol in protocols:
            await self._store.run(*plan_call(self._keys, self._shard, protocol))

    async def _learn_keys(self, loaded: Sequence[Any], known: Sequence[_Rendered | None]) -> None:
        """See to it that keys of encrypted content are known as they are now."""
        sealed = {sealed_by(reply[5]) for reply in loaded if len(reply) > 1 and reply[5]}
        sealed.update(content.key_id for content in known if content)
        for key_id in sealed - {""}:
            await self._keyring.fresh_for(key_id)

    async def refresh(self, batches: Sequence[Batch]) -> None:
        """Read again the pages that have changed since the batches were loaded."""
        running = [batch for batch in batches if not batch.void]
        if not running:
            return
        page_keys = [(b.reference.topic_id, b.protocol, b.reference.page) for b in running]
        names = [self._keys.page(*key) for key in page_keys]
        versions = await self._store.call_many(
            [("HGET", name, "v") for name in names], key=names[0], repeatable=True
        )
        for batch, key, name, version in zip(running, page_keys, names, versions, strict=True):
            if (version or b"").decode() == batch.page.version:
                continue
            seats = await self._store.call("HGETALL", name, repeatable=True)
            found = dict(zip(seats[::2], seats[1::2], strict=True)).get(b"v")
            batch.page = self._pages.resolve(key, batch.topic_urn, batch.adapter, found, seats)
            batch.stale = True

    def _reference(self, entry: Taken) -> Reference | None:
        try:
            return Reference.decode(entry.member)
        except StoreError:
            return None

    async def _discard(self, entry: Taken) -> None:
        """Take an entry that nobody can read out of its lane: nothing may circle."""
        log.error("lane.entry_discarded", extra={"member": repr(entry.member[:120])})
        lane = self._keys.lane(self._shard, entry.protocol)
        await self._store.call("XACK", lane, GROUP, entry.entry_id, repeatable=True)
        await self._store.call("XDEL", lane, entry.entry_id, repeatable=True)

    def _open_at_once(self, taken: Taken, reference: Reference) -> Batch | None:
        """A batch whose entry has brought everything, None for one that has to be loaded.

        It was accepted just now, for the page as this worker knows it, and this is its first
        reader: there is no row yet, and nobody can have taken it over. It goes to whom it was
        accepted for, as one does that was loaded a moment before its page has changed.
        """
        if not taken.content or sealed_by(taken.content):
            return None
        key = (reference.topic_id, taken.protocol, reference.page)
        (page,) = self._pages.pin([key])
        accepted_ms = int(taken.entry_id.partition(b"-")[0])
        fresh = abs(self._store.clock.now_ms() - accepted_ms) <= _FRESH_S * 1000
        if page is None or page.version != taken.version or not fresh:
            return None
        now = asyncio.get_running_loop().time()
        batch = Batch(
            shard=self._shard,
            taken=taken,
            reference=reference,
            claims=1,
            row=Row(),
            adapter=self._adapters[taken.protocol],
            now=now,
            lease_until=now + self._settings.lease_seconds - _FRESH_S,
        )
        batch.sequence = taken.sequence
        self._fill_or_bury(batch, taken.content, taken.version.encode(), None, page, None)
        return batch

    def _open(
        self,
        taken: Taken,
        reference: Reference,
        reply: Sequence[Any],
        asked: float,
        page: Page | None,
        known: _Rendered | None,
    ) -> Batch:
        claims, idle_ms, gone, sequence, content, packed, version, seats, polling = reply
        adapter = self._adapters[taken.protocol]
        batch = self._kind(polling if adapter.limits.rounds else None)(
            shard=self._shard,
            taken=taken,
            reference=reference,
            claims=claims,
            row=Row.unpack(packed) if packed else Row(),
            adapter=adapter,
            now=asyncio.get_running_loop().time(),
            lease_until=asked + self._settings.lease_seconds - idle_ms / 1000,
        )
        if gone:
            self._void(batch, End.WITHDRAWN)
        elif sequence is None or (known is None and not content):
            log.error(
                "message.lost",
                extra={"message_id": reference.message_id, "topic_id": reference.topic_id},
            )
            batch.sequence = int(sequence or sys.maxsize)
            self._bury(batch, page, seats)
        else:
            batch.sequence = int(sequence)
            self._fill_or_bury(batch, content, version, seats, page, known)
        return batch

    def _kind(self, polling: bytes | None) -> Callable[..., Batch]:
        """What makes a batch of a message with or without rounds."""
        if not polling:
            return Batch
        return partial(PolledBatch, Rounds(read_policy(polling).polling), self._progress)

    def _fill_or_bury(
        self,
        batch: Batch,
        content: bytes,
        version: bytes | None,
        seats: Sequence[bytes] | None,
        page: Page | None,
        known: _Rendered | None,
    ) -> None:
        message_id = batch.reference.message_id
        try:
            self._fill(batch, content, version, seats, page, known)
        except KeyGone as error:
            log.error(  # noqa: TRY400 - it says all there is to know
                "message.sealed",
                extra={"message_id": message_id, "reason": str(error)},
            )
            self._bury(batch, page, seats, str(error))
        except Exception:
            # Content that cannot be read or rendered would fail for ever.
            log.exception("message.unreadable", extra={"message_id": message_id})
            self._bury(batch, page, seats)

    def _fill(
        self,
        batch: Batch,
        content: bytes,
        version: bytes | None,
        seats: Sequence[bytes] | None,
        page: Page | None,
        known: _Rendered | None,
    ) -> None:
        reference = batch.reference
        rendered = (
            known
            # Another page of the same read may have brought it.
            or self._contents.get((reference.message_id, batch.protocol))
            or self._render(batch.protocol, reference, content)
        )
        batch.message = rendered.message
        batch.content, batch.size = rendered.content, rendered.size
        batch.once = rendered.message.kind is Kind.DETECTION
        if rendered.key_id:
            self._keyring.material(rendered.key_id)  # gone is gone, also for what is cached
            context = messages.context(reference.topic_id, reference.message_id)
            batch.conceal = partial(self._keyring.conceal, rendered.key_id, context=context)
        if rendered.page is not None:
            batch.page = rendered.page
        elif version is not None and not seats and page is not None:
            batch.page = page
        else:
            key = (reference.topic_id, batch.protocol, reference.page)
            batch.page = self._pages.resolve(
                key, rendered.message.topic_urn, batch.adapter, version, seats
            )

    def _render(self, protocol: str, reference: Reference, content: bytes) -> _Rendered:
        adapter = self._adapters[protocol]
        message_id, topic_id = reference.message_id, reference.topic_id
        key_id = sealed_by(content)
        if key_id:
            content = self._keyring.unseal(content, messages.context(topic_id, message_id))
        message = messages.decode(message_id, topic_id, content)
        rendered = adapter.render(message, protocol)
        sealed = message.recipient
        page = None if sealed is None else self._pages.alone(message, sealed, adapter)
        found = _Rendered(message, rendered, adapter.size(rendered), page, key_id)
        self._contents[reference.message_id, protocol] = found
        self._held += found.size
        while len(self._contents) > _CONTENTS or self._held > _CONTENT_BYTES:
            _, old = self._contents.popitem(last=False)
            self._held -= old.size
        return found

    def _bury(
        self,
        batch: Batch,
        page: Page | None,
        seats: Sequence[bytes] | None,
        reason: str = "the message is lost",
    ) -> None:
        """End every seat that the message would have gone to as lost.

        Where its number is lost too, that is everybody who is confirmed now.
        """
        reference, now_ms = batch.reference, self._store.clock.now_ms()
        if reference.page == INLINE:
            # The recipient went with the message; a reference without a seat is a redrive's.
            if reference.seat is not None and reference.seat not in batch.row.waiting:
                last = Try(0, now_ms, reason="the message is lost")
                batch.end(reference.seat, reference.subscription_id, "", End.LOST, last)
            self._void(batch, End.LOST)
            return
        try:
            if seats:
                key = (reference.topic_id, batch.protocol, reference.page)
                page = self._pages.read(key, "", batch.adapter, "", seats)
            batch.page = page or NO_PAGE
            for delivery in batch.due(now_ms):
                entry = delivery.entry
                last = Try(delivery.tries, now_ms, reason=reason)
                batch.end(delivery.seat, entry.id, entry.shown, End.LOST, last)
        except Exception:
            log.exception("page.unreadable", extra={"topic_id": reference.topic_id})
        self._void(batch, End.LOST, reason)

    def _void(self, batch: Batch, end: End, reason: str = "") -> None:
        """Leave a batch whose topic or message is gone nothing to do but to be settled."""
        batch.message, batch.page = None, NO_PAGE
        row, now_ms = batch.row, self._store.clock.now_ms()
        for seat, wait in list(row.waiting.items()):
            last = Try(wait.tries, now_ms, reason=reason)
            batch.end(seat, wait.subscription_id, "", end, last)
