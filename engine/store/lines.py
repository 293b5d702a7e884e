"""Lines: what lists search of a project's resources, one hash a shard, kept parsed.

The hash's field ``v`` is the moment of its last change, which the scripts that change a line
write: compared for equality alone, since a count would come again after a loss of data. Whoever
searches asks each shard for what is not of the moment that it knows, so that it never takes
anything old for true, reads only the shards that have changed and parses only what has.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

from engine.store.parsed_hash import Line, ParsedHash, unread
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_READ = script(__file__, "lines_read")
_VERSION: Final = b"v"
_PROJECTS: Final = 32
"""Projects that are kept: each may take some megabytes."""


class _Part(NamedTuple, Generic[Line]):
    """When a shard's lines were last changed, and they by resource id."""

    version: str
    hash: ParsedHash[Line]


def _unknown() -> _Part[Line]:
    return _Part("0", unread())


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
        known = [self._known.get(place) or _unknown() for place in places]
        replies = await self._store.run_many(
            [
                (_READ, (self._key(*place),), (part.version,))
                for place, part in zip(places, known, strict=True)
            ]
        )
        found: list[Mapping[str, Line]] = []
        for place, part, flat in zip(places, known, replies, strict=True):
            self._known[place] = part if flat is None else self._renewed(part, flat)
            self._known.move_to_end(place)
            found.append(self._known[place].hash.lines)
        while len(self._known) > _PROJECTS * len(self._shards):
            self._known.popitem(last=False)
        return found

    def _renewed(self, part: _Part[Line], flat: Sequence[bytes]) -> _Part[Line]:
        raw = dict(zip(flat[::2], flat[1::2], strict=True))
        version = raw.pop(_VERSION, b"0").decode()  # none: the database has lost the hash
        return _Part(version, part.hash.read_again(raw, self._parsed))

    def _parsed(self, raw: Mapping[bytes, bytes]) -> list[Line]:
        """All at once: as documents of their own, thousands take several times as long."""
        values = json.loads(b"[%b]" % b",".join(raw.values()))
        return [self._read(name.decode(), value) for name, value in zip(raw, values, strict=True)]
