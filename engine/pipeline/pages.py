"""Pages of the roster as a worker keeps them, each under the version token it was read with."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from engine.models import Status
from engine.policy.filters import compiled
from engine.policy.rates import UNBOUND, Pace, pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.models import Message, Subscription
    from engine.policy.filters import Filters
    from engine.ports import Adapter
    from engine.store.roster import Roster

_PAGES = 64
"""Pages kept: 16,384 subscriptions. The bound makes memory independent of a topic's size."""
_PASSING = 8
"""Of them, pages that were read once. A topic that is larger than the cache leaves no more."""

PageKey = tuple[str, str, int]


class EndpointState:
    """What this worker knows of an endpoint: deliveries in flight, and whether it answers.

    ``peer`` is who has it, for whichever adapter: a number that is called is not the one that
    gets short messages.

    ``proven`` is set by a success and cleared by a failure, ``suspect`` is set by a long silence;
    a new endpoint is neither. ``queue`` holds deliveries that wait behind others in flight.
    One that has a rate and answered all the same that it is asked too often is left alone until
    ``quiet_until_ms``.
    """

    __slots__ = (
        "__weakref__",
        "digest",
        "in_flight",
        "peer",
        "proven",
        "queue",
        "quiet_until_ms",
        "shown",
        "suspect",
    )

    def __init__(self, peer: str, shown: str) -> None:
        self.peer = peer
        self.shown = shown
        self.in_flight = 0
        self.proven = False
        self.suspect = False
        self.queue: deque[Any] | None = None
        self.digest = ""
        self.quiet_until_ms = 0


@dataclass(slots=True)
class Entry:
    """A subscription as dispatch needs it; ``open`` = confirmed, ``shown`` = endpoint, masked."""

    id: str
    first: int
    open: bool
    prepared: Any
    shown: str
    state: EndpointState
    filters: Filters | None = None
    pace: Pace = UNBOUND


@dataclass(frozen=True, slots=True)
class Page:
    """The entries of a page by seat, and the token of the version that was read."""

    version: str
    entries: dict[int, Entry]


NO_PAGE = Page("", {})
"""What a batch has whose page is empty, or whose topic or message is gone."""


class Pages:
    """A bounded cache of pages (after 2Q; Johnson and Shasha, VLDB 1994).

    A page that is read for the first time passes by in a short queue; one that is used again
    while its key is remembered stays, least recently used out first. So a topic whose pages
    never come again in time neither fills the cache nor drives those of others out of it.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._staying: OrderedDict[PageKey, Page] = OrderedDict()
        self._passing: OrderedDict[PageKey, Page] = OrderedDict()
        self._passed: OrderedDict[PageKey, None] = OrderedDict()
        # As long as a page or a delivery refers to it, an endpoint has one state.
        self._states: WeakValueDictionary[str, EndpointState] = WeakValueDictionary()

    def resolve(
        self,
        key: PageKey,
        topic_urn: str,
        adapter: Adapter[Any, Any],
        version: bytes | None,
        seats: Sequence[bytes] | None,
    ) -> Page:
        """The page as it was just read, kept from now on; ``version`` None: it is empty."""
        if version is None or not seats:
            self._staying.pop(key, None)
            self._passing.pop(key, None)
            return NO_PAGE
        page = self.read(key, topic_urn, adapter, version.decode(), seats)
        self._keep(key, page)
        return page

    def pin(self, keys: Iterable[PageKey]) -> list[Page | None]:
        """The cached pages, so that they outlive a load that asks for them by version."""
        return [self._use(key) for key in keys]

    def read(
        self,
        key: PageKey,
        topic_urn: str,
        adapter: Adapter[Any, Any],
        version: str,
        seats: Sequence[bytes],
    ) -> Page:
        """A page from the fields of its hash; it is not kept."""
        topic_id, protocol, number = key
        entries: dict[int, Entry] = {}
        for i in range(0, len(seats), 2):
            if seats[i] == b"v":
                continue
            seat = int(seats[i])
            found = self._roster.decode(topic_id, topic_urn, protocol, number, seat, seats[i + 1])
            entries[seat] = self._entry(found, adapter)
        return Page(version, entries)

    def alone(self, message: Message, sealed: str, adapter: Adapter[Any, Any]) -> Page:
        """The page of an inline recipient; nobody changes it, so that it has no version."""
        found = self._roster.recipients.unseal(message, sealed)
        return Page("", {found.seat: self._entry(found, adapter)})

    def _use(self, key: PageKey) -> Page | None:
        page = self._passing.pop(key, None)
        if page is not None:
            self._staying[key] = page
        elif key in self._staying:
            page = self._staying[key]
            self._staying.move_to_end(key)
        return page

    def _keep(self, key: PageKey, page: Page) -> None:
        if key in self._staying or key in self._passed:
            self._passed.pop(key, None)
            self._staying[key] = page
            self._staying.move_to_end(key)
        else:
            self._passing[key] = page
        if len(self._passing) > _PASSING:
            gone, _ = self._passing.popitem(last=False)
            self._passed[gone] = None
            if len(self._passed) > _PAGES:
                self._passed.popitem(last=False)
        if len(self._passing) + len(self._staying) > _PAGES:
            self._staying.popitem(last=False)

    def _entry(self, found: Subscription, adapter: Adapter[Any, Any]) -> Entry:
        peer = adapter.peer(found)
        # An adapter's protocols may reach the same; two adapters never do.
        known = f"{adapter.protocols[0]}\n{peer}"
        state = self._states.get(known)
        if state is None:
            shown = "***" if adapter.limits.secret_endpoint else found.endpoint
            state = self._states[known] = EndpointState(known, shown)
        return Entry(
            found.id,
            found.first,
            found.status is Status.CONFIRMED,
            adapter.prepare(found),
            state.shown,
            state,
            compiled(found.filters),
            pace(adapter.limits.rates, peer, found.extension),
        )
