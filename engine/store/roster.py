"""A topic's subscriptions: pages of seats, and the ways to find one.

A seat's value is ``status first created_ms JSON``; the JSON is ``[id, endpoint, remark,
extension]``. Scripts change the first two numbers and never look into the JSON; this module is
the only one that knows it. An extension, and an endpoint that its adapter calls a secret, are
encrypted under the master key (`engine.vault`).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.models import PAGE_SEATS, Listing, Status, Subscription
from engine.store.recipients import Recipients
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.models import Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.pending import Pending
    from engine.vault import Vault

_SUBSCRIBE = script(__file__, "subscribe")
_STATUS = script(__file__, "subscription_status")
_UNSUBSCRIBE = script(__file__, "unsubscribe")
_MOVED = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """A subscription to be made."""

    endpoint: str
    remark: str = ""
    extension: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Seated:
    """Where a wish ended up: the id, whether it is new, and its place."""

    id: str
    new: bool
    page: int
    seat: int


class QuotaExceeded(StoreError):
    """The topic has as many subscriptions as it may have."""


class TopicGone(StoreError):
    """The topic was deleted."""


class Roster:
    """Reads and writes subscriptions; knows nothing of the contract's rules."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        vault: Vault,
        pending: Pending,
        secret_endpoints: frozenset[str],
    ) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._pending = pending
        self._secret_endpoints = secret_endpoints
        self.recipients = Recipients(vault)

    # Writing

    async def seat(
        self,
        topic: Topic,
        protocol: str,
        wishes: Sequence[Wish],
        *,
        status: Status,
        quota: int,
    ) -> list[Seated]:
        """Seat all wishes, page by page; existing ones are found, not changed.

        Raises `TopicGone`, and `QuotaExceeded` after what still fitted was seated.
        """
        seated: list[Seated] = []
        page = 0
        while len(seated) < len(wishes):
            rest = wishes[len(seated) : len(seated) + PAGE_SEATS]
            fresh = [(secrets.token_hex(16), wish) for wish in rest]
            verdict, page, *results = await self._store.run(
                _SUBSCRIBE,
                self._seat_keys(topic.id, protocol, page),
                (
                    protocol,
                    page,
                    secrets.token_hex(8),
                    topic.id,
                    quota,
                    int(status),
                    *(part for new in fresh for part in self._encode(protocol, *new)),
                ),
            )
            if verdict == b"gone":
                raise TopicGone(topic.urn)
            placed = [Seated(r[0].decode(), bool(r[1]), r[2], r[3]) for r in results]
            seated += placed
            await self._index(topic.id, [s.id for s in placed if s.new])
            if verdict == b"quota":
                raise QuotaExceeded(topic.urn)
        return seated

    async def set_status(self, subscription: Subscription, status: Status) -> bool:
        """Change a status; False if the subscription or its topic is gone."""
        keys, s = self._keys, subscription
        reply = await self._store.run(
            _STATUS,
            (
                keys.topic(s.topic_id),
                keys.subscriptions(s.topic_id),
                keys.page(s.topic_id, s.protocol, s.page),
            ),
            (
                s.id,
                f"{s.protocol}:{s.page}:{s.seat}",
                s.seat,
                int(status),
                secrets.token_hex(8),
            ),
        )
        return bool(reply[0] == 1)

    async def remove(self, subscription: Subscription) -> bool:
        """Remove and free the seat; False if it is gone already."""
        s = subscription
        *seat_keys, pending = self._seat_keys(s.topic_id, s.protocol, s.page)
        done = await self._store.run(
            _UNSUBSCRIBE,
            (*seat_keys, pending),
            (
                s.id,
                s.protocol,
                s.page,
                s.seat,
                self._digest(s.protocol, s.endpoint),
                secrets.token_hex(8),
                s.topic_id,
            ),
        )
        if done == 1:
            await self._index(s.topic_id, [s.id])
        return bool(done == 1)

    # Reading

    async def find(self, topic_id: str, topic_urn: str, identifier: str) -> Subscription | None:
        """One subscription by its id."""
        found = await self.read_many(topic_id, topic_urn, [identifier])
        return found[0]

    async def read_many(
        self, topic_id: str, topic_urn: str, ids: Sequence[str]
    ) -> list[Subscription | None]:
        """Subscriptions of one topic in the same order; one read a page that they sit in."""
        if not ids:
            return []
        keys = self._keys
        spots = await self._store.call("HMGET", keys.subscriptions(topic_id), *ids, repeatable=True)
        by_page: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for position, spot in enumerate(spots):
            if spot is not None:
                protocol, page, seat = spot.decode().rsplit(":", 2)
                by_page.setdefault((protocol, int(page)), []).append((position, int(seat)))
        replies = await self._store.call_many(
            [
                ("HMGET", keys.page(topic_id, protocol, page), *(seat for _, seat in places))
                for (protocol, page), places in by_page.items()
            ],
            key=keys.topic(topic_id),
            repeatable=True,
        )
        found: list[Subscription | None] = [None] * len(ids)
        for ((protocol, page), places), values in zip(by_page.items(), replies, strict=True):
            for (position, seat), value in zip(places, values, strict=True):
                if value is not None:
                    read = self.decode(topic_id, topic_urn, protocol, page, seat, value)
                    if read.id == ids[position]:
                        found[position] = read
        return found

    async def page_of_topic(self, topic: Topic, offset: int, limit: int) -> Listing[Subscription]:
        """A topic's subscriptions, oldest first."""
        order = self._keys.order(topic.id)
        total, members = await self._store.call_many(
            [("ZCARD", order), ("ZRANGE", order, offset, offset + limit - 1)],
            key=order,
            repeatable=True,
        )
        found = await self.read_many(topic.id, topic.urn, [m.decode() for m in members])
        return Listing(tuple(s for s in found if s is not None), total)

    async def page_of_project(
        self, project_id: str, offset: int, limit: int
    ) -> tuple[int, list[tuple[str, str]], list[bytes]]:
        """Number of a project's subscriptions, and (topic id, id) of one page, oldest first.

        The raw members come along, so that the caller can have dead ones taken out
        (`forget_members`).
        """
        index = self._keys.project_subscriptions(project_id)
        total, members = await self._store.call_many(
            [("ZCARD", index), ("ZRANGE", index, offset, offset + limit - 1)],
            key=index,
            repeatable=True,
        )
        return total, [(m[:32].decode(), m[32:].decode()) for m in members], members

    async def forget_members(self, project_id: str, members: Iterable[bytes]) -> None:
        """Take entries without a record out of the project's index."""
        index = self._keys.project_subscriptions(project_id)
        await self._store.call("ZREM", index, *members, repeatable=True)

    def decode(
        self, topic_id: str, topic_urn: str, protocol: str, page: int, seat: int, value: bytes
    ) -> Subscription:
        """Read a seat's value."""
        status, first, created, body = value.split(b" ", 3)
        identifier, endpoint, remark, extension = json.loads(body)
        if protocol in self._secret_endpoints:
            endpoint = self._vault.decrypt(endpoint, f"endpoint:{identifier}")
        if extension is None:
            opened: Mapping[str, object] = {}
        else:
            opened = json.loads(self._vault.decrypt(extension, f"extension:{identifier}"))
        return Subscription(
            id=identifier,
            topic_id=topic_id,
            topic_urn=topic_urn,
            protocol=protocol,
            endpoint=endpoint,
            status=Status(int(status)),
            page=page,
            seat=seat,
            first=int(first),
            remark=remark,
            extension=opened,
            created_ms=int(created),
        )

    def _encode(self, protocol: str, identifier: str, wish: Wish) -> tuple[str, str, str]:
        endpoint = wish.endpoint
        if protocol in self._secret_endpoints:
            endpoint = self._vault.encrypt(endpoint, f"endpoint:{identifier}")
        extension = None
        if wish.extension:
            plain = json.dumps(wish.extension, separators=(",", ":"), ensure_ascii=False)
            extension = self._vault.encrypt(plain, f"extension:{identifier}")
        body = json.dumps(
            [identifier, endpoint, wish.remark, extension],
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return identifier, self._digest(protocol, wish.endpoint), body

    def _digest(self, protocol: str, endpoint: str) -> str:
        return self._vault.keyed_hash(f"{protocol}\n{endpoint}", "endpoint")

    def _seat_keys(self, topic_id: str, protocol: str, page: int) -> tuple[str, ...]:
        keys = self._keys
        return (
            keys.topic(topic_id),
            keys.subscriptions(topic_id),
            keys.endpoints(topic_id),
            keys.order(topic_id),
            keys.free(topic_id, protocol),
            keys.page(topic_id, protocol, page),
            keys.pending(keys.shard_of_topic(topic_id)),
        )

    async def _index(self, topic_id: str, ids: Sequence[str]) -> None:
        """Carry the notes of these subscriptions to the project's index."""
        if not ids:
            return
        shard = self._keys.shard_of_topic(topic_id)
        fields = [f"s:{identifier}" for identifier in ids]
        notes = await self._store.call("HMGET", self._keys.pending(shard), *fields, repeatable=True)
        known = [
            (field, note.decode())
            for field, note in zip(fields, notes, strict=True)
            if note is not None
        ]
        if known:
            await self._pending.apply_many(shard, known)
