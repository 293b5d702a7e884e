"""Lua scripts: ``.lua`` files beside the module that calls them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server knows it: ``sha`` is the SHA-1 of ``text`` that EVALSHA takes."""

    name: str
    text: str
    sha: str


def script(module_file: str, name: str) -> Script:
    """Load ``<directory of module_file>/<name>.lua``; call it as ``script(__file__, "settle")``."""
    text = (Path(module_file).parent / f"{name}.lua").read_text(encoding="utf-8")
    # SHA-1 names the script in Redis's own protocol; nothing is secured by it.
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
