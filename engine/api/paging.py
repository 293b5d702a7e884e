"""Offset, limit and marker, and lists that are filtered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from engine.errors import Refused
from engine.models import Listing

if TYPE_CHECKING:
    from engine.api.call import Call

MAX_LIMIT: Final = 100
_CHUNK: Final = 1000
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)


class Named(Protocol):
    """Anything with a URN."""

    @property
    def urn(self) -> str:
        """Its URN."""
        ...


Item = TypeVar("Item", bound=Named)
Source = Callable[[int, int], Awaitable[Listing[Item]]]
"""Lists by offset and limit."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for; ``marker`` is the URN after which it begins."""

    offset: int
    limit: int
    marker: str | None = None


def window(call: Call) -> Window:
    """From the query; raises `Refused` SMN.0015.

    ``marker`` is how OpenStack clients ask for further pages.
    """
    offset = _number(call.parameter("offset"), 0)
    limit = _number(call.parameter("limit"), MAX_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise Refused("SMN.0015", f"limit is 1 to {MAX_LIMIT}.")
    return Window(offset, limit, call.parameter("marker"))


async def listed(
    source: Source[Item], part: Window, wanted: Callable[[Item], bool] | None = None
) -> Listing[Item]:
    """The window of the list, or of those that ``wanted`` accepts.

    Without filter and marker the index answers; else the list is read through, a bounded
    number at a time, and the total counts the matches.
    """
    if wanted is None and part.marker is None:
        return await source(part.offset, part.limit)
    found: list[Item] = []
    matches = skipped = start = 0
    passed = part.marker is None
    more = True
    while more:
        page = await source(start, _CHUNK)
        # Fewer items than asked for are no end: what is gone is left out of a page.
        start += len(page.items)
        more = start < page.total
        for item in page.items:
            if wanted is not None and not wanted(item):
                continue
            matches += 1
            if not passed:
                passed = item.urn == part.marker
            elif skipped < part.offset:
                skipped += 1
            elif len(found) < part.limit:
                found.append(item)
    return Listing(tuple(found), matches)


def iso(moment_ms: int) -> str:
    """UTC to the second, as the contract writes all times."""
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise Refused("SMN.0015", "Both are decimal numbers.")
    return int(text)
