"""Fault points kill, and only where and when they are told to."""

from __future__ import annotations

import os
import signal

import pytest

from engine.faults import Faults


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What would have been killed."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: found.append((pid, number)))
    return found


def test_without_a_setting_nothing_dies(killed: list[tuple[int, int]]) -> None:
    """Points are passed for nothing in normal life."""
    faults = Faults("")
    for point in ("accept:before", "settle:after"):
        faults.reach(point)
    assert killed == []


def test_the_named_point_kills_this_process(killed: list[tuple[int, int]]) -> None:
    """By SIGKILL, which nothing can catch or soften; other points do nothing."""
    faults = Faults("settle:before")
    faults.reach("settle:after")
    assert killed == []
    faults.reach("settle:before")
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_a_count_lets_some_pass(killed: list[tuple[int, int]]) -> None:
    """``@3`` dies at the third pass."""
    faults = Faults("accept:after@3")
    for _ in range(2):
        faults.reach("accept:after")
    assert killed == []
    faults.reach("accept:after")
    assert len(killed) == 1
