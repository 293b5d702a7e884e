"""What every suite gets: the size of the run, a scratch directory, a way to say how it goes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Result

Size = TypeVar("Size")


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of one suite."""

    scratch: Path
    seed: int
    quick: bool

    def size(self, full: Size, quick: Size) -> Size:
        """The one that this run asks for."""
        return quick if self.quick else full

    def room(self, name: str) -> Path:
        """An empty directory below the scratch directory."""
        path = self.scratch / name
        path.mkdir(parents=True)
        return path

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        sys.stderr.write(f"  · {text}\n")
        sys.stderr.flush()


class Suite(Protocol):
    """A module of `benchmarks.suites`: its docstring's first line is its title."""

    __doc__: str | None

    async def run(self, bench: Bench) -> Result:
        """Measure."""
        ...
