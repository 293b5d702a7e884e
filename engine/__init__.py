"""Tocsin: an async notification fan-out engine, wire-compatible with Huawei Cloud SMN.

The data path, each stage a module of `engine.pipeline`:

    accept → plan → dispatch → settle → retry (or bury)

`Engine` is the door for programs; ``python -m engine`` is the command line's.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.settings import Settings

__all__ = ["Engine", "Settings"]


def __getattr__(name: str) -> object:
    """Import the door when it is used: `engine.models` alone must not load the engine."""
    match name:
        case "Engine":
            from engine.app import Engine  # noqa: PLC0415 - see above

            return Engine
        case "Settings":
            from engine.settings import Settings  # noqa: PLC0415 - see above

            return Settings
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
