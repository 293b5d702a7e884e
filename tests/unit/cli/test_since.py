"""A point in time is said as a span before now or as the contract writes times."""

from __future__ import annotations

import pytest
import typer

from engine.cli.since import check_since, moment_ms

NOW_MS = 1_767_323_045_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, 0),
        ("30s", NOW_MS - 30_000),
        ("5m", NOW_MS - 300_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("999999d", 0),
        ("2026-01-02T03:04:05Z", NOW_MS),
    ],
)
def test_a_time_is_understood(text: str | None, moment: int) -> None:
    """Nothing means from the beginning."""
    check_since(text)
    assert moment_ms(text, NOW_MS) == moment


@pytest.mark.parametrize("text", ["", "1", "h", "1 h", "1w", "2026-01-02", "2026-13-02T03:04:05Z"])
def test_anything_else_is_wrong_usage(text: str) -> None:
    """Before anything is opened."""
    with pytest.raises(typer.BadParameter):
        check_since(text)
