"""What an endpoint of each kind looks like. Each function returns '' or what is wrong with it.

Texts are in ASCII, as they will be sent; whether somebody answers there is nobody's business
here (SMN "Adding a Subscription": the existence of an endpoint is not checked).
"""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH: Final = 2048
"""The contract names no limit; browsers, proxies and servers in use agree on about 2,000."""

_WEB: Final = ("http", "https")
# Userinfo is left out on purpose: see web().
_URL: Final = re.compile(
    r"(https?)://"
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?)"
    r"(?::([0-9]{1,5}))?"
    r"(?:[/?][!$-;=?-\[\]_a-z~%]*)?"
)
# A host whose last label is a number is an IPv4 address or nothing (WHATWG URL §3.5).
_NUMERIC_HOST: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[Xx][0-9A-Fa-f]*)\.?")

_MAIL: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
# RFC 5321 §4.5.3.1: a path has 256 octets with its brackets, a local part 64.
_MAIL_LENGTH: Final = 254
_LOCAL_LENGTH: Final = 64


def url(text: str, schemes: tuple[str, ...] = _WEB) -> str:
    """A URL that can be read in one way only, of one of the schemes.

    No fragment, which is never sent. No user and password, because endpoints are shown in
    lists and logs: ``extension.header`` takes an Authorization.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return f"It must be a URL such as {schemes[-1]}://example.com/path?query."
    scheme, host, port = found.groups()
    if scheme not in schemes:
        return f"It must begin with {schemes[0]}://."
    if not _is_host(host):
        return "The host is neither a name nor a plain IP address."
    if port is not None and not 1 <= int(port) <= 65_535:
        return "The port must be 1 to 65535."
    return ""


def web(scheme: str) -> Callable[[str], str]:
    """URLs of one scheme."""
    return partial(url, schemes=(scheme,))


def mail(text: str) -> str:
    """A mail address (RFC 5321 §4.1.2) without quoting, comment or address literal.

    In ASCII: the contract says no more than "a mail address", and one beyond it (RFC 6531) could
    be subscribed and never reached by whoever's relay takes no SMTPUTF8.
    """
    local = text.partition("@")[0]
    if len(text) > _MAIL_LENGTH or len(local) > _LOCAL_LENGTH or _MAIL.fullmatch(text) is None:
        return "It must be a mail address such as somebody@example.com."
    return ""


def formed(pattern: str, wish: str) -> Callable[[str], str]:
    """Texts that match the pattern as a whole."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: "" if compiled.fullmatch(text) else f"It must be {wish}."


def group_robot(other: Callable[[str], str]) -> Callable[[str], str]:
    """A robot's URL, or something else that does not begin like one."""

    def judge(text: str) -> str:
        return url(text) if is_url(text) else other(text)

    return judge


def is_url(text: str) -> bool:
    """Whether it begins as a URL does."""
    return text.startswith(("http://", "https://"))


def _is_host(text: str) -> bool:
    """Whether the URL's host is a name, or an address in the one spelling of its kind."""
    try:
        if text.startswith("["):
            ipaddress.IPv6Address(text[1:-1])
        elif _NUMERIC_HOST.fullmatch(text):
            ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return ".." not in text
