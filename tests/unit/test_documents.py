"""Documents that list what the code defines say the same as the code."""

import re
import tomllib
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.adapter_settings import Own
from engine.errors import CATALOG
from engine.ports import Configure
from engine.registry import GROUP, load_adapters
from engine.settings import Settings
from engine.testing import fake_ports

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


_EMPTY = {None, "", (), SecretStr("")}


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.default_factory in {list, dict, tuple} or value in _EMPTY:
        return "–"
    if value is PydanticUndefined:
        return "max(1, cores − 1)"
    if isinstance(value, tuple):
        return "`" + ",".join(f"{part:g}" for part in value) + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def _table(rows: list[str]) -> str:
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def settings_table() -> str:
    """What the README must say about settings; the fault point is for tests alone.

    Adapters' settings stand with the protocols.
    """
    elsewhere = {"fault_point", "adapters"}
    return _table(
        [
            f"| `TOCSIN_{name.upper()}` | {_default(field)} | {field.description} |"
            for name, field in Settings.model_fields.items()
            if name not in elsewhere
        ]
    )


def adapter_tables() -> dict[str, str]:
    """What the README must say about each adapter's settings, by entry point."""
    asked: dict[str, str] = {}

    def noting(name: str) -> Configure:
        def note(kind: type[Own]) -> Own:
            prefix = f"TOCSIN_{name.upper()}_"
            fields = kind.model_fields.items()
            asked[name] = _table(
                [
                    f"| `{prefix}{field.upper()}` | {_default(info)} | {info.description} |"
                    for field, info in fields
                ]
            )
            return kind()

        return note

    for point in entry_points(group=GROUP):
        point.load()(replace(fake_ports(), configure=noting(point.name)))
    return asked


def errors_table() -> str:
    """What the README must say about our own error codes."""
    ours = {code: found for code, found in CATALOG.items() if code.startswith("TOCSIN.")}
    rows = [f"| `{code}` | {status} | {text} |" for code, (status, text) in ours.items()]
    return "\n".join(["| code | HTTP | message |", "|---|---|---|", *rows])


def test_the_readme_lists_every_setting() -> None:
    """Name, default and meaning of each setting are in the README as in the code."""
    assert settings_table() in README


def test_the_readme_lists_the_settings_of_every_adapter() -> None:
    """As for the engine's own."""
    assert [name for name, table in adapter_tables().items() if table not in README] == []


def test_the_readmes_examples_of_adapters_are_accepted() -> None:
    """Whoever copies one gets what it says."""
    found = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    examples = [tomllib.loads(text) for text in found]
    tables = [example["adapters"] for example in examples if "adapters" in example]
    assert tables
    for table in tables:
        assert load_adapters(fake_ports(), table)


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
