"""Windows of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
NOWHERE: Final = 2**40
"""An offset past every end: after a marker that is unknown comes nothing, but the total is told."""


def window(
    found: Sequence[Item], is_marker: Callable[[Item], bool] | None, offset: int, limit: int
) -> Sequence[Item]:
    """Of what was found whole: from ``offset`` on, counted from behind the marker if there is one.

    If nothing found is the marker, nothing comes behind it.
    """
    start = offset
    if is_marker is not None:
        start += 1 + next((at for at, one in enumerate(found) if is_marker(one)), len(found))
    return found[start : start + limit]
