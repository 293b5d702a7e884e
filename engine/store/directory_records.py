"""The directory's records in Redis: one hash with a version, and a list of its last changes.

A process keeps a copy. It asks for what has changed since its version, and writes on condition
that its version is still the newest, so that every decision is made on the whole truth.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.settings import Durability
from engine.store.scripts import script

if TYPE_CHECKING:
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys

_READ: Final = script(__file__, "directory_read")
_WRITE: Final = script(__file__, "directory_write")
_REMEMBERED: Final = 1000
"""Changes kept; who has missed more reads everything."""


class Version(NamedTuple):
    """How often the directory has changed, and the mark of the last change.

    The number alone would repeat after a fail-over that loses a write.
    """

    number: int
    mark: str


NOTHING: Final = Version(0, "")
"""The version of an empty directory."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new at ``version``: everything if ``whole``; None is a deleted record."""

    version: Version
    whole: bool
    records: Mapping[str, str | None]


class DirectoryRecords:
    """Reads and writes the directory."""

    def __init__(self, store: Store, keys: Keys, settings: Settings) -> None:
        self._store = store
        self._names = (keys.directory(), keys.directory_changes())
        self._wait = settings.durability is Durability.REPLICA

    async def changes(self, known: Version) -> Changes:
        """What has changed since a version; `NOTHING` asks for everything. Raises `StoreError`."""
        number, mark, partial, *rest = await self._store.run(_READ, self._names, known)
        records = {
            name.decode(): value.decode() or None
            for name, value in zip(rest[::2], rest[1::2], strict=True)
        }
        return Changes(Version(number, mark.decode()), not partial, records)

    async def write(self, expected: Version, records: Mapping[str, str | None]) -> bool:
        """Write records, None to delete; false if ``expected`` is no longer the version."""
        args: list[str | int] = [*expected, secrets.token_hex(8), _REMEMBERED]
        for name, value in records.items():
            args += (name, value or "")
        reply = await self._store.run(_WRITE, self._names, args, wait_replicas=self._wait)
        return bool(reply)
