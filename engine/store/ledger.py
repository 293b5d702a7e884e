"""The ledger row: what became of each seat of a page, for one message.

A row is written whole by the one worker that holds the batch (`settle.lua` is fenced), so it
needs no merging in Redis: a bitmap of ended seats, which only grows, and a record for each
seat that waits for another try. A page without a row has not been touched; a page that has
ended has none again.

Layout, big-endian:

    u8   version          2
    u32  flush            number of the last flush that the row holds; never decreases
    u64  deadline         ms since the epoch, 0 = the message's own (a redrive sets it)
    u16  solo             seat that is being tried alone after crashes, 65535 = none
    32   ended            bitmap, seat n is bit n % 8 of byte n / 8
    …    waiting          26 bytes each: u8 seat, u8 tries, u64 due in ms, 16 bytes id;
                          the due time's top bit says that it is reserved

Version 1 was the same without that bit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.errors import StoreError
from engine.models import PAGE_SEATS

_HEAD = struct.Struct(">BIQH")
_WAITING = struct.Struct(">BBQ16s")
_VERSION = 2
_READABLE = (1, 2)
_RESERVED = 1 << 63
_NOBODY = 0xFFFF
_BITMAP = PAGE_SEATS // 8


class Waiting(NamedTuple):
    """A seat that is due again: attempts made, when, and whose it is (hex id).

    ``reserved``: the time was reserved at the endpoint's rate, and is this seat's alone.
    """

    tries: int
    due_ms: int
    subscription_id: str
    reserved: bool = False

    def pack(self, seat: int) -> bytes:
        """The record of the seat."""
        due = self.due_ms | (_RESERVED if self.reserved else 0)
        return _WAITING.pack(seat, self.tries, due, bytes.fromhex(self.subscription_id))


@dataclass(slots=True)
class Row:
    """A ledger row in memory; ``ended`` is the bitmap as an integer, seat n is bit n."""

    flush: int = 0
    deadline_ms: int = 0
    solo: int | None = None
    ended: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The row as Redis keeps it."""
        parts = [
            _HEAD.pack(
                _VERSION,
                self.flush,
                self.deadline_ms,
                _NOBODY if self.solo is None else self.solo,
            ),
            self.ended.to_bytes(_BITMAP, "little"),
        ]
        parts += [wait.pack(seat) for seat, wait in self.waiting.items()]
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Row:
        """Read a row; raises `StoreError` for anything that `pack` did not write."""
        body = _HEAD.size + _BITMAP
        if len(packed) < body or (len(packed) - body) % _WAITING.size:
            raise StoreError("a ledger row has an impossible length")
        version, flush, deadline_ms, solo = _HEAD.unpack_from(packed)
        if version not in _READABLE:
            raise StoreError(f"a ledger row has version {version}, this program reads {_VERSION}")
        return cls(
            flush=flush,
            deadline_ms=deadline_ms,
            solo=None if solo == _NOBODY else solo,
            ended=int.from_bytes(packed[_HEAD.size : body], "little"),
            waiting={
                seat: Waiting(tries, due & ~_RESERVED, identifier.hex(), bool(due & _RESERVED))
                for seat, tries, due, identifier in _WAITING.iter_unpack(packed[body:])
            },
        )
