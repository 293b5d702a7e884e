"""Password hashes: Argon2id, off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import base64
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from engine.errors import Refused

# OWASP "Password Storage Cheat Sheet": Argon2id with 19 MiB, 2 iterations, 1 lane.
_MEMORY_KIB: Final = 19 * 1024
_ITERATIONS: Final = 2
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
MAX_BYTES: Final = 1024
"""A longer password is wrong without being hashed: hashing reads all of it."""

_THREADS: Final = 2
_WAITING: Final = 64
"""Log-ins that may wait for a thread: about a second of work, 19 MiB each while it runs."""


def hash_password(password: str) -> str:
    """A PHC string; takes tens of milliseconds of a core."""
    return Argon2id(
        salt=secrets.token_bytes(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=1,
        memory_cost=_MEMORY_KIB,
    ).derive_phc_encoded(password.encode())


def _matches(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


class Passwords:
    """Checks passwords in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
        self._running = 0
        salt, digest = (
            base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
            for size in (_SALT_BYTES, _HASH_BYTES)
        )
        self._nobody = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p=1${salt}${digest}"

    async def check(self, password: str, phc: str | None) -> bool:
        """Whether the password is the one; ``phc`` is None for an unknown user.

        An unknown user costs the same work, so that time does not tell who exists. Raises
        `Refused` APIGW.0308 when too many wait.
        """
        if len(password.encode()) > MAX_BYTES:
            return False
        if self._running >= _WAITING:
            raise Refused("APIGW.0308", "too many log-ins at a time", retry_after=1)
        self._running += 1
        try:
            loop = asyncio.get_running_loop()
            same = await loop.run_in_executor(
                self._threads, _matches, password, phc or self._nobody
            )
        finally:
            self._running -= 1
        return same and phc is not None

    def close(self) -> None:
        """Let the threads go; checks that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
