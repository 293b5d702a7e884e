"""Rates: whose attempts are counted together."""

import pytest

from engine.models import Rate
from engine.policy.rates import UNBOUND, leeway_ms, pace

OWN, OWN_TOO, SHARED = Rate(20, 60, 5), Rate(5, 1, 0.2), Rate(20, 1, 0.2, of="app_key")


def test_without_rates_nothing_is_counted() -> None:
    """Most protocols have none."""
    assert pace((), "group", {"app_key": "a"}) == UNBOUND


def test_an_endpoint_is_counted_for_itself() -> None:
    """With all rates that are not of something else."""
    assert pace((OWN, SHARED, OWN_TOO), "group", {"keyword": "k"}) == (
        *("group", (OWN, OWN_TOO), leeway_ms([OWN, OWN_TOO])),
    )


def test_endpoints_of_one_application_are_counted_together() -> None:
    """With the application's rates alone, and apart from another application's."""
    one = pace((OWN, SHARED), "group 1", {"app_key": "a"})
    assert one == pace((OWN, SHARED), "group 2", {"app_key": "a"})
    assert one.rates == (SHARED,)
    assert one.whom != pace((OWN, SHARED), "group 1", {"app_key": "b"}).whom


def test_an_application_is_not_taken_for_an_endpoint() -> None:
    """Whatever they are called."""
    assert pace((SHARED,), "a", {"app_key": "a"}).whom != pace((OWN,), "a", {}).whom


def test_a_subscription_that_no_rate_is_of_has_none() -> None:
    """Neither its own nor an application's."""
    assert pace((SHARED,), "group", {}) == ("group", (), 0)


def test_a_rate_without_a_margin_binds_all_the_same() -> None:
    """An attempt may then start at its time and hardly later."""
    own = Rate(5, 1, 0)
    assert pace((own,), "group", {}) == ("group", (own,), 1)


@pytest.mark.parametrize(("count", "period_s", "margin_s"), [(0, 1, 0.1), (1, 0, 0.1), (1, 1, -1)])
def test_a_rate_that_cannot_be_kept_to_is_refused(
    count: int, period_s: float, margin_s: float
) -> None:
    """When the adapter declares it, not when a message waits for a turn that never comes."""
    with pytest.raises(ValueError, match="a rate needs"):
        Rate(count, period_s, margin_s)
