"""What a suite found: goals with pass or miss, on the terminal, as JSON and as a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks import chart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TextIO


@dataclass(frozen=True, slots=True)
class Check:
    """One number beside what it should be. ``goal`` is words, ``ok`` the verdict."""

    name: str
    value: float
    unit: str
    goal: str
    ok: bool


def at_most(name: str, value: float, unit: str, goal: float) -> Check:
    """A check with an upper bound."""
    return Check(name, value, unit, f"≤ {chart.number(goal)}", value <= goal)


def at_least(name: str, value: float, unit: str, goal: float) -> Check:
    """A check with a lower bound."""
    return Check(name, value, unit, f"≥ {chart.number(goal)}", value >= goal)


@dataclass(frozen=True, slots=True)
class Result:
    """All that a suite found.

    ``facts`` are further numbers worth reading, ``samples`` every single measurement,
    ``panels`` the picture.
    """

    suite: str
    title: str
    subtitle: str
    checks: tuple[Check, ...]
    facts: Mapping[str, object]
    samples: Mapping[str, object]
    panels: tuple[chart.Panel, ...]

    @property
    def ok(self) -> bool:
        """Whether every goal was met."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Context:
    """Where, when and on what a run happened."""

    started: str
    commit: str
    seed: int
    quick: bool
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    fsync: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The footer of a picture."""
        found = self.machine
        words = "quick run, not a result · " if self.quick else ""
        return (
            f"{words}{found['processor']} × {found['cores']}, {found['memory_gib']} GiB, "
            f"{found['system']} · Python {self.versions['python']}, aiohttp "
            f"{self.versions['aiohttp']} · {self.started[:10]} · {self.commit} · seed {self.seed}"
        )


def write(result: Result, context: Context, directory: Path) -> None:
    """Write ``SUITE.json`` and ``SUITE.svg``."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        "suite": result.suite,
        "title": result.title,
        "what": result.subtitle,
        "started": context.started,
        "commit": context.commit,
        "seed": context.seed,
        "quick": context.quick,
        "machine": context.machine,
        "versions": context.versions,
        "fsync": context.fsync,
        "checks": [
            {"name": c.name, "value": c.value, "unit": c.unit, "goal": c.goal, "ok": c.ok}
            for c in result.checks
        ],
        "facts": result.facts,
        "samples": result.samples,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (directory / f"{result.suite}.json").write_text(text + "\n", encoding="utf-8")
    svg = chart.picture(result.title, result.subtitle, result.panels, context.line())
    (directory / f"{result.suite}.svg").write_text(svg, encoding="utf-8")


def show(result: Result, context: Context, file: TextIO) -> None:
    """Print the goals as a table and the facts below it."""
    console = Console(file=file, highlight=False)
    table = Table(title=f"{result.suite}: {result.title}", title_justify="left", min_width=78)
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("goal")
    table.add_column("")
    for check in result.checks:
        verdict = "[green]pass[/]" if check.ok else "[bold red]MISS[/]"
        measured = f"{chart.number(check.value)} {check.unit}".strip()
        table.add_row(check.name, measured, check.goal, verdict)
    console.print(table)
    console.print(f"[dim]{result.subtitle}[/]", soft_wrap=True)
    for name, value in result.facts.items():
        console.print(f"  {name.replace('_', ' ')}: {_plain(value)}", soft_wrap=True)
    found = context.machine
    load = f"load before {found['load_average']}, after {found['load_average_after']}"
    console.print(f"[dim]  {context.line()}; {load}[/]\n", soft_wrap=True)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return chart.number(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    return str(value)
