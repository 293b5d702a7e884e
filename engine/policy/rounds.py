"""Rounds of calls: who is called when, as a topic's polling policy says.

All whom a policy names stand in one line, round by round. Each has a mark: open, ended, or
answered; a text with one mark for each is how far a message has come. A mark only rises, so that
what is merged twice, late, or by several changes nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPEN: Final = "0"
ENDED: Final = "1"
"""Without an answer: rejected, expired, buried, withdrawn, or never owed the message."""
ANSWERED: Final = "2"

_SOONEST_MS: Final = 1_000
_LATEST_MS: Final = 10_000
_SHARE: Final = 10


class Call(Enum):
    """Whether somebody in a round is called."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"
    """Somebody in an earlier round has answered."""


class Rounds:
    """A policy as a line; ``polling`` holds subscription ids by the order of their round."""

    def __init__(self, polling: Mapping[int, Sequence[str]]) -> None:
        self.line: Final = tuple(name for order in sorted(polling) for name in polling[order])
        self._places = {name: place for place, name in enumerate(self.line)}
        self._before: dict[str, int] = {}
        before = 0
        for order in sorted(polling):
            self._before |= dict.fromkeys(polling[order], before)
            before += len(polling[order])

    def place(self, subscription_id: str) -> int | None:
        """Where it stands in the line, None if it is in no round."""
        return self._places.get(subscription_id)

    def before(self, subscription_id: str) -> int:
        """How many stand in rounds before its own; whoever is in no round waits for nobody."""
        return self._before.get(subscription_id, 0)


def decide(before: str) -> Call:
    """Whether those who wait for others with these marks are called."""
    if ANSWERED in before:
        return Call.NEVER
    return Call.LATER if OPEN in before else Call.NOW


def next_look_ms(now_ms: int, created_ms: int, *, soon: bool) -> int:
    """When to see again how far the rounds have come; ``soon`` where looking costs next to nothing.

    Otherwise a tenth of the message's age later: it has come that far without, and polling must
    not cost more the longer it lasts.
    """
    wait_ms = min(max((now_ms - created_ms) // _SHARE, _SOONEST_MS), _LATEST_MS)
    return now_ms + (_SOONEST_MS if soon else wait_ms)
