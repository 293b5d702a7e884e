"""What a subscription may carry beside its endpoint (SMN "Adding a Subscription").

Each function takes an extension and returns the members that its protocol keeps; it raises
`Refused` ``SMN.0043``. Members that belong to other protocols are ignored and never stored:
a secret that nobody needs is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.errors import Refused
from engine.policy.texts import is_line

Extension = Mapping[str, object]

_SECRET_LENGTH: Final = 1024
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# SMN "Adding a Subscription", ``app_key``, ``app_secret`` and ``robot_code``.
_APP_LENGTHS: Final = {"app_key": 64, "app_secret": 128, "robot_code": 64}

_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")
_HEADER_VALUE: Final = re.compile(r"[ -~]*")
_HEADERS_MAX: Final = 10
_HEADERS_LENGTH: Final = 1024
# What frames or describes the request itself: a caller who sets it can smuggle one request
# inside another (RFC 9112 §11.2) or break the connection for those that share it.
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def nothing(extension: Extension) -> dict[str, object]:
    """Of protocols that need nothing but an endpoint."""
    del extension
    return {}


def coded(extension: Extension) -> dict[str, object]:
    """``verification_code_enabled``: the invitation carries a code in place of a link."""
    given = extension.get("verification_code_enabled")
    if given is None:
        return {}
    if not isinstance(given, bool):
        raise _refused("verification_code_enabled must be true or false")
    return {"verification_code_enabled": given}


def client(extension: Extension) -> dict[str, object]:
    """``client_id`` and ``client_secret``, both of which are needed."""
    return {name: _needed(extension, name) for name in ("client_id", "client_secret")}


def keyword_or_secret(extension: Extension) -> dict[str, object]:
    """``keyword`` or ``sign_secret``, at most one: how the robot is protected."""
    found = keyword_and_secret(extension)
    if len(found) > 1:
        raise _refused("keyword and sign_secret exclude each other")
    return found


def keyword_and_secret(extension: Extension) -> dict[str, object]:
    """``keyword`` and ``sign_secret``, either or both."""
    found: dict[str, object] = {}
    for name in ("keyword", "sign_secret"):
        value = extension.get(name)
        if value is not None and value != "":
            found[name] = _needed(extension, name)
    return found


def app(extension: Extension) -> dict[str, object]:
    """``app_key``, ``app_secret`` and ``robot_code``, all of which are needed."""
    found: dict[str, object] = {}
    for name, length in _APP_LENGTHS.items():
        text = _needed(extension, name)
        if len(text) > length or _KEY.fullmatch(text) is None:
            raise _refused(f"{name} has at most {length} letters, digits, hyphens and underscores")
        found[name] = text
    return found


def headers(extension: Extension) -> dict[str, object]:
    """``header``: names and values that go with every message to the endpoint.

    Names need no ``x-`` in front, as in the newer text of the contract.
    """
    given = extension.get("header")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise _refused("header must be an object")
    if len(given) > _HEADERS_MAX:
        raise _refused(f"header has more than {_HEADERS_MAX} headers")
    found = dict(_header(name, value) for name, value in given.items())
    if len({name.lower() for name in found}) != len(found):
        raise _refused("header names must differ in more than case")
    if sum(len(name) + len(value) for name, value in found.items()) > _HEADERS_LENGTH:
        raise _refused(f"the headers exceed {_HEADERS_LENGTH} characters in all")
    return {"header": found} if found else {}


def _header(name: object, value: object) -> tuple[str, str]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise _refused("a header's name and value must be strings")
    if _HEADER_NAME.fullmatch(name) is None:
        raise _refused(f"the header name {name[:64]!r} is malformed")
    if name.lower().startswith("x-smn") or name.lower() in _RESERVED_HEADERS:
        raise _refused(f"the header name {name[:64]!r} is reserved")
    if _HEADER_VALUE.fullmatch(value) is None:
        raise _refused(f"the value of header {name[:64]!r} is not printable ASCII")
    return name, value


def _needed(extension: Extension, name: str) -> str:
    """A member that must be there. What it is stays out of the text: it may be a secret."""
    value = extension.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= _SECRET_LENGTH or not is_line(value):
        raise _refused(f"{name} must be a text of 1 to {_SECRET_LENGTH} characters")
    return value


def _refused(reason: str) -> Refused:
    return Refused("SMN.0043", f"extension: {reason}.")
