"""Documents that list what the code defines say the same as the code."""

import tomllib
from pathlib import Path

from pydantic_core import PydanticUndefined

from engine.errors import CATALOG
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if value is PydanticUndefined:
        return "max(1, cores − 1)"
    if value is None or value == "":
        return "–"
    if isinstance(value, tuple):
        return "`" + ",".join(f"{part:g}" for part in value) + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def settings_table() -> str:
    """What the README must say about settings; the fault point is for tests alone."""
    fields = {name: field for name, field in Settings.model_fields.items() if name != "fault_point"}
    rows = [
        f"| `TOCSIN_{name.upper()}` | {_default(name)} | {field.description} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def errors_table() -> str:
    """What the README must say about our own error codes."""
    ours = {code: found for code, found in CATALOG.items() if code.startswith("TOCSIN.")}
    rows = [f"| `{code}` | {status} | {text} |" for code, (status, text) in ours.items()]
    return "\n".join(["| code | HTTP | message |", "|---|---|---|", *rows])


def test_the_readme_lists_every_setting() -> None:
    """Name, default and meaning of each setting are in the README as in the code."""
    assert settings_table() in README


def test_the_readme_lists_our_error_codes() -> None:
    """Codes outside the contract are in the README with status and message."""
    assert errors_table() in README


def test_each_dependency_has_its_reason() -> None:
    """CONTRIBUTING.md names every direct dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = [requirement.partition(">=")[0] for requirement in needed]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_each_dependency_is_pinned_within_its_bound() -> None:
    """The constraints hold an exact version of every direct dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {_normal(line.partition("==")[0]) for line in lines if "==" in line}
    names = {_normal(requirement.partition(">=")[0]) for requirement in needed}
    assert names - pinned == set()


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
