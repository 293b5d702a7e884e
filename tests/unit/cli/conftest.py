"""Commands run inside the test process here, and must leave its logging alone."""

import pytest

from engine import logs


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configuring logging is for processes: `tests/e2e/test_serve.py` sees it work."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)
