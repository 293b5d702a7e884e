"""What goes wrong with a mail relay, in words that are safe to show."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

import aiosmtplib

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "the mail relay did not answer in time"),
    (ssl.SSLError, "TLS with the mail relay failed"),
    (aiosmtplib.SMTPServerDisconnected, "the mail relay closed the connection"),
)


class Unavailable(Exception):
    """No relay took the mail; certainly nobody has it. The text is safe to show."""


class Busy(Exception):
    """The mail was not tried: its turn comes in ``wait_s`` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s")
        self.wait_s = wait_s


class Uncertain(Exception):
    """The mail was handed over and no answer came: somebody may have it."""


class Down(Exception):
    """The relay is left alone for another ``wait_s`` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s")
        self.wait_s = wait_s


class Lost(Exception):
    """A kept connection turned out to be dead before the mail was handed over."""


def why(error: Exception) -> str:
    """Why there is no session, without anything that the relay or the settings say."""
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error)):
        return "the mail relay's certificate is not trusted"
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        if error.code < 500:
            return f"the mail relay is not available (SMTP {error.code})"
        refused = isinstance(error, aiosmtplib.SMTPAuthenticationError)
        what = "user name or password" if refused else "session"
        return f"the mail relay refused the {what} (SMTP {error.code})"
    for kind, text in _TEXTS:
        if isinstance(error, kind):
            return text
    if isinstance(error, OSError):
        return f"no connection to the mail relay{_system_reason(error)}"
    return "the mail relay does not offer what its settings ask for"


def _system_reason(error: OSError) -> str:
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            return ": its name does not resolve"
        if isinstance(cause, OSError) and cause.errno:
            return f": {os.strerror(cause.errno).lower()}"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
