"""Lines: what lists search of a project's resources, one hash a shard, kept parsed.

The hash's field ``v`` counts its changes, and the scripts that change a line count it. Whoever
searches asks each shard for what is new since the count that it knows, so that it never takes
anything old for true and parses only the shards that have changed.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_READ = script(__file__, "lines_read")
_VERSION: Final = b"v"
_PROJECTS: Final = 32
"""Projects that are kept: each may take some megabytes."""

Line = TypeVar("Line")
_Part = tuple[str, dict[str, Line]]
"""A shard's count of changes, and its lines by resource id."""


class Lines(Generic[Line]):
    """The lines of one kind; ``key`` names their hashes, ``read`` makes one of its JSON."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        key: Callable[[int, str], str],
        read: Callable[[str, Any], Line],
    ) -> None:
        self._store = store
        self._shards = range(keys.shards)
        self._key = key
        self._read = read
        self._known: OrderedDict[tuple[int, str], _Part[Line]] = OrderedDict()

    async def of(self, project_id: str) -> list[Mapping[str, Line]]:
        """The lines of a project by resource id, one mapping a shard: not to be changed."""
        return await self._parts([(shard, project_id) for shard in self._shards])

    async def part(self, shard: int, project_id: str) -> Mapping[str, Line]:
        """Those of one shard."""
        (lines,) = await self._parts([(shard, project_id)])
        return lines

    async def _parts(self, places: Sequence[tuple[int, str]]) -> list[Mapping[str, Line]]:
        known = [self._known.get(place, ("0", {})) for place in places]
        replies = await self._store.run_many(
            [
                (_READ, (self._key(*place),), (version,))
                for place, (version, _) in zip(places, known, strict=True)
            ]
        )
        found: list[Mapping[str, Line]] = []
        for place, part, flat in zip(places, known, replies, strict=True):
            self._known[place] = part if flat is None else self._parsed(flat)
            self._known.move_to_end(place)
            found.append(self._known[place][1])
        while len(self._known) > _PROJECTS * len(self._shards):
            self._known.popitem(last=False)
        return found

    def _parsed(self, flat: Sequence[bytes]) -> _Part[Line]:
        """All at once: as documents of their own, thousands take several times as long."""
        values = json.loads(b"[%b]" % b",".join(flat[1::2]))
        lines = {name.decode(): value for name, value in zip(flat[::2], values, strict=True)}
        version = str(lines.pop(_VERSION.decode()))
        return version, {name: self._read(name, value) for name, value in lines.items()}
