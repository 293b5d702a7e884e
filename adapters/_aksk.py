"""Signs requests to Huawei Cloud with an access key: ``SDK-HMAC-SHA256``.

Source: Huawei Cloud "AK/SK Signing and Authentication". Every header that is given is signed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_ALGORITHM: Final = "SDK-HMAC-SHA256"


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    now_ms: int,
) -> dict[str, str]:
    """The headers to send: those given, and Host, X-Sdk-Date and Authorization.

    ``url`` is sent as it is; whoever verifies decodes its path and encodes it again.
    """
    parts = urlsplit(url)
    date = dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "Host": parts.netloc, "X-Sdk-Date": date}
    lines = sorted((name.lower(), value.strip()) for name, value in sent.items())
    names = ";".join(name for name, _ in lines)
    canonical = "\n".join(
        (
            method,
            _path(parts.path),
            _query(parts.query),
            "".join(f"{name}:{value}\n" for name, value in lines),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{date}\n{digest}"
    signature = hmac.digest(secret_key.encode(), text.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"{_ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _path(raw: str) -> str:
    """Each segment decoded and encoded, with a slash at the end."""
    encoded = "/".join(quote(part, safe="~") for part in unquote(raw).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _query(raw: str) -> str:
    pairs = sorted(parse_qsl(raw, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
