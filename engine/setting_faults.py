"""What is wrong with a setting, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def fault(error: ErrorDetails) -> str:
    """What pydantic found wrong, without its own marks and without a full stop."""
    if error["type"] == "extra_forbidden":
        return "there is no setting of this name"
    return error["msg"].removeprefix("Value error, ").rstrip(".")
