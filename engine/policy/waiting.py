"""How long a delivery waits that has found no place. Plain functions: no clock of their own."""

from __future__ import annotations

_NEW_MS, _LONGEST_NEW_MS = 500, 5_000
_SUSPECT_MS, _LONGEST_SUSPECT_MS = 10_000, 60_000
_LONGEST_TURN_MS = 300_000


def new_wait_ms(age_ms: int) -> int:
    """The wait for a place of an unknown endpoint, whose message is as old as ``age_ms``."""
    return min(max(age_ms // 4, _NEW_MS), _LONGEST_NEW_MS)


def suspect_wait_ms(age_ms: int, *, waiting: int, places: int, try_ms: int) -> int:
    """The wait for a place of an endpoint that has been silent.

    It grows with the message's age, so that a backlog costs less and less until the endpoint is
    parked. And it is as long as it takes to try all ``waiting`` endpoints, ``places`` at a time
    and ``try_ms`` each: who comes back before that is read, put off and written in vain, and
    thousands of silent endpoints would cost the healthy ones a share of the worker.
    """
    turn_ms = waiting * try_ms // places
    return max(
        min(max(age_ms, _SUSPECT_MS), _LONGEST_SUSPECT_MS),
        min(turn_ms, _LONGEST_TURN_MS),
    )
