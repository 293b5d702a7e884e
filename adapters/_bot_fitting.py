"""How a bot's text is made to fit: cut with a mark, or split into counted parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

from adapters._bot_requests import wire

CUT_MARK: Final = "\n[…]"
_LEAST_ROOM: Final = 512
_COUNTER: Final = "({}/{})\n"


def plain_bytes(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode())


def json_bytes(text: str) -> int:
    """Bytes that a text takes inside a JSON string."""
    return len(encode_basestring(text).encode()) - 2


def fit(
    text: str,
    room: int,
    *,
    measure: Callable[[str], int] = plain_bytes,
    pieces: int = 1,
    keyword: str = "",
    tail: str = "",
) -> list[str]:
    """The text as messages of at most ``room`` each, as ``measure`` counts.

    One message if it fits or may not be split: what is over is cut, which a mark shows. Several
    are split behind a line's end where one is near, and counted; the last is cut if need be.
    Every one holds the keyword, the last one (of whatever is left) ends with ``tail``. A room
    that is too small for marks is a bug of the caller's.
    """
    keyed = f"\n{keyword}" if keyword else ""
    whole = text + tail
    if len(whole) <= room:
        single = whole if keyword in whole else whole + keyed
        if measure(single) <= room:
            return [single]
    room -= measure(keyed)
    if pieces == 1:
        found = [_cut(text, room, measure, tail)]
    else:
        found = _split(text, room - measure(_COUNTER.format(pieces, pieces)), measure, pieces, tail)
        found = [_COUNTER.format(n, len(found)) + one for n, one in enumerate(found, 1)]
    return [one if keyword in one else one + keyed for one in found]


def _split(
    text: str, room: int, measure: Callable[[str], int], pieces: int, tail: str
) -> list[str]:
    found: list[str] = []
    while len(found) < pieces - 1:
        if len(text) <= room and measure(text + tail) <= room:
            break
        piece = begin(text, room, measure)
        end = piece.rfind("\n") + 1
        # A line's end that is far back would waste a part, of which there are few.
        piece = piece[:end] if 2 * end > len(piece) else piece
        found.append(piece)
        text = text[len(piece) :]
    return [*found, _cut(text, room, measure, tail)]


def _cut(text: str, room: int, measure: Callable[[str], int], tail: str) -> str:
    if len(text) <= room and measure(text + tail) <= room:
        return text + tail
    return begin(text, room - measure(CUT_MARK + tail), measure) + CUT_MARK + tail


def begin(text: str, room: int, measure: Callable[[str], int] = plain_bytes) -> str:
    """As much of the text as fits; no character takes less than a byte."""
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def room_for(limit: int, empty: Mapping[str, Any], *extra: int) -> int:
    """Bytes left for the text in a body that is limited as a whole; 0 if that is hardly any."""
    room = limit - len(wire(empty)) - sum(extra)
    return room if room >= _LEAST_ROOM else 0
