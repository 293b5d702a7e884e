"""A topic's subscriptions: pages of seats, and the ways to find one.

What a seat holds is `engine.store.seats`; lists are `engine.store.subscription_lists`.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError
from engine.models import PAGE_SEATS
from engine.store.recipients import Recipients
from engine.store.scripts import script
from engine.store.seats import Seats, Wish, dump
from engine.store.shards import read_fields
from engine.store.subscription_lists import SubscriptionLists
from engine.urns import parse_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.models import FilterPolicy, Status, Subscription, Topic
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.pending import Pending
    from engine.store.subscription_lists import Place
    from engine.vault import Vault

_SUBSCRIBE = script(__file__, "subscribe")
_STATUS = script(__file__, "subscription_status")
_UNSUBSCRIBE = script(__file__, "unsubscribe")
_REWRITE = script(__file__, "subscription_rewrite")
_MOVED = 2


Seat = tuple[str, int, int]
"""A protocol, a page's number and a seat in it."""


@dataclass(frozen=True, slots=True)
class Seated:
    """Where a wish ended up: the id, whether it is new, and its place."""

    id: str
    new: bool
    page: int
    seat: int


class QuotaExceeded(StoreError):
    """The topic has no room for some of the wishes; in ``seated`` None stands for these."""

    def __init__(self, urn: str, seated: Sequence[Seated | None]) -> None:
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
        self.lists = SubscriptionLists(store, keys, self._seats)

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

        Raises `TopicGone`, and `QuotaExceeded` after what still fitted was seated or found.
        """
        seated: list[Seated | None] = []
        page = 0
        while len(seated) < len(wishes):
            rest = wishes[len(seated) : len(seated) + PAGE_SEATS]
            # Those of one step stand by their ids in lists: let that be the order asked for.
            ids = sorted(secrets.token_hex(16) for _ in rest)
            fresh = zip(ids, rest, strict=True)
            verdict, page, *results = await self._store.run(
                _SUBSCRIBE,
                self._seat_keys(topic.id, topic.urn, protocol, page),
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
            placed = [Seated(r[0].decode(), bool(r[1]), r[2], r[3]) if r else None for r in results]
            seated += placed
            await self._index(topic.id, [s.id for s in placed if s is not None and s.new])
        fitted = [one for one in seated if one is not None]
        if len(fitted) < len(seated):
            raise QuotaExceeded(topic.urn, seated)
        return fitted

    async def set_status(
        self, subscription: Subscription, status: Status, *, only: Status | None = None
    ) -> bool:
        """Change a status, or ``only`` that one; False if the subscription or its topic is gone."""
        keys, s = self._keys, subscription
        reply = await self._store.run(
            _STATUS,
            (
                keys.topic(s.topic_id),
                keys.subscriptions(s.topic_id),
                keys.page(s.topic_id, s.protocol, s.page),
                self._versions(s.topic_id, s.topic_urn),
            ),
            (
                s.id,
                f"{s.protocol}:{s.page}:{s.seat}",
                s.seat,
                int(status),
                secrets.token_hex(8),
                f"{s.topic_id}:{s.protocol}:{s.page}",
                "" if only is None else int(only),
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
                (
                    keys.topic(s.topic_id),
                    keys.subscriptions(s.topic_id),
                    page,
                    self._versions(s.topic_id, s.topic_urn),
                ),
                (
                    s.id,
                    f"{s.protocol}:{s.page}:{s.seat}",
                    s.seat,
                    old,
                    dump(body),
                    secrets.token_hex(8),
                    f"{s.topic_id}:{s.protocol}:{s.page}",
                ),
            )
        return True if verdict else None

    async def remove(self, subscription: Subscription) -> bool:
        """Remove and free the seat; False if it is gone already."""
        s = subscription
        done = await self._store.run(
            _UNSUBSCRIBE,
            self._seat_keys(s.topic_id, s.topic_urn, s.protocol, s.page),
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
        """Subscriptions of one topic in the same order."""
        keys = self._keys
        where = keys.subscriptions(topic_id)
        spots = await read_fields(self._store, keys, [(topic_id, where, one) for one in ids])
        seats = {one: _seat(spot) for one, (spot, _) in zip(ids, spots, strict=True) if spot}
        values = await read_fields(
            self._store,
            keys,
            [(topic_id, keys.page(topic_id, *seat[:2]), seat[2]) for seat in seats.values()],
        )
        found: dict[str, Subscription] = {}
        for (identifier, seat), (value, _) in zip(seats.items(), values, strict=True):
            if value is not None:
                read = self.decode(topic_id, topic_urn, *seat, value)
                if read.id == identifier:
                    found[identifier] = read
        return [found.get(identifier) for identifier in ids]

    async def read_places(self, places: Sequence[Place]) -> dict[Place, Subscription]:
        """Those of these subscriptions that there are, in the same order.

        Two questions a shard: where they sit, and what is there.
        """
        keys = self._keys
        found = await read_fields(
            self._store, keys, [(topic, keys.subscriptions(topic), one) for topic, one in places]
        )
        return await self.read_seats(
            [
                (place, _seat(spot))
                for place, (spot, _) in zip(places, found, strict=True)
                if spot is not None
            ]
        )

    async def read_seats(self, seats: Sequence[tuple[Place, Seat]]) -> dict[Place, Subscription]:
        """As `read_places`, of those whose seats are known: one question a shard."""
        page = self._keys.page
        values = await read_fields(
            self._store,
            self._keys,
            [(topic, page(topic, *seat[:2]), seat[2]) for (topic, _), seat in seats],
        )
        found: dict[Place, Subscription] = {}
        for (place, seat), (value, urn) in zip(seats, values, strict=True):
            if value is not None and urn is not None:
                read = self.decode(place[0], urn.decode(), *seat, value)
                if read.id == place[1]:
                    found[place] = read
        return found

    def _seat_keys(
        self, topic_id: str, topic_urn: str, protocol: str, page: int
    ) -> tuple[str, ...]:
        keys = self._keys
        return (
            keys.topic(topic_id),
            keys.subscriptions(topic_id),
            keys.endpoints(topic_id),
            keys.order(topic_id),
            keys.free(topic_id, protocol),
            keys.page(topic_id, protocol, page),
            keys.pending(keys.shard_of_topic(topic_id)),
            self._versions(topic_id, topic_urn),
        )

    def _versions(self, topic_id: str, topic_urn: str) -> str:
        project = parse_topic(topic_urn).project_id
        return self._keys.versions(self._keys.shard_of_topic(topic_id), project)

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


def _seat(spot: bytes) -> Seat:
    protocol, page, seat = spot.decode().rsplit(":", 2)
    return protocol, int(page), int(seat)
