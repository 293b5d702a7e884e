"""The check that the official SDK calls every operation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.every_operation import _TESTS, NOTES, EveryOperation, missing
from tests.smn_contract import OPERATIONS

ALL = [f"{operation} {end}" for operation in OPERATIONS for end in ("worked", "failed")]


def finish(notes: list[str], *, files: frozenset[str] = _TESTS, **changes: Any) -> int:
    """The exit status of a run of these files whose clients have noted these calls."""
    option = {"keyword": "", "deselect": None, "args": ["tests"], "exitstatus": 0} | changes
    config = SimpleNamespace(option=SimpleNamespace(**option), args=option["args"])
    plugin = EveryOperation(cast("pytest.Config", config))
    for file in files:
        report = SimpleNamespace(location=(file, 1, "x"), user_properties=[])
        report.user_properties = [(NOTES, note) for note in notes]
        plugin.pytest_runtest_logreport(cast("pytest.TestReport", report))
    session = SimpleNamespace(exitstatus=option["exitstatus"])
    plugin.pytest_sessionfinish(cast("pytest.Session", session))
    return int(session.exitstatus)


@pytest.mark.parametrize("note", ["ListVersions worked", "CreateSubscriptionUser failed"])
def test_an_operation_that_is_not_called_fails_the_run(note: str) -> None:
    """Whether it never worked or never failed; the summary names it."""
    notes = [one for one in ALL if one != note]
    assert missing(notes) == [note.replace(" ", " never ")]
    assert finish(notes) == pytest.ExitCode.TESTS_FAILED


def test_a_run_of_everything_passes() -> None:
    """Each operation has worked and failed."""
    assert finish(ALL) == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "changes",
    [
        {"files": frozenset({"tests/e2e/test_sdk_topics.py"})},
        {"keyword": "topic"},
        {"deselect": ["x"]},
        {"args": ["tests/e2e/test_sdk_topics.py::test_tags"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_part_of_the_tests_proves_nothing(changes: dict[str, Any]) -> None:
    """Who runs a choice of tests is not bothered."""
    assert finish([], **changes) == pytest.ExitCode.OK
