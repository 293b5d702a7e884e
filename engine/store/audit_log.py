"""The audit: recorded operations of each project, newest last, bounded in number and age.

A capped stream a project; an entry is one field ``o``, JSON. A record's id, a UUID, tells where
in the stream it stands, so that an id is found, and read on from, without searching.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models import Actor, Operation
from engine.store.streams import entries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from engine.ports import Clock
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys

_CHUNK: Final = 500
_BLOCK_MS: Final = 5_000
_TIDY_MS: Final = 60_000
_UUID: Final = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-7([0-9a-f]{3})-8([0-9a-f]{3})-[0-9a-f]{12}", re.ASCII
)


class Place(NamedTuple):
    """Where an entry stands in its stream."""

    at_ms: int
    number: int

    def __str__(self) -> str:
        return f"{self.at_ms}-{self.number}"

    @classmethod
    def of(cls, entry_id: bytes) -> Place:
        """The place that Redis's own id names."""
        at_ms, _, number = entry_id.decode().partition("-")
        return cls(int(at_ms), int(number))


def trace_id(project_id: str, place: Place) -> str:
    """The id of the record at a place: a UUID of version 7, whose lead is the time."""
    digest = hashlib.sha256(f"{project_id}:{place}".encode()).hexdigest()
    number = f"{place.number & 0xFFFFFF:06x}"
    lead = f"{place.at_ms:012x}"
    return f"{lead[:8]}-{lead[8:]}-7{number[:3]}-8{number[3:]}-{digest[:12]}"


def place_of(project_id: str, identifier: str) -> Place | None:
    """The inverse of `trace_id`; None for anything that it did not make for the project."""
    found = _UUID.fullmatch(identifier)
    if found is None:
        return None
    head, tail, upper, lower = found.groups()
    place = Place(int(head + tail, 16), int(upper + lower, 16))
    return place if trace_id(project_id, place) == identifier else None


class AuditLog:
    """Keeps and reads recorded operations."""

    def __init__(self, store: Store, keys: Keys, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._entries = settings.audit_entries
        self._age_ms = settings.audit_seconds * 1000
        self._clock = clock
        self._tidied: dict[str, int] = {}

    async def append(self, project_id: str, operations: Sequence[Operation]) -> None:
        """Keep operations of one project, one command each; a lost answer leaves it unknown.

        What is too old goes with the first write of a minute; a project that nobody uses any
        more loses its whole record by then.
        """
        key, now_ms = self._keys.project_audit(project_id), self._clock.now_ms()
        commands: list[tuple[str | int, ...]] = [
            ("XADD", key, "MAXLEN", "~", self._entries, "*", "o", _pack(operation))
            for operation in operations
        ]
        if now_ms - self._tidied.get(project_id, 0) >= _TIDY_MS:
            # The expiry is renewed each minute, so that it never comes before the last entry's.
            commands.append(("XTRIM", key, "MINID", "~", self._oldest_ms()))
            commands.append(("PEXPIRE", key, self._age_ms + 2 * _TIDY_MS))
        await self._store.call_many(commands, key=key)
        if len(commands) > len(operations):
            self._tidied[project_id] = now_ms

    async def find(self, project_id: str, identifier: str) -> Operation | None:
        """The operation with this id."""
        place = place_of(project_id, identifier)
        if place is None or place.at_ms < self._oldest_ms():
            return None
        key = self._keys.project_audit(project_id)
        entries = await self._store.call("XRANGE", key, str(place), str(place), repeatable=True)
        return _unpack(project_id, entries[0]) if entries else None

    async def newest(
        self, project_id: str, *, after_ms: int, before_ms: int, below: Place | None = None
    ) -> AsyncIterator[Operation]:
        """Operations recorded between two times, both exclusive, the newest first.

        ``below`` leaves out everything that was recorded after it, and itself.
        """
        key = self._keys.project_audit(project_id)
        oldest = str(max(after_ms + 1, self._oldest_ms(), 0))
        newest = str(max(before_ms - 1, 0))
        if below is not None and below.at_ms < before_ms:
            newest = f"({below}"
        while True:
            entries = await self._store.call(
                "XREVRANGE", key, newest, oldest, "COUNT", _CHUNK, repeatable=True
            )
            for entry in entries:
                yield _unpack(project_id, entry)
            if len(entries) < _CHUNK:
                return
            newest = f"({entries[-1][0].decode()}"

    async def follow(self, project_id: str, after: Place) -> AsyncGenerator[Operation, None]:
        """Operations as they are recorded, behind a place, the oldest first.

        Ends only with its caller; raises `StoreUnavailable` when the connection breaks.
        """
        key, last = self._keys.project_audit(project_id), str(after)
        reader = self._store.reader(key)
        try:
            while True:
                reply = await reader.call(
                    "XREAD", "COUNT", _CHUNK, "BLOCK", _BLOCK_MS, "STREAMS", key, last
                )
                for entry in entries(reply):
                    last = entry[0].decode()
                    yield _unpack(project_id, entry)
        finally:
            await reader.close()

    def _oldest_ms(self) -> int:
        return self._clock.now_ms() - self._age_ms


def _pack(operation: Operation) -> str:
    fields = asdict(operation)
    del fields["id"], fields["recorded_ms"], fields["project_id"]
    return json.dumps(fields, separators=(",", ":"))


def _unpack(project_id: str, entry: Any) -> Operation:
    place = Place.of(entry[0])
    fields = json.loads(entry[1][1])
    fields["actor"] = Actor(**fields["actor"])
    return Operation(
        **fields, project_id=project_id, id=trace_id(project_id, place), recorded_ms=place.at_ms
    )
