"""The check that the official SDK has called every operation, once well and once badly.

The clients note each call (`noting`), each end-to-end test hands its notes on with its report, and
a run of all tests of the SDK fails at its end for an operation that is missing: in one process or
spread over several, whose reports all come together in the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from huaweicloudsdkcore.client import Client
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from tests.smn_contract import OPERATIONS

NOTES: Final = "sdk_call"
"""The property of a test's report that holds a note."""
_TESTS: Final = frozenset(
    f"tests/e2e/{path.name}" for path in (Path(__file__).parent / "e2e").glob("test_sdk_*.py")
)


@contextmanager
def noting(notes: list[str]) -> Iterator[None]:
    """Have every client note what it calls: ``ListTopics worked``, ``ListTopics failed``.

    Failed is what the service has refused, not what a client could not send or read.
    """
    send = Client.do_http_request

    def noted(client: Client, *args: Any, **options: Any) -> Any:
        operation = options["request_type"].removesuffix("Request")
        try:
            answer = send(client, *args, **options)
        except ClientRequestException:
            notes.append(f"{operation} failed")
            raise
        if not options.get("async_request"):  # else nobody has waited for the answer yet
            notes.append(f"{operation} worked")
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "do_http_request", noted)
        yield


def missing(notes: Collection[str]) -> list[str]:
    """The operations that have not worked, or not failed, and which of the two."""
    return [
        f"{operation} never {end}"
        for operation in OPERATIONS
        for end in ("worked", "failed")
        if f"{operation} {end}" not in notes
    ]


class EveryOperation:
    """Fails a run of all tests of the SDK in which an operation is missing."""

    def __init__(self, config: pytest.Config) -> None:
        # A choice among the tests of a file proves nothing about what the file leaves out.
        chosen = config.option.keyword or config.option.deselect
        self._whole = not chosen and not any("::" in name for name in config.args)
        self._seen: set[str] = set()
        self._notes: set[str] = set()
        self._missing: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the notes of a test."""
        self._seen.add(report.location[0])
        self._notes.update(str(value) for name, value in report.user_properties if name == NOTES)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge, unless it has failed anyway."""
        if self._whole and self._seen >= _TESTS and session.exitstatus == pytest.ExitCode.OK:
            self._missing = missing(self._notes)
            if self._missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is missing."""
        if self._missing:
            terminalreporter.section("operations that the SDK must call in tests/e2e", red=True)
            for line in self._missing:
                terminalreporter.line(line)
