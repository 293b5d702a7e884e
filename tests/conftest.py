"""Rules for all tests: what a test may need, and what happens where that is missing."""

import os
import shutil
from pathlib import Path

import pytest

_PACKAGES = Path(__file__).parent.parent / ".ci" / "packages"
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _commands() -> dict[str, str]:
    """Debian package → the command it brings."""
    lines = _PACKAGES.read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian package is missing; in CI that is a failure."""
    for marker in item.iter_markers("needs"):
        package = marker.args[0]
        if shutil.which(_commands()[package], path=_SEARCH):
            continue
        reason = f"needs the Debian package {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI must have it", pytrace=False)
        pytest.skip(reason)
