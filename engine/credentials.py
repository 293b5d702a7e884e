"""``DIR/credentials.json``: what a client needs to use this service."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.errors import ConfigurationError

FILE: Final = "credentials.json"


def write(folder: Path, credentials: Mapping[str, str]) -> Path:
    """Replace the file in one step, readable only by its owner."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(credentials, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def read(folder: Path) -> dict[str, str]:
    """Raises `ConfigurationError` if the file is not there or not ours."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} is missing: has a service started there?") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} does not hold an object.")
    return {str(name): str(value) for name, value in found.items()}
