"""What a bot's platform answers: HTTP 200 whatever has happened, and a code in the body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters._answers import line
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer

PAUSE_S: Final = 60
"""The least wait after an answer that says "too often": all platforms count by the minute."""
_OFTEN: Final = re.compile(r"frequen|too (?:fast|many|often)|rate.?limit|限流|频", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Codes:
    """A platform's codes: in which member its answers hold them, and what they mean.

    A code of ``wait`` means "too often" and gives the least wait in seconds, one of ``often``
    does so if its text says it, one of ``again`` is trouble that may pass. One of ``stale``
    refuses a signature for its age if its text holds these words. All others are final,
    ``meanings`` or not.
    """

    member: tuple[str, ...]
    text: tuple[str, ...]
    wait: Mapping[int | str, int] = field(default_factory=dict)
    often: frozenset[int | str] = frozenset()
    again: frozenset[int | str] = frozenset()
    stale: Mapping[int | str, str] = field(default_factory=dict)
    meanings: Mapping[int | str, str] = field(default_factory=dict)

    def judge(
        self, answer: Answer, now_ms: int, secrets: Iterable[str] = (), *, signed: bool = False
    ) -> Outcome:
        """The outcome that an answer means; it names no secret, whatever the answer repeats.

        What was ``signed`` and is refused as stale is worth one more attempt, which has its own
        turn and is signed anew.
        """
        found = read(answer.body)
        code = code_of(found, *self.member)
        if code == 0 and answer.status < 300:
            return Delivered(answer.status)
        if code is None or code == 0:
            return by_status(answer, now_ms)
        text = shown(next((found[name] for name in self.text if name in found), ""), secrets)
        reason = f"{self.member[0]} {shown(code, secrets)}"
        if code in self.meanings:
            reason = f"{reason}: {self.meanings[code]}"
        wait_s = self.wait.get(code, 0)
        if answer.status == 429 or (code in self.often and _OFTEN.search(text)):
            wait_s = max(wait_s, PAUSE_S)
        if wait_s:
            return Throttled(now_ms + wait_s * 1000, reason, answer.status)
        if code in self.again or (answer.status >= 500 and code not in self.meanings):
            return Retry(reason, answer.status, answer=text)
        if signed and code in self.stale and self.stale[code] in text.lower():
            return Retry(reason, answer.status, answer=text, once=True)
        return Rejected(reason, answer.status, text)


def read(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def by_status(answer: Answer, now_ms: int) -> Outcome:
    """The outcome of an answer that holds no code."""
    status = answer.status
    if status == 429:
        return Throttled(now_ms + PAUSE_S * 1000, "HTTP 429", status)
    if status >= 500:
        return Retry(f"HTTP {status}", status)
    if status < 300:
        return Retry(f"HTTP {status} without a code", status)
    return Rejected(f"HTTP {status}", status)


def shown(text: object, secrets: Iterable[str] = ()) -> str:
    """The first words of what a platform says, as one printable line without secrets."""
    return line(str(text), secrets) if isinstance(text, str | int) else ""


def code_of(found: Mapping[str, Any], *members: str) -> int | str | None:
    """The first of the members that is there; a number if it is one or is written as one."""
    code = next((found[name] for name in members if name in found), None)
    if isinstance(code, str):
        return int(code) if re.fullmatch("-?[0-9]{1,9}", code) else code
    return code if isinstance(code, int) and not isinstance(code, bool) else None
