"""Test doubles that are shipped for users."""

from __future__ import annotations

import pytest

from engine.models import Rejected
from engine.policy.protocols import TABLE
from engine.testing import RecordingAdapter


@pytest.mark.parametrize("protocol", TABLE)
def test_a_recorder_has_the_limits_of_its_protocol(protocol: str) -> None:
    """Whoever must confirm must be invited, within a limit."""
    (recorder,) = RecordingAdapter.of(protocol)
    assert recorder.protocols == (protocol,)
    assert recorder.limits.confirm == TABLE[protocol].confirm == bool(recorder.limits.confirmations)
    assert recorder.limits.secret_endpoint == TABLE[protocol].secret


def test_recorders_may_share_a_judge_but_no_memory() -> None:
    """Each keeps what it was given itself."""
    one, two = RecordingAdapter.of("email", "welink", judge=lambda _: Rejected("no"))
    assert one.sent is not two.sent
