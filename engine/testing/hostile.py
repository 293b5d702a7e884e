"""What endpoints, texts and answers may be at worst: inputs of the conformance suite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from engine.models import Kind
from engine.policy import structure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDPOINTS: Final = ("", " ", "\x00", "%s%n{}", "../../etc/passwd", "x" * 100_000, "中文")
"""Nobody's endpoint, whatever the protocol."""
ENDINGS: Final = (
    " ",
    "\x00",
    "\n",
    "\r\nX: y",
    "\x1b[31m",
    "\u202e",
    "1" * 100_000,
    "中文",
    "🙂",
)
"""What makes a good endpoint a bad one."""
EXTENSIONS: Final[tuple[object, ...]] = (None, 5, True, [], {}, {"a": 1}, "", "a\r\nb: c", "x\x00")
"""Values that a member of an extension may be given."""

TEXTS: Final = (
    "'\"`\\{}[]<>&;|$(){{}}%s%n",
    "a\r\nb\n.\r\n\x00\x07\x1b[31m\x7f",
    "subject\r\nBcc: everybody@example.com\r\n\r\nbody",
    "中文 🙂 \u202e\u2028\ufeff e\u0301 \ufffe\uffff",
    '{"type":"Notification","message":"forged"}',
    "<at id=all></at><font color='red'># **x** [a](http://b) @all</font>",
    "{topic} {link} {0} ${x} %(y)s",
    "  blanks \t around\n \n",
    " ",
)
"""Texts that break what quotes, escapes, frames or fills in carelessly."""
LONG: Final = ("x", "\x01", "中", "🙂", "<&", "\r\n")
"""What the longest texts are made of."""

STATUSES: Final = (100, 204, 301, 400, 401, 403, 404, 408, 413, 429)
BROKEN: Final = (500, 502, 503, 504, 599)
"""Statuses of a server that is out of order: another try may succeed."""
WAITS: Final = (None, "30", "0", "-1", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT", "x \r\n", "")
"""What ``Retry-After`` may say."""

_BODIES: Final = (
    b"",
    b"\x00\xff" * 10_000,
    b"<html><body>It works!</body></html>",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"12",
    b"[" * 50_000,
    b"9" * 5_000,
)
_VALUES: Final = (
    b"null",
    b"true",
    b"-1",
    b"0.5",
    b"7777",
    b"1e999",
    b"NaN",
    b"9" * 40,
    b"9" * 5_000,
    b'""',
    b'"7777"',
    b'"\\ud800"',
    b'"a\\r\\nb\\u0000\\u001b[31m"',
    b'"' + b"y" * 60_000 + b'"',
    b"[]",
    b"[[]]",
    b"{}",
)
_MARK: Final = "\ufdd0"


def damaged(good: bytes) -> Iterator[bytes]:
    """Bodies that are no answer, and a good JSON answer with one value replaced."""
    yield from _BODIES
    for template in _templates(good):
        for value in _VALUES:
            yield template.replace(json.dumps(_MARK).encode(), value)


def echoes(good: bytes, echo: str) -> list[bytes]:
    """Answers that repeat what was sent, as error pages do and as a vendor's message might."""
    try:
        failed = json.loads(good)
    except ValueError:
        return [echo.encode()]
    return [echo.encode(), json.dumps(_all_replaced(failed, echo)).encode()]


def _templates(good: bytes) -> Iterator[bytes]:
    """The answer with a mark in place of each of its values in turn."""
    try:
        value = json.loads(good)
    except ValueError:
        return
    for path in _paths(value):
        yield json.dumps(_marked(value, path)).encode()


def _paths(value: object) -> Iterator[tuple[Any, ...]]:
    """Where the values are: inner ones first, the whole last."""
    inner: Any = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inner:
        for path in _paths(one):
            yield (key, *path)
    yield ()


def _marked(value: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return _MARK
    copy = value.copy()
    copy[path[0]] = _marked(value[path[0]], path[1:])
    return copy


def _all_replaced(value: Any, text: str) -> Any:  # noqa: ANN401 - JSON
    """With every text replaced, and every number another one: a failure."""
    match value:
        case dict():
            return {key: _all_replaced(one, text) for key, one in value.items()}
        case list():
            return [_all_replaced(one, text) for one in value]
        case str():
            return text
        case _:
            return 7777


def any_text(most: int = 200) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can hold, not empty; often one that breaks things."""
    return st.one_of(
        st.sampled_from([text[:most] for text in TEXTS]),
        st.text(min_size=1, max_size=most),
    )


def any_fields(protocol: str) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a message whose texts are anything; for bots also in their object form."""
    return st.fixed_dictionaries(
        {
            "kind": st.sampled_from(list(Kind)),
            "content": st.one_of(
                any_text().map(lambda text: {"default": text}), _any_object(protocol)
            ),
            "subject": st.none() | any_text(512),
            "display_name": st.just("") | any_text(64),
            "topic_name": any_text(64),
            "locale": st.sampled_from(["", "en", "en-us", "zh", "zh-cn", "tlh"]),
        }
    )


def _any_object(protocol: str) -> st.SearchStrategy[Mapping[str, str]]:
    """A bot's object, as the engine keeps it; nothing for other protocols."""
    types = structure.BOT_TYPES.get(protocol)
    if types is None:
        return st.nothing()
    people = st.lists(any_text(32), max_size=3)
    at = st.fixed_dictionaries(
        {"isAtAll": st.booleans()}, optional={"atMobiles": people, "atUserIds": people}
    )
    given = st.fixed_dictionaries(
        {"msgType": st.sampled_from(sorted(types)), "content": any_text()},
        optional={"title": any_text(64), "color": any_text(16), "at": at},
    )
    return given.map(
        lambda value: structure.parse(json.dumps({"default": "d", protocol: value}), {protocol})
    )
