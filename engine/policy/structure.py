"""``message_structure``: one message with a text for each protocol (SMN "JSON Message Format").

A group bot's value may be an object instead of a text::

    {"msgType": "markdown", "title": "t", "content": "…", "at": {"isAtAll": true}, "color": "red"}

written as JSON or as a string that holds it. ``text`` and ``message`` are read as ``content``,
since the vendor does not show the member's name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from engine.errors import Refused
from engine.models import RICH
from engine.policy.names import RETIRED

MAX_STRUCTURE_BYTES: Final = 262_144
"""Of the whole text, with braces, quotes, blanks and names."""

PLATFORMS: Final = frozenset({"APNS", "APNS_SANDBOX", "HMS"})
"""Push platforms: what the protocol ``application`` has instead of a text of its own."""
_IGNORED: Final = frozenset({"welinkRed"})
BOT_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "dingding": frozenset({"text", "markdown"}),
    "dingTalkBot": frozenset({"text", "markdown"}),
    "wechat": frozenset({"text", "markdown"}),
    "feishu": frozenset({"text", "markdown"}),
    "welink": frozenset({"text"}),
}
"""What a bot's object may be of, by protocol."""
_CONTENT: Final = ("content", "text", "message")
_AT_LISTS: Final = ("atMobiles", "atUserIds")


def parse(text: str, protocols: Collection[str]) -> dict[str, str]:
    """A message's content by protocol, with ``default``.

    An empty text for a protocol counts as none. Raises `Refused`: SMN.0009 for one that is too
    large, SMN.0021 for anything else.
    """
    given = _object(text)
    default = given.get("default")
    if not isinstance(default, str) or not default:
        raise _bad('It needs a text for "default".')
    content: dict[str, str] = {}
    for key, value in given.items():
        if key in _IGNORED:
            continue
        if key in PLATFORMS:
            if pushed := _platform(key, value):
                content[key] = pushed
            continue
        if key != "default" and key not in protocols and key not in RETIRED:
            raise _bad(f"{key[:64]!r} is no protocol.")
        found = _bot(key, value) if key in BOT_TYPES else None
        if found is not None:
            content[key] = found["content"]
            content[key + RICH] = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        elif not isinstance(value, str):
            raise _bad(f"The value of {key} is not a string.")
        elif value:
            content[key] = value
    return content


def parse_push(text: str, platform: str) -> str:
    """What a message to an application's endpoint says on its platform; codes as `parse`."""
    given = _object(text)
    found = _platform(platform, given.get(platform, given.get("default")))
    if not found:
        raise _bad(f"It has nothing for {platform}.")
    return found


def _platform(platform: str, value: object) -> str:
    """What a push platform is sent, which may be written as an object."""
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if value is not None and not isinstance(value, str):
        raise _bad(f"The value of {platform} is neither a string nor an object.")
    return value or ""


def _object(text: str) -> dict[str, Any]:
    try:
        size = len(text.encode())
        given = json.loads(text)
        # A lone surrogate, written as an escape, is a text that nothing can send.
        json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _bad("It is not JSON.") from error
    if size > MAX_STRUCTURE_BYTES:
        raise Refused("SMN.0009", f"It has at most {MAX_STRUCTURE_BYTES} bytes of UTF-8.")
    if not isinstance(given, dict):
        raise _bad("It is not a JSON object.")
    return given


def _bot(protocol: str, given: object) -> dict[str, Any] | None:
    """A bot's object in its one form; None for a plain text."""
    value = _read(given) if isinstance(given, str) else given
    if not isinstance(value, dict):
        return None
    kind = value.get("msgType")
    if not isinstance(kind, str) or kind not in BOT_TYPES[protocol]:
        raise _bad(f"msgType of {protocol} is {' or '.join(sorted(BOT_TYPES[protocol]))}.")
    content = next((value[name] for name in _CONTENT if name in value), None)
    if not isinstance(content, str) or not content:
        raise _bad(f"{protocol} has no content.")
    found: dict[str, Any] = {"msgType": kind, "content": content}
    for name in ("title", "color"):
        if value.get(name) is not None:
            found[name] = _text(protocol, name, value[name])
    if value.get("at") is not None:
        found["at"] = _at(protocol, value["at"])
    return found


def _read(text: str) -> object:
    """The object that a string holds; None if it is no bot's."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "msgType" in value else None


def _text(protocol: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _bad(f"{name} of {protocol} is not a string.")
    return value


def _at(protocol: str, given: object) -> dict[str, Any]:
    """Who is mentioned (SMN: dingding only; others ignore it)."""
    if not isinstance(given, dict) or not isinstance(given.get("isAtAll", False), bool):
        raise _bad(f"at of {protocol} is not an object with a flag isAtAll.")
    found: dict[str, Any] = {"isAtAll": given.get("isAtAll", False)}
    for name in _AT_LISTS:
        listed = given.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise _bad(f"{name} of {protocol} is not a list of strings.")
        found[name] = listed
    return found


def _bad(detail: str) -> Refused:
    return Refused("SMN.0021", detail)
