"""The second factor: time-based one-time passwords (TOTP, RFC 6238), each good for one log-in.

SHA-1, six digits and steps of 30 seconds are what every authenticator app can do.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

if TYPE_CHECKING:
    from engine.store.connection import Store
    from engine.store.keys import Keys

_ISSUER: Final = "Tocsin"
_SECRET_BYTES: Final = 20
"""RFC 4226 §4 recommends 160 bits."""
_DIGITS: Final = 6
_STEP_S: Final = 30
_DRIFT: Final = 1
"""Steps that a device's clock may be early or late (RFC 6238 §5.2)."""
_LIFE_MS: Final = (2 * _DRIFT + 1) * _STEP_S * 1000
"""How long a passcode can be right."""


def new_secret() -> str:
    """A fresh secret as authenticator apps take it: base32, 32 characters."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def provisioning_uri(secret: str, user: str) -> str:
    """The ``otpauth://`` URI that an authenticator app reads, mostly as a QR code."""
    return _totp(secret.encode()).get_provisioning_uri(user, _ISSUER)


def step_of(secret: bytes, passcode: str, now_ms: int) -> int | None:
    """Which step, counted from the epoch, the passcode is for; None if it is wrong now."""
    totp, now = _totp(secret), now_ms // 1000 // _STEP_S
    given = passcode.encode("utf-8", "surrogatepass")
    # All are computed and compared, so that time does not tell how near a guess was.
    right = [
        step
        for step in range(now - _DRIFT, now + _DRIFT + 1)
        if hmac.compare_digest(totp.generate(step * _STEP_S), given)
    ]
    return right[0] if right else None


class Passcodes:
    """Remembers which passcodes have been used, for all processes."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def spend(self, user_id: str, step: int) -> bool:
        """Use up a user's passcode; false if it was used before. Raises `StoreError`.

        Sent once only: a repeated call would take its own mark for another's.
        """
        key = self._keys.passcode(user_id, step)
        return await self._store.call("SET", key, "", "NX", "PX", _LIFE_MS) is not None


def _totp(secret: bytes) -> TOTP:
    return TOTP(base64.b32decode(secret), _DIGITS, SHA1(), _STEP_S)  # noqa: S303 - sound in HMAC
