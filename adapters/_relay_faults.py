"""What goes wrong with a mail relay, in words that are safe to show."""

from __future__ import annotations

import os
import re
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


ENHANCED: Final = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})(?=\s|$)")
"""What a reply's text may begin with (RFC 3463): class, subject and detail."""
# Replies that mean our settings, not the mail (RFC 4954 §4, §6).
_REFUSING_US: Final = frozenset({503, 530, 534, 535, 538})
_REFUSING_US_DETAILS: Final = frozenset({"7.8", "7.9", "7.11", "7.14"})


class Unavailable(Exception):
    """The relay left in the middle; certainly nobody has the mail. The text is safe to show."""


class Busy(Exception):
    """The relay is why, not the mail, whose turn comes in ``wait_s`` seconds."""

    def __init__(self, wait_s: float, reason: str) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Down(Busy):
    """The relay is left alone so long."""


class Uncertain(Exception):
    """The mail was handed over and no answer came: somebody may have it."""


class Lost(Exception):
    """A kept connection turned out to be dead before the mail was handed over."""


def refuses_us(code: int, text: str) -> bool:
    """Whether a reply says that the relay takes no mail from us, whatever mail it is."""
    found = ENHANCED.match(text)
    return code in _REFUSING_US or (found is not None and found[2] in _REFUSING_US_DETAILS)


def is_unwell(code: int, text: str) -> bool:
    """Whether a reply says that for now the relay itself is why (RFC 3463 §3.4: mail system)."""
    found = ENHANCED.match(text)
    return 400 <= code < 500 and found is not None and found[2].startswith("3.")


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
