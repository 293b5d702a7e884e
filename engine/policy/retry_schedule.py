"""When a failed delivery is tried again. Plain functions: no clock, no random of their own."""

from __future__ import annotations

from collections.abc import Sequence

_GRID_MS = 50
_GRID_SHARE = 10


def next_due_ms(
    *,
    now_ms: int,
    tries: int,
    delays: Sequence[float],
    jitter: float,
    chance: float,
    at_least_ms: int = 0,
) -> int | None:
    """The time of the next try after ``tries`` failed ones, or None if there is none left.

    ``delays`` are seconds before each further try and lower bounds; ``jitter`` is the share of
    a delay that ``chance`` (0 to 1) adds; ``at_least_ms`` is what the endpoint asked for.
    """
    if tries > len(delays):
        return None
    delay_ms = int(delays[tries - 1] * 1000)
    delay_ms = max(int(delay_ms * (1 + jitter * chance)), at_least_ms)
    return round_up(now_ms + delay_ms, delay_ms)


def round_up(due_ms: int, delay_ms: int) -> int:
    """A due time on a grid of max(50 ms, 10 % of the delay).

    Seats of a page that fail at about the same time then come due at the same time, and the
    page goes round once instead of once a seat.
    """
    grid = max(_GRID_MS, delay_ms // _GRID_SHARE)
    return -(-due_ms // grid) * grid
