"""What leaves an adapter, whichever way, and whether it is well formed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from engine.testing.fakes import Request


@dataclass(frozen=True, slots=True)
class Outgoing:
    """``head`` says where it goes and how it is to be read, ``body`` is what it carries.

    Of an HTTP request they are method, URL and headers, and the body; of an entry in the outbox,
    which is ``kept`` for people, protocol and endpoint, and the fields as JSON. An adapter with
    connections of its own says itself what they are.
    """

    head: Mapping[str, str]
    body: bytes
    kept: bool = False

    @property
    def type(self) -> str:
        """The content type, in small letters, without parameters; '' if there is none."""
        named = (value for name, value in self.head.items() if name.lower() == "content-type")
        return next(named, "").partition(";")[0].strip().lower()

    def without(self, *names: str) -> Outgoing:
        """But for these parts of the head."""
        kept = {name: value for name, value in self.head.items() if name not in names}
        return replace(self, head=kept)


def of_request(request: Request) -> Outgoing:
    """An HTTP request."""
    head = {"method": request.method, "url": request.url, **request.headers}
    return Outgoing(head, request.body)


def of_entry(entry: tuple[str, str, Mapping[str, object]]) -> Outgoing:
    """An entry in the outbox; raises TypeError or ValueError for fields that are not JSON."""
    protocol, endpoint, fields = entry
    head = {"protocol": protocol, "endpoint": endpoint, "content-type": "application/json"}
    return Outgoing(head, json.dumps(fields, ensure_ascii=False).encode(), kept=True)


def fault(sent: Outgoing) -> str:
    """What is wrong with it, whatever the protocol; '' if nothing."""
    for name, value in sent.head.items() if not sent.kept else ():
        line = f"{name}{value}"
        # One line that every server reads in the same way (RFC 9110 §5.5): a line break would
        # end the header, and with it begin another of the caller's choice (CWE-113).
        if not (line.isascii() and line.isprintable()):
            return f"{name} is not one line of printable ASCII: {value[:100]!r}"
    if " " in sent.head.get("url", ""):
        return f"the URL has a blank: {sent.head['url'][:100]!r}"
    try:
        readable(sent)
    except ValueError as error:
        return f"the body is not the {sent.type or 'UTF-8'} that it is said to be: {error}"
    return ""


def readable(sent: Outgoing) -> str:
    """The texts of the body: of JSON and of forms the decoded values, else the body itself.

    Raises ValueError for a body that is not what its type says.
    """
    text = sent.body.decode()
    if sent.type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True) if text else []
        return "\n".join(value for _, value in pairs)
    if sent.type.endswith("json") or (not sent.type and text[:1] in {"{", "["}):
        return "\n".join(_texts(json.loads(text, parse_constant=_no_json)))
    return text


def _texts(value: object) -> Iterator[str]:
    """The texts in a JSON value, and in those that are JSON objects themselves."""
    match value:
        case Mapping():
            for one in value.values():
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)
        case str():
            yield value
            yield from _texts(_object(value))
        case _:
            pass


def _object(text: str) -> object:
    """The object that a text holds, as bots' APIs want some; None if it holds none."""
    if not text.startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _no_json(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
