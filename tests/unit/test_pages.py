"""The cache of pages: what stays, what passes by, and that it is bounded."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models import Status, Subscription
from engine.pipeline.pages import NO_PAGE, EndpointState, Page, PageKey, Pages
from engine.store.roster import Roster
from engine.testing import RecordingAdapter

TOPIC_URN = "urn:smn:region01:p:t"
BOUND = 64
"""Pages that are kept at most."""
PASSING = 8
"""Those of them that were read once."""


class OneSeat:
    """A roster in whose pages one endpoint sits."""

    def decode(self, *where: Any) -> Subscription:
        """A subscription whatever was read."""
        topic_id, topic_urn, protocol, page, seat, _ = where
        return Subscription(
            id="b" * 32,
            topic_id=topic_id,
            topic_urn=topic_urn,
            protocol=protocol,
            endpoint="somebody@example.com",
            status=Status.CONFIRMED,
            page=page,
            seat=seat,
        )


class Organisation(RecordingAdapter):
    """Reaches whoever has an endpoint in one organisation."""

    def peer(self, subscription: Subscription) -> str:
        """The same as others have elsewhere."""
        return f"here {subscription.endpoint}"


def key(number: int, topic: str = "t") -> PageKey:
    """Where a page is."""
    return topic, "test", number


@pytest.fixture
def pages() -> Pages:
    """An empty cache."""
    return Pages(cast("Roster", OneSeat()))


def state(pages: Pages, adapter: RecordingAdapter, number: int = 0) -> EndpointState:
    """What is known of the endpoint of a page."""
    return pages.read(key(number), TOPIC_URN, adapter, "v", [b"0", b"record"]).entries[0].state


def read(pages: Pages, where: PageKey, version: bytes = b"v") -> Page:
    """Have a page kept, as if it had just been read from Redis."""
    return pages.resolve(where, TOPIC_URN, RecordingAdapter(), version, [b"0", b"record"])


def kept(pages: Pages, *where: PageKey) -> list[PageKey]:
    """Those of the pages that are in the cache."""
    return [one for one, page in zip(where, pages.pin(where), strict=True) if page is not None]


def deliver(pages: Pages, *where: PageKey) -> int:
    """Go through these pages once, as one message does; how many had to be read."""
    missing = 0
    for one in where:
        if not kept(pages, one):
            read(pages, one)
            missing += 1
    return missing


def topic(count: int, name: str = "t") -> list[PageKey]:
    """The pages of a topic."""
    return [key(number, name) for number in range(count)]


def test_what_is_known_of_an_endpoint_is_known_of_whom_an_adapter_reaches(pages: Pages) -> None:
    """All pages and protocols of an adapter share it; another adapter's peers are others."""
    known = state(pages, RecordingAdapter("call", "ring"))
    assert state(pages, RecordingAdapter("call", "ring"), 1) is known
    assert state(pages, RecordingAdapter("text")) is not known
    assert state(pages, Organisation("call", "ring")) is not known


def test_a_page_that_was_read_is_there(pages: Pages) -> None:
    """At once: a short message right after the first is started without a load."""
    page = read(pages, key(0))
    assert pages.pin([key(0)]) == [page]


def test_a_topic_larger_than_the_cache_leaves_little_in_it(pages: Pages) -> None:
    """However many messages go through it: each of its pages is read anew anyway."""
    large = topic(400)
    assert [deliver(pages, *large) for _ in range(3)] == [400, 400, 400]
    assert kept(pages, *large) == large[-PASSING:]


@pytest.mark.parametrize("count", [1, PASSING, PASSING + 1, 40, BOUND])
def test_a_topic_that_fits_stays(pages: Pages, count: int) -> None:
    """Its third message at the latest reads nothing."""
    small = topic(count)
    missing = [deliver(pages, *small) for _ in range(4)]
    assert missing == [count, max(count - PASSING, 0), 0, 0]


def test_a_large_topic_does_not_drive_others_out(pages: Pages) -> None:
    """Pages that are in use stay while those of a large topic pass by."""
    small = topic(40, "small")
    deliver(pages, *small, *small)
    deliver(pages, *topic(400, "large"))
    assert kept(pages, *small) == small


def test_the_least_recently_used_goes_first(pages: Pages) -> None:
    """When more pages are in use than fit."""
    used = topic(BOUND)
    deliver(pages, *used, *used, used[0])
    more = topic(10, "more")
    deliver(pages, *more, *more)
    assert kept(pages, *used, *more) == [used[0], *used[11:], *more]


@pytest.mark.parametrize("reads", [1, 2])
def test_a_changed_page_takes_the_place_of_the_old(pages: Pages, reads: int) -> None:
    """Whether it passes by or stays."""
    deliver(pages, *[key(0)] * reads)
    page = read(pages, key(0), b"new")
    assert pages.pin([key(0)]) == [page]
    assert page.version == "new"


@pytest.mark.parametrize("reads", [1, 2])
def test_an_empty_page_is_not_kept(pages: Pages, reads: int) -> None:
    """Whose subscriptions have all gone."""
    deliver(pages, *[key(0)] * reads)
    assert pages.resolve(key(0), TOPIC_URN, RecordingAdapter(), None, None) is NO_PAGE
    assert kept(pages, key(0)) == []


@given(st.lists(st.integers(0, 200), max_size=400), st.integers(1, 200))
def test_it_is_bounded_and_never_wrong(numbers: list[int], most: int) -> None:
    """Whatever is read in whatever order, what is there is what was read last."""
    pages = Pages(cast("Roster", OneSeat()))
    last: dict[PageKey, Page] = {}
    for number in numbers:
        where = key(number % most)
        last[where] = read(pages, where)
    found = dict(zip(last, pages.pin(last), strict=True))
    present = {where: page for where, page in found.items() if page is not None}
    assert len(present) <= BOUND
    assert all(last[where] is page for where, page in present.items())
