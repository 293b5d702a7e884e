"""A topic's subscriptions: pages of seats, and the ways to find one.

What a seat holds is `engine.store.seats`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError
from engine.models import PAGE_SEATS, Listing
from engine.store.recipients import Recipients
from engine.store.scripts import script
from engine.store.seats import Seats, Wish, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.models import FilterPolicy, Status, Subscription, Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.pending import Pending
    from engine.vault import Vault

_SUBSCRIBE = script(__file__, "subscribe")
_STATUS = script(__file__, "subscription_status")
_UNSUBSCRIBE = script(__file__, "unsubscribe")
_REWRITE = script(__file__, "subscription_rewrite")
_MOVED = 2


@dataclass(frozen=True, slots=True)
class Seated:
    """Where a wish ended up: the id, whether it is new, and its place."""

    id: str
    new: bool
    page: int
    seat: int


class QuotaExceeded(StoreError):
    """The topic has as many subscriptions as it may have; ``seated`` are those that fitted."""

    def __init__(self, urn: str, seated: Sequence[Seated]) -> None:
        super().__init__(urn)
        self.seated = seated


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
        self._pending = pending
        self._seats = Seats(vault, secret_endpoints)
        self.decode = self._seats.decode
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
                    *(part for new in fresh for part in self._seats.encode(protocol, *new)),
                ),
            )
            if verdict == b"gone":
                raise TopicGone(topic.urn)
            placed = [Seated(r[0].decode(), bool(r[1]), r[2], r[3]) for r in results]
            seated += placed
            await self._index(topic.id, [s.id for s in placed if s.new])
            if verdict == b"quota":
                raise QuotaExceeded(topic.urn, seated)
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

    async def set_remark(self, subscription: Subscription, remark: str) -> bool:
        """Change a remark; False if the subscription or its topic is gone."""

        def change(body: list[Any]) -> bool:
            body[2] = remark
            return True

        return await self._rewrite(subscription, change) is not None

    async def set_filters(
        self, subscription: Subscription, filters: Sequence[FilterPolicy], *, fresh: bool = False
    ) -> bool | None:
        """Replace the filter policies; ``fresh`` only where there are none.

        False if there are some, None if the subscription or its topic is gone.
        """
        wanted = [[policy.name, *policy.string_equals] for policy in filters]

        def change(body: list[Any]) -> bool:
            if fresh and body[4:]:
                return False
            body[4:] = [wanted] if wanted else []
            return True

        return await self._rewrite(subscription, change)

    async def _rewrite(
        self, subscription: Subscription, change: Callable[[list[Any]], bool]
    ) -> bool | None:
        """Change the body of a seat as it is now.

        False if ``change`` declines, None if the subscription or its topic is gone.
        """
        keys, s = self._keys, subscription
        page = keys.page(s.topic_id, s.protocol, s.page)
        verdict = _MOVED
        while verdict == _MOVED:
            value = await self._store.call("HGET", page, s.seat, repeatable=True)
            old = value.split(b" ", 3)[3] if value else b"[null]"
            body = json.loads(old)
            if body[0] != s.id:
                return None
            if not change(body):
                return False
            verdict = await self._store.run(
                _REWRITE,
                (keys.topic(s.topic_id), keys.subscriptions(s.topic_id), page),
                (
                    s.id,
                    f"{s.protocol}:{s.page}:{s.seat}",
                    s.seat,
                    old,
                    dump(body),
                    secrets.token_hex(8),
                ),
            )
        return True if verdict else None

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
                self._seats.digest(s.protocol, s.endpoint),
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
        return await self.read_places([(topic_id, topic_urn, identifier) for identifier in ids])

    async def read_places(
        self, places: Sequence[tuple[str, str, str]]
    ) -> list[Subscription | None]:
        """Subscriptions by topic id, topic URN and id, in the same order.

        Two pipelines a shard: where they sit, and what is there.
        """
        by_shard: dict[int, list[int]] = {}
        for position, (topic_id, _, _) in enumerate(places):
            by_shard.setdefault(self._keys.shard_of_topic(topic_id), []).append(position)
        found: list[Subscription | None] = [None] * len(places)
        reads = (self._read(places, positions, found) for positions in by_shard.values())
        await asyncio.gather(*reads)
        return found

    async def _read(
        self,
        places: Sequence[tuple[str, str, str]],
        positions: Sequence[int],
        found: list[Subscription | None],
    ) -> None:
        """Read those of one shard into their positions."""
        keys = self._keys
        by_topic: dict[str, list[int]] = {}
        for position in positions:
            by_topic.setdefault(places[position][0], []).append(position)
        spots = await self._store.call_many(
            [
                ("HMGET", keys.subscriptions(topic_id), *(places[p][2] for p in owned))
                for topic_id, owned in by_topic.items()
            ],
            key=keys.topic(places[positions[0]][0]),
            repeatable=True,
        )
        by_page: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        for (topic_id, owned), values in zip(by_topic.items(), spots, strict=True):
            for position, spot in zip(owned, values, strict=True):
                if spot is not None:
                    protocol, page, seat = spot.decode().rsplit(":", 2)
                    seats = by_page.setdefault((topic_id, protocol, int(page)), [])
                    seats.append((position, int(seat)))
        if not by_page:
            return
        replies = await self._store.call_many(
            [
                ("HMGET", keys.page(*page), *(seat for _, seat in seats))
                for page, seats in by_page.items()
            ],
            key=keys.topic(places[positions[0]][0]),
            repeatable=True,
        )
        for (where, seats), values in zip(by_page.items(), replies, strict=True):
            for (position, seat), value in zip(seats, values, strict=True):
                topic_id, urn, identifier = places[position]
                if value is not None:
                    read = self.decode(topic_id, urn, where[1], where[2], seat, value)
                    if read.id == identifier:
                        found[position] = read

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

    async def rank_in_topic(self, topic_id: str, identifier: str) -> int | None:
        """How many of the topic's subscriptions are older than this one; None if it is gone."""
        order = self._keys.order(topic_id)
        found: int | None = await self._store.call("ZRANK", order, identifier, repeatable=True)
        return found

    async def rank_in_project(self, project_id: str, topic_id: str, identifier: str) -> int | None:
        """How many of the project's subscriptions stand before this one; None if it is gone."""
        index = self._keys.project_subscriptions(project_id)
        member = topic_id + identifier
        found: int | None = await self._store.call("ZRANK", index, member, repeatable=True)
        return found

    async def forget_members(self, project_id: str, members: Iterable[bytes]) -> None:
        """Take entries without a record out of the project's index."""
        index = self._keys.project_subscriptions(project_id)
        await self._store.call("ZREM", index, *members, repeatable=True)

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
