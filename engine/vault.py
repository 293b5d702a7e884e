"""Secrets at rest: one master key that Redis never sees, one derived key for each purpose.

AES-256-GCM for what must be read back, HMAC-SHA256 for what must only be found or checked.
Keys are separated with HKDF-SHA256 (RFC 5869), so that no value made for one purpose can be
passed off as one made for another.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.errors import ConfigurationError, StoreUnfit

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1."
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
"""From the alphabet of base64 that is safe in URLs to the usual one (RFC 4648 §5, §4)."""
# A key file is 45 bytes; more is not one, and must not be read into memory.
_FILE_LIMIT: Final = 1024


class Vault:
    """Encrypts, hashes and authenticates with keys derived from one master key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"A master key is {KEY_BYTES} bytes, not {len(key)}.")
        self._master = key
        self._keys: dict[str, bytes] = {}
        self._cipher = AESGCM(self._key("encryption"))
        self.fingerprint: Final = self.keyed_hash("", "fingerprint")

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Vault:
        """Read the key file (base64, mode 0600); with ``create``, make a missing one.

        Any number of processes may create it at once: one key wins and all read that one.
        Raises `ConfigurationError` for a missing, malformed or widely readable file.
        """
        try:
            if create and not path.exists():
                _create(path)
            return cls(_read(path))
        except FileNotFoundError as error:
            raise ConfigurationError(f"The master key {path} does not exist.") from error
        except OSError as error:
            raise ConfigurationError(
                f"The master key {path} cannot be used: {error.strerror}."
            ) from error

    def encrypt(self, text: str, context: str) -> str:
        """Encrypt; the result only decrypts with the same ``context`` (say, the record's id)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), context.encode())
        return _VERSION + base64.urlsafe_b64encode(nonce + sealed).decode()

    def decrypt(self, token: str, context: str) -> str:
        """Undo `encrypt`; raises `StoreUnfit` for a token that this key did not make there."""
        if not token.startswith(_VERSION):
            raise StoreUnfit("A stored secret was written by an unknown version.")
        try:
            text = token[len(_VERSION) :].encode().translate(_TO_STANDARD)
            raw = binascii.a2b_base64(text, strict_mode=True)
            plain = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode())
            return plain.decode()
        except (InvalidTag, ValueError) as error:
            raise StoreUnfit("A stored secret does not decrypt with this master key.") from error

    def keyed_hash(self, text: str, purpose: str) -> str:
        """32 hex digits by which a secret is found without being stored."""
        return self.mac(text.encode(), purpose).hex()[:32]

    def mac(self, data: bytes, purpose: str) -> bytes:
        """HMAC-SHA256 (32 bytes) under the purpose's own key."""
        return hmac.digest(self._key(f"mac:{purpose}"), data, "sha256")

    def _key(self, purpose: str) -> bytes:
        key = self._keys.get(purpose)
        if key is None:
            info = f"tocsin:{purpose}".encode()
            kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info)
            key = self._keys[purpose] = kdf.derive(self._master)
        return key


def _create(path: Path) -> None:
    """Write a fresh key under a name of its own and link it into place, complete or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # another process was first, and its key is the one
    finally:
        temporary.unlink()
    # Without this a power cut may keep data encrypted under a key whose name is gone.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        # Ask the open file, not the path: the answer cannot be about another file.
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"The master key {path} is not a regular file.")
        if status.st_mode & 0o077:
            raise ConfigurationError(
                f"The master key {path} is open to others than its owner; run chmod 600 on it."
            )
        text = file.read(_FILE_LIMIT)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise ConfigurationError(f"The master key {path} is not base64.") from error
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"The master key {path} does not hold {KEY_BYTES} bytes.")
    return key
