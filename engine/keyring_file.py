"""The file of the key ring: ``DIR/keyring``, beside the master key and encrypted under it.

One JSON object: the fingerprint of the master key, and the ring as a token of the vault. It is
replaced as a whole by a rename, so that a reader, or a start after a crash in the middle of a
write, sees the old ring or the new one; writers take turns with a lock on a file beside it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.errors import ConfigurationError, StoreUnfit

if TYPE_CHECKING:
    from engine.vault import Vault

NAME: Final = "keyring"
_VERSION: Final = 1
_CONTEXT: Final = "keyring"
_PATIENCE_S: Final = 5.0
"""A change takes milliseconds; who holds the lock for longer hangs."""
_POLL_S: Final = 0.01
_LIMIT: Final = 64 * 1024**2
"""Some hundred thousand keys; more is not a ring and must not be read into memory."""

Stamp = tuple[int, int, int]
"""By which a file is known to be the one that was read: inode, time of change, size."""


class KeyState(StrEnum):
    """A key's state, as ShowKmsKey names it (SMN API, "Querying a KMS Key")."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    PENDING_DELETION = "PENDING_DELETION"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key; a deleted one stays in the ring without its material, to be known as deleted."""

    id: str
    alias: str
    state: KeyState
    created_ms: int
    delete_ms: int = 0
    material: bytes = field(default=b"", repr=False)

    def at(self, now_ms: int) -> RingKey:
        """The key as it is at a time: once its date has passed it has no material any more."""
        if self.state is KeyState.PENDING_DELETION and now_ms >= self.delete_ms:
            return replace(self, state=KeyState.DELETED, material=b"")
        return self


Keys = dict[str, RingKey]


class KeyringFile:
    """Reads and replaces the file; blocks, so keep it off a loop that serves others."""

    def __init__(self, directory: Path, vault: Vault) -> None:
        self.path = directory / NAME
        self._vault = vault

    def stamp(self) -> Stamp | None:
        """What the file is now; None if there is none."""
        try:
            return _stamp(self.path.stat())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def read(self) -> tuple[Keys, Stamp | None]:
        """The ring and the stamp that it was read under; an empty one if there is no file.

        Raises `ConfigurationError` for a damaged or widely readable file, or another master key.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                    raise ConfigurationError(
                        f"The key ring {self.path} is open to others than its owner;"
                        " run chmod 600 on it."
                    )
                raw = file.read(_LIMIT)
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            raise self._unusable(error) from error
        return self._decode(raw), _stamp(status)

    def write(self, keys: Mapping[str, RingKey]) -> None:
        """Replace the ring; call it with the lock held."""
        ring = [_shown(key) for key in keys.values()]
        record = {
            "version": _VERSION,
            "master_key": self._vault.fingerprint,
            "ring": self._vault.encrypt(json.dumps(ring), _CONTEXT),
        }
        temporary = self.path.with_name(f".{NAME}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, whatever processes there are; waits a little for the others."""
        try:
            descriptor = os.open(
                self.path.with_name(f"{NAME}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._wait_for(descriptor)
            # Left by a writer that was killed; nobody else has one while the lock is held.
            for rest in self.path.parent.glob(f".{NAME}.*"):
                rest.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"The key ring {self.path} is being changed by another process that does"
                        " not come to an end."
                    ) from error
            except OSError as error:
                raise self._unusable(error) from error
            time.sleep(_POLL_S)

    def _decode(self, raw: bytes) -> Keys:
        try:
            record = json.loads(raw)
            if record["version"] != _VERSION:
                raise ConfigurationError(
                    f"The key ring {self.path} has version {record['version']}, and this version"
                    f" of Tocsin reads {_VERSION}."
                )
            if record["master_key"] != self._vault.fingerprint:
                raise ConfigurationError(
                    f"The key ring {self.path} is encrypted with another master key; set"
                    " TOCSIN_MASTER_KEY_FILE to the one that it was made with."
                )
            ring = json.loads(self._vault.decrypt(record["ring"], _CONTEXT))
            return {key.id: key for key in map(_key, ring)}
        except (StoreUnfit, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"The key ring {self.path} is damaged; put its backup in its place."
            ) from error

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"The key ring {self.path} cannot be used: {error.strerror}.")


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _sync(directory: Path) -> None:
    """Without this a power cut may bring the old ring back, with keys that were destroyed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(key: RingKey) -> list[Any]:
    material = base64.b64encode(key.material).decode()
    return [key.id, key.alias, key.state, key.created_ms, key.delete_ms, material]


def _key(shown: list[Any]) -> RingKey:
    key_id, alias, state, created_ms, delete_ms, material = shown
    return RingKey(
        key_id,
        alias,
        KeyState(state),
        created_ms,
        delete_ms,
        base64.b64decode(material, validate=True),
    )
