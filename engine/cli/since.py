"""Points in time as people say them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from engine.times import parse_iso

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)

Since = Annotated[
    str | None,
    typer.Option(metavar="T", help="only from then on: 30m, 2h, 7d or 2026-01-02T03:04:05Z"),
]


def check_since(text: str | None) -> None:
    """Wrong usage is said before anything is opened."""
    if text is not None and _SPAN.fullmatch(text) is None and parse_iso(text) is None:
        raise typer.BadParameter(f"{text!r} is no time; say 30m, 2h, 7d or 2026-01-02T03:04:05Z.")


def moment_ms(text: str | None, now_ms: int) -> int:
    """Milliseconds since the epoch; 0 without a text."""
    if text is None:
        return 0
    span = _SPAN.fullmatch(text)
    if span is None:
        return parse_iso(text) or 0
    return max(now_ms - int(span[1]) * _UNITS[span[2]], 0)
