"""The settings of every benchmark, and the environment that gives them to a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS: Final[Mapping[str, str]] = {
    "allow_endpoints": "127.0.0.0/8",
    "quota_subscriptions": "1000000",
    "drain_seconds": "2",
    "workers": "1",
}
"""Settings of every benchmark, where they differ from the defaults: loopback sinks, topics
larger than the contract's quota, a quick stop. Durability stays at its default, ``fsync``."""


def environment(**options: str) -> dict[str, str]:
    """The environment of a process: ours without Tocsin's settings, plus the benchmark's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    chosen = {**OPTIONS, **options}
    root = str(Path(__file__).parent.parent)
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return (
        kept
        | {f"TOCSIN_{name.upper()}": value for name, value in chosen.items()}
        | {"PYTHONPATH": os.pathsep.join(paths)}
    )
