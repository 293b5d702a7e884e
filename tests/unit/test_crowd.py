"""The crowd: how many endpoints have been put off lately."""

from __future__ import annotations

from engine.pipeline.pages import EndpointState
from engine.pipeline.places import Crowd

NOW_MS = 1_700_000_000_000
HALF_MINUTE = 30_000


def endpoints(count: int) -> list[EndpointState]:
    """Different ones."""
    return [EndpointState(f"http://{number}.example/", "") for number in range(count)]


def test_an_endpoint_counts_once() -> None:
    """However many messages it is owed."""
    crowd, (one, other) = Crowd(), endpoints(2)
    assert [crowd.add(state, NOW_MS) for state in (one, one, other, one)] == [1, 1, 2, 2]


def test_a_crowd_is_remembered_into_the_next_half_minute() -> None:
    """Its count does not begin anew with each."""
    crowd, states = Crowd(), endpoints(10)
    for state in states:
        crowd.add(state, NOW_MS)
    assert crowd.add(states[0], NOW_MS + HALF_MINUTE) == 10


def test_a_crowd_that_comes_no_more_is_forgotten() -> None:
    """Two half minutes later it is as if it had never been."""
    crowd, states = Crowd(), endpoints(10)
    for state in states:
        crowd.add(state, NOW_MS)
    crowd.add(states[0], NOW_MS + HALF_MINUTE)
    assert crowd.add(states[0], NOW_MS + 2 * HALF_MINUTE) == 1


def test_after_a_pause_nothing_is_remembered() -> None:
    """However large the crowd before it was."""
    crowd, states = Crowd(), endpoints(10)
    for state in states:
        crowd.add(state, NOW_MS)
    assert crowd.add(states[0], NOW_MS + 5 * HALF_MINUTE) == 1


def test_a_crowd_has_a_bound() -> None:
    """It is remembered by references: a topic of millions must not stay in memory for it."""
    crowd = Crowd()
    assert max(crowd.add(state, NOW_MS) for state in endpoints(10_050)) == 10_000
