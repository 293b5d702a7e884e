"""``tocsin version``."""

from __future__ import annotations

import importlib.metadata
import json
import platform

import typer

from engine.cli import options


def version(*, as_json: options.Json = False) -> None:
    """Print Tocsin's version.

    Example: tocsin version --json
    """
    found = importlib.metadata.version("tocsin")
    if as_json:
        typer.echo(json.dumps({"version": found, "python": platform.python_version()}))
    else:
        typer.echo(f"tocsin {found}")
