"""Lists of subscriptions, of a project or of a topic: oldest first, ties by id.

A sorted set tells any window of a list, and a marker's place in it. What is searched is kept as
*cards*, page by page: each shard has one hash a project with the version tokens of the pages,
which the scripts that change a page keep in step, so that whoever searches asks each shard for
the tokens that are new and reads the pages that have changed. Nothing is ever taken for true
that is older than the question.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models import SubscriptionCard
from engine.policy.subscription_query import SubscriptionColumns
from engine.store.lines import Lines
from engine.store.parsed_hash import ParsedHash, unread
from engine.store.scripts import script
from engine.store.shards import ask_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from engine.store.connection import Call, Store
    from engine.store.keys import Keys
    from engine.store.seats import Seats

_READ: Final = script(__file__, "hashes_read")
_CARDS: Final = 100_000
"""Cards that a process keeps, some 70 MB, and so the longest list that is searched by them."""
_SEATS: Final = 1024
"""Seats that are read and parsed at once: a few milliseconds."""
_CHUNK: Final = 1000
_FEW: Final = 256
"""Cards that may have changed for them to be put in one by one."""

Place = tuple[str, str]
"""The ids of a subscription's topic and of itself."""
Cards = Mapping[str, SubscriptionCard]
"""Those of one page by their seats."""


class Scope(NamedTuple):
    """Whose list it is: a project's, or with ``topic_id`` a topic's."""

    project_id: str
    topic_id: str = ""


class _Version(NamedTuple):
    """A page's token and how many sit in it."""

    token: str
    seated: int


Versions = Mapping[str, _Version]
"""The versions of pages by their names."""


class _Page(NamedTuple):
    """A page's cards, and the token that it had with them."""

    token: str
    cards: ParsedHash[SubscriptionCard]


_UNREAD: Final = _Page("", unread())


class _Searched(NamedTuple):
    """What is kept of a list that has been searched, and not changed: by shards, and in order."""

    versions: list[Versions]
    pages: list[Mapping[str, Cards]]
    columns: SubscriptionColumns


class SubscriptionLists:
    """Windows and cards of lists; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, seats: Seats) -> None:
        self._store = store
        self._keys = keys
        self._seats = seats
        self._versions = Lines(store, keys, keys.versions, _version)
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._kept = 0
        self._searched: OrderedDict[Scope, _Searched] = OrderedDict()

    # By the index

    async def window(self, scope: Scope, offset: int, limit: int) -> tuple[int, list[Place]]:
        """How many there are, and a window of them.

        A project's index may hold some that are gone: `forget` them.
        """
        index = self._index(scope)
        total, members = await self._store.call_many(
            [("ZCARD", index), ("ZRANGE", index, offset, offset + limit - 1)],
            key=index,
            repeatable=True,
        )
        return total, [_place(scope, member) for member in members]

    async def rank(self, scope: Scope, place: Place) -> int | None:
        """How many stand before this one; None if it is not in the list."""
        found: int | None = await self._store.call(
            "ZRANK", self._index(scope), _member(scope, place), repeatable=True
        )
        return found

    async def forget(self, scope: Scope, places: Sequence[Place]) -> None:
        """Take entries without a record out of a project's index.

        A topic's goes with the topic, and its purge needs it until then.
        """
        if places and not scope.topic_id:
            members = [_member(scope, place) for place in places]
            await self._store.call("ZREM", self._index(scope), *members, repeatable=True)

    async def each(self, scope: Scope) -> AsyncIterator[list[Place]]:
        """All of a list, a bounded number at a time; whoever comes or goes hides no other."""
        index, score, last, ties = self._index(scope), b"-inf", b"", 0
        while True:
            flat = await self._store.call(
                *("ZRANGEBYSCORE", index, score, "+inf", "WITHSCORES"),
                *("LIMIT", 0, _CHUNK + ties),
                repeatable=True,
            )
            entries = list(zip(flat[1::2], flat[::2], strict=True))
            # Those of the last one's millisecond come again: its ties stand by their names.
            new = [one for one in entries if one[0] != score or one[1] > last]
            if not new:
                return
            yield [_place(scope, member) for _, member in new]
            score, last = new[-1]
            ties = sum(one[0] == score for one in entries)

    # By cards

    async def cards(self, scope: Scope) -> SubscriptionColumns | None:
        """What is searched of a list, in its order; None if there are too many to be kept.

        It holds until the next ``await``.
        """
        versions = await self._versions_of(scope)
        seated = sum(one.seated for part in versions for one in part.values())
        return await self._in_order(scope, versions) if seated <= _CARDS else None

    async def all_cards(self, scope: Scope) -> SubscriptionColumns:
        """As `cards`, of a list that something else keeps short enough."""
        return await self._in_order(scope, await self._versions_of(scope))

    async def _in_order(self, scope: Scope, versions: list[Versions]) -> SubscriptionColumns:
        """The cards of pages as a list shows them; only what has changed is looked at again."""
        pages = await self._read(versions, self._searched.get(scope))
        # Another question may have been answered meanwhile.
        known = self._searched.get(scope)
        columns = _sorted(pages) if known is None else _renewed(known, pages)
        self._searched[scope] = _Searched(versions, pages, columns)
        self._searched.move_to_end(scope)
        while sum(len(one.columns.order) for one in self._searched.values()) > _CARDS:
            self._searched.popitem(last=False)
        return columns

    async def _read(
        self, versions: Sequence[Versions], known: _Searched | None
    ) -> list[Mapping[str, Cards]]:
        """The cards of pages by the pages' names, one mapping a shard."""
        found: list[Mapping[str, Cards]] = []
        stale: dict[str, int] = {}
        home: dict[str, dict[str, Cards]] = {}
        for shard, part in enumerate(versions):
            if known is not None and known.versions[shard] is part:
                found.append(known.pages[shard])
                continue
            fresh: dict[str, Cards] = {}
            for name, version in part.items():
                known_page = self._pages.get(name, _UNREAD)
                if known_page.token == version.token:
                    self._pages.move_to_end(name)
                    fresh[name] = known_page.cards.lines
                else:
                    stale[name], home[name] = version.seated, fresh
            found.append(fresh)
        for names in _chunks(stale):
            pages = await self._read_pages([_spot(one) for one in names])
            for name, page in zip(names, pages, strict=True):
                home[name][name] = self._parsed(name, page)
        return found

    async def _read_pages(self, spots: Sequence[tuple[str, str, int]]) -> list[list[bytes]]:
        def call(_: int, positions: Sequence[int]) -> Call:
            return _READ, [self._keys.page(*spots[one]) for one in positions], ()

        return await ask_topics(self._store, self._keys, [one[0] for one in spots], call)

    async def _versions_of(self, scope: Scope) -> list[Versions]:
        """The versions of all pages, one mapping a shard."""
        if not scope.topic_id:
            return await self._versions.of(scope.project_id)
        shard = self._keys.shard_of_topic(scope.topic_id)
        pages = await self._versions.part(shard, scope.project_id)
        prefix = f"{scope.topic_id}:"
        return [{name: one for name, one in pages.items() if name.startswith(prefix)}]

    def _parsed(self, name: str, flat: Sequence[bytes]) -> Cards:
        """A page's cards, kept under the token that the page itself has."""
        raw = dict(zip(flat[::2], flat[1::2], strict=True))
        token = raw.pop(b"v", b"").decode()
        before = self._pages.pop(name, _UNREAD).cards
        cards = before.read_again(raw, partial(self._seats.cards, *_spot(name)))
        self._kept -= len(before.raw)
        if raw:
            self._pages[name] = _Page(token, cards)
            self._kept += len(raw)
        while self._kept > _CARDS:
            _, oldest = self._pages.popitem(last=False)
            self._kept -= len(oldest.cards.raw)
        return cards.lines

    def _index(self, scope: Scope) -> str:
        if scope.topic_id:
            return self._keys.order(scope.topic_id)
        return self._keys.project_subscriptions(scope.project_id)


def _sorted(pages: Sequence[Mapping[str, Cards]]) -> SubscriptionColumns:
    cards = chain.from_iterable(page.values() for part in pages for page in part.values())
    return SubscriptionColumns.of(sorted(cards, key=itemgetter(0)))


def _renewed(known: _Searched, pages: Sequence[Mapping[str, Cards]]) -> SubscriptionColumns:
    """The cards in order, those that have not changed left where they are."""
    old: list[SubscriptionCard] = []
    new: list[SubscriptionCard] = []
    for before, part in zip(known.pages, pages, strict=True):
        if before is not part:
            for name in before.keys() | part.keys():
                was, now = before.get(name, {}), part.get(name, {})
                if was is not now:
                    old += [card for seat, card in was.items() if now.get(seat) is not card]
                    new += [card for seat, card in now.items() if was.get(seat) is not card]
    if not old and not new:
        return known.columns
    if max(len(old), len(new)) > _FEW:
        return _sorted(pages)
    known.columns.replace(old, new)
    return known.columns


def _member(scope: Scope, place: Place) -> str:
    return place[1] if scope.topic_id else "".join(place)


def _place(scope: Scope, member: bytes) -> Place:
    text = member.decode()
    return (scope.topic_id, text) if scope.topic_id else (text[:32], text[32:])


def _spot(name: str) -> tuple[str, str, int]:
    """The topic, protocol and number of a page that is named among the versions."""
    topic_id, _, rest = name.partition(":")
    protocol, _, page = rest.rpartition(":")
    return topic_id, protocol, int(page)


def _version(_: str, value: Any) -> _Version:
    return _Version(*value)


def _chunks(stale: Mapping[str, int]) -> Iterator[list[str]]:
    """Names of pages, so many that not too many sit in them."""
    names: list[str] = []
    seats = 0
    for name, seated in stale.items():
        if names and seats + seated > _SEATS:
            yield names
            names, seats = [], 0
        names.append(name)
        seats += seated
    if names:
        yield names
