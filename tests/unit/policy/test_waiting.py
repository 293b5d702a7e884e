"""How long who has found no place waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.policy.waiting import new_wait_ms, suspect_wait_ms

SECOND = 1_000


def suspect(age_s: int, waiting: int) -> int:
    """The wait in whole seconds, with 64 places and attempts of five seconds."""
    wait_ms = suspect_wait_ms(age_s * SECOND, waiting=waiting, places=64, try_ms=5 * SECOND)
    return wait_ms // SECOND


def test_an_unknown_endpoint_is_asked_again_soon() -> None:
    """It may answer at once; the older its message, the less it matters."""
    assert new_wait_ms(0) == 500
    assert new_wait_ms(8 * SECOND) == 2 * SECOND
    assert new_wait_ms(3600 * SECOND) == 5 * SECOND


def test_a_few_silent_endpoints_wait_ten_seconds_then_as_long_as_their_message_is_old() -> None:
    """A blip costs an endpoint ten seconds, a long silence a look a minute."""
    assert suspect(0, waiting=1) == 10
    assert suspect(0, waiting=128) == 10
    assert suspect(25, waiting=128) == 25
    assert suspect(3600, waiting=128) == 60


def test_among_many_silent_endpoints_each_waits_for_its_turn() -> None:
    """Sooner there would be no place for it."""
    assert suspect(0, waiting=256) == 20
    assert suspect(3600, waiting=2_000) == 156
    assert suspect(0, waiting=1_000_000) == 300


@given(
    age_ms=st.integers(-SECOND, 10**12),
    waiting=st.integers(1, 10**7),
    places=st.integers(1, 10**5),
    try_ms=st.integers(1, 10**6),
)
def test_a_wait_is_never_shorter_than_ten_seconds_nor_longer_than_five_minutes(
    age_ms: int, waiting: int, places: int, try_ms: int
) -> None:
    """Whatever the settings are."""
    wait_ms = suspect_wait_ms(age_ms, waiting=waiting, places=places, try_ms=try_ms)
    assert 10 * SECOND <= wait_ms <= 300 * SECOND
