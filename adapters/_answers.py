"""What an HTTP answer means for a delivery; several adapters speak HTTP."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer

DELIVERED: Final = {status: Delivered(status) for status in range(200, 300)}
# A wait that an endpoint asks for is kept within reason: not at once again, not beyond the
# longest time to live.
_WAIT_MS: Final = (1_000, 604_800_000)
_SNIPPET: Final = 200
# A shorter text is hardly a secret, and what it stands in could not be read any more.
_SECRET: Final = 4


def judge(answer: Answer, now_ms: int, secrets: Iterable[str] = ()) -> Outcome:
    """2xx took it; 429 and 503 may ask to wait; 5xx may do better later; all else is final.

    ``secrets`` are what was sent along and must not be shown, though the answer repeats it.
    """
    status = answer.status
    if status in DELIVERED:
        return DELIVERED[status]
    throttled = throttle(answer, now_ms)
    if throttled is not None:
        return throttled
    if status >= 500:
        return Retry(f"HTTP {status}", status, answer=snippet(answer.body, secrets))
    return Rejected(f"HTTP {status}", status, snippet(answer.body, secrets))


def throttle(answer: Answer, now_ms: int) -> Throttled | None:
    """What a 429 or 503 that says when to come back means; None for any other answer."""
    if answer.status not in {429, 503} or answer.retry_after is None:
        return None
    after_ms = wait_ms(answer.retry_after, now_ms)
    if after_ms is None:
        return None
    return Throttled(now_ms + after_ms, f"HTTP {answer.status}", answer.status)


def wait_ms(retry_after: str, now_ms: int) -> int | None:
    """What ``Retry-After`` says (RFC 9110 §10.2.3), bounded; None if it says nothing."""
    text = retry_after.strip()
    least, most = _WAIT_MS
    if re.fullmatch("[0-9]{1,9}", text):
        return min(max(int(text) * 1000, least), most)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000": UTC without saying so
            date = date.replace(tzinfo=dt.UTC)
        return min(max(int(date.timestamp() * 1000) - now_ms, least), most)
    except (ValueError, OverflowError):
        return None


def snippet(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The first words of an answer, as one printable line without the secrets."""
    # More than is shown: a secret at its end must be seen as a whole.
    text = body[: 20 * _SNIPPET].decode(errors="replace")
    for secret in secrets:
        for word in (secret, *secret.split()):  # "Bearer x": whoever repeats it may leave one out
            if len(word) >= _SECRET:
                for form in (word, json.dumps(word)[1:-1], quote(word, safe="")):
                    text = text.replace(form, "***")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_SNIPPET]


def timestamp(at_ms: int) -> str:
    """A time as SMN writes it in messages: whole seconds, UTC."""
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
