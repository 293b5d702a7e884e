"""How batches come into a worker's hands: read from lanes, claimed from the dead, loaded.

A load is one script call for all batches of a read: it checks that they are still this
worker's, and brings what is not cached: content, ledger row, page.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import StoreError
from engine.models import End
from engine.pipeline.batch import Batch, Taken, Try
from engine.pipeline.pages import NO_PAGE
from engine.pipeline.plan import plan_call
from engine.store import messages
from engine.store.keys import GROUP
from engine.store.ledger import Row
from engine.store.messages import Reference
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
_CONTENT_BYTES = 4 * 1024**2


class _Rendered(NamedTuple):
    message: Message
    content: Any
    size: int


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
    ) -> None:
        self._shard = shard
        self._store = store
        self._keys = keys
        self._settings = settings
        self._consumer = consumer
        self._adapters = adapters
        self._pages = pages
        self._contents: OrderedDict[tuple[str, str], _Rendered] = OrderedDict()
        self._held = 0

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
        read = [(entry, reference) for entry in taken if (reference := self._reference(entry))]
        if not read:
            await self._discard(taken)
            return [], set()
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
        if len(read) < len(taken):
            await self._discard([entry for entry in taken if not self._reference(entry)])
        backlogged = {
            entry.protocol for (entry, _), reply in zip(read, loaded, strict=True) if reply[0]
        }
        return [
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

    async def _discard(self, unreadable: Sequence[Taken]) -> None:
        """Take entries that nobody can read out of their lanes: nothing may circle."""
        for entry in unreadable:
            log.error("lane.entry_discarded", extra={"member": repr(entry.member[:120])})
            lane = self._keys.lane(self._shard, entry.protocol)
            await self._store.call("XACK", lane, GROUP, entry.entry_id, repeatable=True)
            await self._store.call("XDEL", lane, entry.entry_id, repeatable=True)

    def _open(
        self,
        taken: Taken,
        reference: Reference,
        reply: Sequence[Any],
        asked: float,
        page: Page | None,
        known: _Rendered | None,
    ) -> Batch:
        claims, idle_ms, gone, sequence, content, packed, version, seats = reply
        batch = Batch(
            shard=self._shard,
            taken=taken,
            reference=reference,
            claims=claims,
            row=Row.unpack(packed) if packed else Row(),
            adapter=self._adapters[taken.protocol],
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
            try:
                self._fill(batch, content, version, seats, page, known)
            except Exception:
                # Content that cannot be read or rendered would fail for ever.
                log.exception("message.unreadable", extra={"message_id": reference.message_id})
                self._bury(batch, page, seats)
        return batch

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
        rendered = known or self._render(batch.protocol, reference, content)
        batch.message = rendered.message
        batch.content, batch.size = rendered.content, rendered.size
        if version is not None and not seats and page is not None:
            batch.page = page
        else:
            key = (reference.topic_id, batch.protocol, reference.page)
            batch.page = self._pages.resolve(
                key, rendered.message.topic_urn, batch.adapter, version, seats
            )

    def _render(self, protocol: str, reference: Reference, content: bytes) -> _Rendered:
        adapter = self._adapters[protocol]
        message = messages.decode(reference.message_id, reference.topic_id, content)
        rendered = adapter.render(message, protocol)
        found = _Rendered(message, rendered, adapter.size(rendered))
        self._contents[reference.message_id, protocol] = found
        self._held += found.size
        while len(self._contents) > _CONTENTS or self._held > _CONTENT_BYTES:
            _, old = self._contents.popitem(last=False)
            self._held -= old.size
        return found

    def _bury(self, batch: Batch, page: Page | None, seats: Sequence[bytes] | None) -> None:
        """End every seat that the message would have gone to as lost.

        Where its number is lost too, that is everybody who is confirmed now.
        """
        reference, now_ms = batch.reference, self._store.clock.now_ms()
        try:
            if seats:
                key = (reference.topic_id, batch.protocol, reference.page)
                page = self._pages.read(key, "", batch.adapter, "", seats)
            batch.page = page or NO_PAGE
            for delivery in batch.due(now_ms):
                entry = delivery.entry
                last = Try(delivery.tries, now_ms, reason="the message is lost")
                batch.end(delivery.seat, entry.id, entry.shown, End.LOST, last)
        except Exception:
            log.exception("page.unreadable", extra={"topic_id": reference.topic_id})
        self._void(batch, End.LOST)

    def _void(self, batch: Batch, end: End) -> None:
        """Leave a batch whose topic or message is gone nothing to do but to be settled."""
        batch.message, batch.page = None, NO_PAGE
        row, now_ms = batch.row, self._store.clock.now_ms()
        for seat, wait in list(row.waiting.items()):
            batch.end(seat, wait.subscription_id, "", end, Try(wait.tries, now_ms))
