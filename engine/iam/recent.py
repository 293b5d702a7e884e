"""A small cache for what is asked with every request and may be a second old."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

LIFE_S: Final = 1.0
"""How long a revoked key or token may still pass."""
_ENTRIES: Final = 4096


class Recent(Generic[Value]):
    """Remembers what ``find`` returned, absence too, for a second."""

    def __init__(self, find: Callable[[str], Awaitable[Value]]) -> None:
        self._find = find
        self._known: dict[str, tuple[float, Value]] = {}

    async def get(self, name: str) -> Value:
        """What ``find(name)`` returns or returned lately; its errors are not remembered."""
        now = time.monotonic()
        known = self._known.get(name)
        if known is not None and now < known[0]:
            return known[1]
        value = await self._find(name)
        if len(self._known) >= _ENTRIES:
            # Full of names that were asked once: dropping all is cheaper than keeping order.
            self._known.clear()
        self._known[name] = now + LIFE_S, value
        return value

    def forget(self, name: str) -> None:
        """Ask again next time."""
        self._known.pop(name, None)
