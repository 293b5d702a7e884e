"""What an HTTP answer means for a delivery; several adapters speak HTTP."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote

from engine.models import Delivered, Outcome, Rejected
from engine.ports import Answer

DELIVERED: Final = {status: Delivered(status) for status in range(200, 300)}
_SNIPPET: Final = 200
# More than is shown: a secret at its end must be seen as a whole.
_LOOKED_AT: Final = 20 * _SNIPPET
# A shorter text is hardly a secret, and what it stands in could not be read any more.
_SECRET: Final = 4


def judge(answer: Answer, now_ms: int, secrets: Iterable[str] = ()) -> Outcome:
    """2xx took it; 429 and 503 may ask to wait; 5xx may do better later; all else is final.

    ``secrets`` are what was sent along and must not be shown, though the answer repeats it.
    """
    status = answer.status
    if status in DELIVERED:
        return DELIVERED[status]
    said = snippet(answer.body, secrets)
    if status == 429 and answer.wait_ms(now_ms) is None:
        return Rejected("HTTP 429", status, said)
    return answer.outcome(now_ms, said)


def throttle(answer: Answer, now_ms: int) -> Outcome | None:
    """What a 429 or 503 that says when to come back means; None for any other answer."""
    if answer.status not in {429, 503} or answer.wait_ms(now_ms) is None:
        return None
    return answer.outcome(now_ms)


def snippet(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The first words of an answer, as one printable line without the secrets."""
    return line(body[:_LOOKED_AT].decode(errors="replace"), secrets)


def line(text: str, secrets: Iterable[str] = ()) -> str:
    """The same of what an answer says."""
    text = text[:_LOOKED_AT]
    # Longer ones first: a secret may be part of another.
    for form in sorted(_forms(secrets), key=len, reverse=True):
        text = text.replace(form, "***")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_SNIPPET]


def _forms(secrets: Iterable[str]) -> set[str]:
    """Whatever a secret looks like in JSON, in which some escape the slash, in URLs and in HTML."""
    found: set[str] = set()
    for secret in secrets:
        for word in (secret, *secret.split()):  # "Bearer x": whoever repeats it may leave one out
            if len(word) >= _SECRET:
                json_forms = (json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1])
                found |= {word, *json_forms, quote(word, safe=""), escape(word)}
                found |= {one.replace("/", "\\/") for one in json_forms}
    return found


def timestamp(at_ms: int) -> str:
    """A time as SMN writes it in messages: whole seconds, UTC."""
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
