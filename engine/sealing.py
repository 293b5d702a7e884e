"""Encrypted content: what it looks like, and how it is made from a key of the ring.

    sealed:1:KEY-ID: salt (16 bytes) nonce (12) ciphertext and tag

Each piece of content has a data key of its own, derived from the ring's key and a random salt
with HKDF-SHA256 (RFC 5869): no number of messages wears a ring key's nonces out. The header and
what the content belongs to are authenticated, so that nothing can be passed off as another's.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.errors import StoreError

MATERIAL_BYTES: Final = 32

_MARK: Final = b"sealed:1:"
_ID_BYTES: Final = 36
_HEAD: Final = len(_MARK) + _ID_BYTES + 1
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12


def sealed_by(stored: bytes) -> str:
    """The id of the key that content was sealed with; '' for plain content."""
    if not stored.startswith(_MARK):
        return ""
    return stored[len(_MARK) : _HEAD - 1].decode("ascii", "replace")


def seal(key_id: str, material: bytes, plain: bytes, context: str) -> bytes:
    """Encrypt; the result only opens with the same ``context``."""
    head = _MARK + key_id.encode() + b":"
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    sealed = _cipher(material, salt).encrypt(nonce, plain, head + context.encode())
    return head + salt + nonce + sealed


def unseal(material: bytes, stored: bytes, context: str) -> bytes:
    """Undo `seal`; raises `StoreError` for what this key did not make there."""
    head, body = stored[:_HEAD], stored[_HEAD:]
    salt, nonce = body[:_SALT_BYTES], body[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
    sealed = body[_SALT_BYTES + _NONCE_BYTES :]
    try:
        return _cipher(material, salt).decrypt(nonce, sealed, head + context.encode())
    except (InvalidTag, ValueError) as error:
        raise StoreError("Encrypted content does not open with the key that it names.") from error


def _cipher(material: bytes, salt: bytes) -> AESGCM:
    kdf = HKDF(algorithm=SHA256(), length=MATERIAL_BYTES, salt=salt, info=b"tocsin:content")
    return AESGCM(kdf.derive(material))
