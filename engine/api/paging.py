"""Offset, limit and marker."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from engine import times
from engine.api.bodies import Code, Query

MAX_LIMIT: Final = 100
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)


def _decimal(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("must be a decimal number")
    return int(text)


Number = Annotated[int, BeforeValidator(_decimal)]
"""A query parameter that is a number."""


class Paged(Query):
    """The part of a list that is asked for.

    ``marker`` is the URN after which it begins: how OpenStack clients ask for further pages.
    """

    offset: Annotated[Number, Code("SMN.0015")] = 0
    limit: Annotated[Annotated[Number, Field(ge=1, le=MAX_LIMIT)], Code("SMN.0015")] = MAX_LIMIT
    marker: str | None = None


iso: Final = times.iso
