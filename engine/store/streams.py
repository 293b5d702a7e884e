"""What a blocking read of one stream answers, whichever protocol the server speaks."""

from __future__ import annotations

from typing import Any


def entries(reply: Any) -> list[Any]:
    """The entries of an XREAD of one stream: a list in RESP2, a map in RESP3, None if none."""
    if not reply:
        return []
    if isinstance(reply, dict):
        return next(iter(reply.values()))
    return reply[0][1]  # type: ignore[no-any-return]
