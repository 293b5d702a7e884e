"""Offset, limit and marker, and lists that are filtered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Protocol, TypeVar

from pydantic import BeforeValidator, Field

from engine import times
from engine.api.bodies import Code, Query
from engine.models import Listing

MAX_LIMIT: Final = 100
_CHUNK: Final = 1000
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)


def _decimal(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("must be a decimal number")
    return int(text)


Number = Annotated[int, BeforeValidator(_decimal)]
"""A query parameter that is a number."""


class Paged(Query):
    """The part of a list that is asked for.

    ``marker`` is the URN after which it begins: how OpenStack clients ask for further pages.
    """

    offset: Annotated[Number, Code("SMN.0015")] = 0
    limit: Annotated[Annotated[Number, Field(ge=1, le=MAX_LIMIT)], Code("SMN.0015")] = MAX_LIMIT
    marker: str | None = None


class Named(Protocol):
    """Anything with a URN."""

    @property
    def urn(self) -> str:
        """Its URN."""
        ...


Item = TypeVar("Item", bound=Named)
Source = Callable[[int, int], Awaitable[Listing[Item]]]
"""Lists by offset and limit."""
Place = Callable[[str], Awaitable[int | None]]
"""Where the item with a URN stands in the list, None if it does not."""


async def listed(
    source: Source[Item],
    part: Paged,
    wanted: Callable[[Item], bool] | None = None,
    place: Place | None = None,
) -> Listing[Item]:
    """The window of the list, or of those that ``wanted`` accepts.

    Without a filter the index answers, also for a marker whose ``place`` can be told; else the
    list is read through, a bounded number at a time, and the total counts the matches.
    """
    if wanted is None and part.marker is None:
        return await source(part.offset, part.limit)
    if wanted is None and part.marker is not None and place is not None:
        before = await place(part.marker)
        if before is None:
            return Listing((), (await source(0, 1)).total)
        return await source(before + 1 + part.offset, part.limit)
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


iso: Final = times.iso
