"""What a probe of an endpoint has found, as the contract numbers it.

Source: SMN API, "ShowHttpDetectResult": 0 = the endpoint is blacklisted, -1 = no answer within
5 seconds, -2 = the queue was full and nothing was sent; else the endpoint's own status.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from engine.models import End

BLACKLISTED: Final = "endpoint blacklisted"
"""The reason of a delivery that a parked endpoint was not to have."""
NO_PLACE: Final = "no place for it"
"""The reason of one that cannot wait and found its endpoint, or its pool, full."""

_UNSENT: Final = frozenset({End.EXPIRED, End.LIMITED, End.LOST, End.WORKER_CRASH})


@dataclass(frozen=True, slots=True)
class Finding:
    """The end of a probe."""

    usable: bool
    code: int
    text: str

    def encode(self) -> str:
        """As the result is kept."""
        return json.dumps([self.usable, self.code, self.text], ensure_ascii=False)

    @classmethod
    def decode(cls, stored: str | bytes) -> Finding:
        """Undo `encode`."""
        return cls(*json.loads(stored))


def judge(end: End, code: int, reason: str, answer: str) -> Finding:
    """What the last, and only, try of a probe says about its endpoint."""
    if end is End.DELIVERED:
        return Finding(usable=True, code=code, text="The endpoint is available.")
    if reason == BLACKLISTED:
        return Finding(usable=False, code=0, text="The endpoint is blacklisted for a while.")
    if reason == NO_PLACE or end in _UNSENT:
        return Finding(usable=False, code=-2, text="The queue is full; nothing was sent.")
    if code:
        return Finding(usable=False, code=code, text=answer)
    return Finding(usable=False, code=-1, text=f"The endpoint gave no answer: {reason}.")
