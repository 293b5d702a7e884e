"""The AK/SK signature ``SDK-HMAC-SHA256``: parse it, rebuild what was signed, compare.

Source: Huawei Cloud "AK/SK Signing and Authentication" and the signer of the official Python
SDK. Plain functions without clock or store; `engine.iam.authenticate` brings those.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from engine.errors import Refused

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_HEADER: Final = "x-sdk-date"
CONTENT_HEADER: Final = "x-sdk-content-sha256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()
MAX_SKEW_MS: Final = 15 * 60 * 1000
FAILED: Final = "verify aksk signature fail"

_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} +Access=([!-+\--~]{{1,128}}),"
    r" *SignedHeaders=([a-z0-9!#$%&'*+.^_`|~;-]{1,2048}),"
    r" *Signature=([0-9a-f]{64})",
    re.ASCII,
)
_DATE: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
# Echoed to a caller that signs wrongly, for debugging; these would be secrets.
_SECRET_HEADERS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-auth-token", "x-security-token"}
    | {"x-subject-token"}
)
_ECHO_CHARACTERS: Final = 4096

GetAll = Callable[[str], Sequence[str]]
"""All values of a header, by its lower-case name; empty if there is none."""


class Authorization(NamedTuple):
    """The parsed header. ``names`` is the list of signed headers in the caller's order."""

    access_key: str
    signed_headers: str
    signature: str

    @property
    def names(self) -> list[str]:
        """Lower-case header names."""
        return self.signed_headers.split(";")


class SignedRequest(NamedTuple):
    """What a signature covers, as it came over the wire.

    ``path`` is the raw path before the query; ``query`` the decoded pairs; ``host`` stands in
    for the Host header behind a trusted proxy, else None.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: GetAll
    body: bytes
    body_hash: Callable[[], str]
    host: str | None = None


def parse_authorization(text: str) -> Authorization:
    """Raises `Refused` APIGW.0301 for anything but a well-formed header that signs the date."""
    found = _AUTHORIZATION.fullmatch(text)
    if found is None:
        raise Refused("APIGW.0301", f"{FAILED}, the Authorization header is malformed")
    parsed = Authorization(*found.groups())
    # An unsigned date could be moved at will, and with it the window for replays.
    if DATE_HEADER not in parsed.names:
        raise Refused("APIGW.0301", f"{FAILED}, X-Sdk-Date is not among the signed headers")
    return parsed


@lru_cache(maxsize=64)
def parse_date(text: str) -> int | None:
    """Milliseconds since the epoch of ``YYYYMMDDTHHMMSSZ``; None if it is no such time."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000


def check_date(headers: GetAll, now_ms: int) -> str:
    """The signed date; raises `Refused` APIGW.0301 if it is missing or too far from now."""
    text = _only(headers, DATE_HEADER)
    moment_ms = parse_date(text)
    if moment_ms is None:
        raise Refused("APIGW.0301", f"{FAILED}, X-Sdk-Date is not a time")
    if abs(now_ms - moment_ms) > MAX_SKEW_MS:
        raise Refused("APIGW.0301", "signature expired")
    return text


def verify(authorization: Authorization, secret: bytes, date: str, request: SignedRequest) -> None:
    """Raise `Refused` APIGW.0301 unless the signature is right for this request."""
    headers = canonical_headers(authorization.names, request)
    rest = f"{request.method}\n{canonical_path(request.path)}\n{canonical_query(request.query)}\n"
    tail = f"\n{authorization.signed_headers}\n{_payload_hash(request)}"
    canonical = f"{rest}{headers}{tail}"
    expected = sign(secret, date, canonical.encode("utf-8", "surrogateescape"))
    if hmac.compare_digest(expected, authorization.signature):
        return
    shown = f"{rest}{canonical_headers(authorization.names, request, mask=True)}{tail}"
    shown = shown.encode("utf-8", "replace").decode().replace("\n", "|")[:_ECHO_CHARACTERS]
    raise Refused("APIGW.0301", f"{FAILED}, canonicalRequest:{shown}")


def sign(secret: bytes, date: str, canonical: bytes) -> str:
    """The signature (hex) of a canonical request."""
    text = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical).hexdigest()}"
    return hmac.digest(secret, text.encode(), "sha256").hex()


def canonical_path(raw: str) -> str:
    """Decode the whole path, encode each segment, end with a slash; nothing is collapsed."""
    return _canonical_path(raw) if len(raw) <= 512 else _canonical_path.__wrapped__(raw)


@lru_cache(maxsize=1024)
def _canonical_path(raw: str) -> str:
    decoded = unquote_to_bytes(raw.encode("utf-8", "surrogateescape"))
    encoded = "/".join(quote_from_bytes(part, safe="~") for part in decoded.split(b"/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Sort by name, then value; encode both; a parameter without value is ``k=``."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(pairs))


def canonical_headers(names: Iterable[str], request: SignedRequest, *, mask: bool = False) -> str:
    """``name:value`` and a line break for each signed header.

    A signed header that is absent or there twice cannot be what the caller signed.
    """
    lines = []
    for name in names:
        if name == "host" and request.host is not None:
            value = request.host
        else:
            value = _only(request.headers, name)
        lines.append(f"{name}:{'***' if mask and name in _SECRET_HEADERS else value}\n")
    return "".join(lines)


def _only(headers: GetAll, name: str) -> str:
    values = headers(name)
    if len(values) != 1:
        raise Refused("APIGW.0301", f"{FAILED}, the signed header {name} is not there once")
    return values[0].strip()


def _payload_hash(request: SignedRequest) -> str:
    if not request.body:
        return EMPTY_HASH
    declared = request.headers(CONTENT_HEADER)
    if not declared:
        return request.body_hash()
    # The declared hash stands in the canonical request, so it must be the body's own: else the
    # body could be exchanged under a valid signature.
    value = declared[0].strip()
    if value != UNSIGNED and not hmac.compare_digest(
        value.lower().encode("utf-8", "surrogateescape"), request.body_hash().encode()
    ):
        raise Refused("APIGW.0301", f"{FAILED}, X-Sdk-Content-Sha256 is not the body's hash")
    return value


def _quoted(text: str) -> str:
    return quote(text, safe="~")
