"""Times as the contract writes them: UTC to the second, ``2026-01-02T03:04:05Z``."""

from __future__ import annotations

import re
import time
from datetime import datetime
from functools import lru_cache
from typing import Final

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MILLIS: Final = re.compile(r"\d{1,13}", re.ASCII)


@lru_cache(maxsize=4096)
def iso(moment_ms: int) -> str:
    """UTC to the second, as the contract writes all times; lists ask for the same ones again."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_ms // 1000))


def parse_iso(text: str) -> int | None:
    """Milliseconds since the epoch; None for anything but such a time."""
    if not _ISO.fullmatch(text):
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def parse_millis(value: object) -> int:
    """Milliseconds since the epoch, as a number or in digits; raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a time in milliseconds")  # noqa: TRY004 - pydantic's way
    if not _MILLIS.fullmatch(str(value)):
        raise ValueError("must be a time in milliseconds")
    return int(value)
