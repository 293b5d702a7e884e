"""What a suite leaves behind."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.chart import Bar, Bars
from benchmarks.report import Context, Result, at_least, at_most, show, write

CONTEXT = Context(
    started="2026-11-23T10:00:00+00:00",
    commit="abc",
    seed=7,
    quick=False,
    machine={
        "processor": "p",
        "cores": 2,
        "memory_gib": 4,
        "system": "s",
        "load_average": [0.1],
        "load_average_after": [2],
    },
    versions={"python": "3.11", "aiohttp": "3.14"},
)
RESULT = Result(
    suite="demo",
    title="A demo",
    subtitle="of nothing",
    checks=(at_most("lag", 3.0, "ms", 5), at_least("rate", 1.0, "/s", 2)),
    facts={"spread": {"low": 1.0, "high": 2.0}},
    samples={"all": [1, 2]},
    panels=(Bars("t", "u", (Bar("a", 1.0),)),),
)


def test_goals_decide() -> None:
    """A result is good when every goal is met; a bound itself is met."""
    assert not RESULT.ok
    assert at_most("x", 5, "", 5).ok
    assert at_least("x", 5, "", 5).ok
    assert not at_most("x", 5.01, "", 5).ok


def test_files_hold_everything(tmp_path: Path) -> None:
    """The JSON holds checks, samples and where it was measured; the SVG is XML."""
    write(RESULT, CONTEXT, tmp_path / "new")
    found = json.loads((tmp_path / "new/demo.json").read_text())
    assert found["checks"][0] == {
        "name": "lag",
        "value": 3.0,
        "unit": "ms",
        "goal": "≤ 5",
        "ok": True,
    }
    assert (found["seed"], found["commit"], found["samples"]) == (7, "abc", {"all": [1, 2]})
    ET.parse(tmp_path / "new/demo.svg")


def test_table_says_pass_and_miss() -> None:
    """A person sees each number, its goal and the verdict."""
    file = io.StringIO()
    show(RESULT, CONTEXT, file)
    text = file.getvalue()
    assert "pass" in text
    assert "MISS" in text
    assert "≥ 2" in text
    assert "spread: low 1, high 2" in text
    assert "load before [0.1], after [2]" in text
