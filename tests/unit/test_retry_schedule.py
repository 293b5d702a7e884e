"""When a failed delivery is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.policy.retry_schedule import next_due_ms, round_up

NOW_MS = 1_700_000_000_000
DELAYS = (5.0, 15.0, 60.0, 180.0, 600.0, 1500.0)

_NOW = st.integers(NOW_MS, NOW_MS + 10**9)
_DELAYS = st.lists(st.floats(0.05, 10_000), min_size=1, max_size=8)


@given(_NOW, _DELAYS, st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6), st.data())
def test_a_delay_is_a_lower_bound(
    now_ms: int,
    delays: list[float],
    jitter: float,
    chance: float,
    at_least_ms: int,
    data: st.DataObject,
) -> None:
    """No try is early, for the schedule or for what the endpoint asked for."""
    tries = data.draw(st.integers(1, len(delays)))
    due_ms = next_due_ms(
        now_ms=now_ms,
        tries=tries,
        delays=delays,
        jitter=jitter,
        chance=chance,
        at_least_ms=at_least_ms,
    )
    assert due_ms is not None
    assert due_ms >= now_ms + max(int(delays[tries - 1] * 1000), at_least_ms)


@given(_NOW, _DELAYS, st.floats(0, 1), st.data())
def test_a_delay_is_not_much_longer(
    now_ms: int, delays: list[float], chance: float, data: st.DataObject
) -> None:
    """At most a fifth of jitter, a tenth of that for coming together, and 50 ms."""
    tries = data.draw(st.integers(1, len(delays)))
    due_ms = next_due_ms(now_ms=now_ms, tries=tries, delays=delays, jitter=0.2, chance=chance)
    assert due_ms is not None
    assert due_ms - now_ms <= delays[tries - 1] * 1000 * 1.2 * 1.1 + 50


def test_the_schedule_ends() -> None:
    """After as many further tries as there are delays there is none left."""
    due = [
        next_due_ms(now_ms=NOW_MS, tries=tries, delays=DELAYS, jitter=0, chance=0)
        for tries in range(1, 8)
    ]
    assert [time is None for time in due] == [False] * 6 + [True]
    assert next_due_ms(now_ms=NOW_MS, tries=1, delays=(), jitter=0, chance=0) is None


def test_the_default_schedule_is_kept() -> None:
    """Without jitter each delay is what the settings say, up to a tenth."""
    for tries, delay in enumerate(DELAYS, start=1):
        due_ms = next_due_ms(now_ms=NOW_MS, tries=tries, delays=DELAYS, jitter=0, chance=0)
        assert due_ms is not None
        assert 1 <= (due_ms - NOW_MS) / 1000 / delay <= 1.1


def test_seats_that_fail_together_come_due_together() -> None:
    """256 failures spread over a second, each with its own jitter of none, meet in few times."""
    due = {
        next_due_ms(now_ms=NOW_MS + n * 4, tries=1, delays=DELAYS, jitter=0, chance=0)
        for n in range(256)
    }
    assert len(due) <= 4


@given(_NOW, st.integers(0, 10**7))
def test_rounding_up_is_idempotent(due_ms: int, delay_ms: int) -> None:
    """A time on the grid stays; any other moves later by less than a step."""
    rounded = round_up(due_ms, delay_ms)
    assert due_ms <= rounded < due_ms + max(50, delay_ms // 10)
    assert round_up(rounded, delay_ms) == rounded
