"""What a row of the table of requests is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A request for an operation and the answer that it must get.

    ``{name}`` in targets and bodies stands for a thing of `tests.contract.api_stage`, which is
    made first; so are the things in ``given``. ``path`` replaces the usual path parameters.
    ``code`` is empty for a good answer. ``counted`` is a part of keys under which refused
    attempts are counted on purpose, since somebody might be guessing.
    """

    operation: str
    status: int
    code: str = ""
    body: Any = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    sign: bool = True
    counted: str = ""

    @property
    def refused(self) -> bool:
        """Whether the request must change nothing."""
        return self.status >= 400

    def __str__(self) -> str:
        given = (self.body or "", dict(self.path) or "", self.query)
        parts = (self.code, *(str(part)[:50] for part in given))
        return " ".join(str(part) for part in (self.operation, self.status, *parts) if part)
