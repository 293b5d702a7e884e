"""Signs mails with DKIM (RFC 6376), by ``dkimpy``, which is an extra.

A signature takes it milliseconds of pure Python, so that threads do it: the event loop goes on
with everything else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What a recipient sees or acts on, the unsubscribe links with it (RFC 8058 §4).
_SIGNED: Final = (
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"MIME-Version",
    b"Content-Type",
    b"List-Unsubscribe",
    b"List-Unsubscribe-Post",
)
# Pure Python holds the interpreter's lock: more threads would only take turns.
_THREADS: Final = 1


class DkimSigner:
    """Signs in the name of a domain."""

    def __init__(self, domain: str, selector: str, key_file: Path) -> None:
        self._domain = domain.encode()
        self._selector = selector.encode()
        self._sign = _library()
        try:
            self._key = key_file.read_bytes()
            self._signed(b"From: a@example.com\r\n\r\nb\r\n")
        except OSError as error:
            raise _refused(f"{key_file} cannot be read") from error
        except Exception as error:  # whatever a parser of foreign bytes raises
            raise _refused(f"{key_file} holds no RSA key in PEM") from error
        self._threads = ThreadPoolExecutor(_THREADS, "dkim")

    async def sign(self, mail: bytes) -> bytes:
        """The mail with its signature in front."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._signed, mail)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _signed(self, mail: bytes) -> bytes:
        signature: bytes = self._sign(
            mail,
            self._selector,
            self._domain,
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            # Those that are not there are signed as absent (RFC 6376 §5.4.2).
            include_headers=list(_SIGNED),
        )
        return signature + mail


def _library() -> Callable[..., bytes]:
    try:
        import dkim  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _refused("DKIM needs `pip install tocsin[dkim]`") from error
    sign: Callable[..., bytes] = dkim.sign
    return sign


def _refused(fault: str) -> ConfigurationError:
    return ConfigurationError(f"Setting 'adapters.smtp.dkim_key_file': {fault}.")
