"""Tocsin: an async notification fan-out engine, wire-compatible with Huawei Cloud SMN.

The data path, each stage a module of `engine.pipeline`:

    accept → plan → dispatch → settle → retry (or bury)

`Engine` is the door for programs; ``python -m engine`` is the command line's.
"""

from engine.app import Engine
from engine.settings import Settings

__all__ = ["Engine", "Settings"]
