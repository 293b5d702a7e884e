"""What any text has to be, whatever else its field asks for."""

from __future__ import annotations

import re
from typing import Final

# Control characters, the line breaks that are none of them, and half surrogate pairs.
_NO_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def size(text: str) -> int:
    """Bytes of UTF-8; -1 for a text that has none, since it holds half a surrogate pair.

    JSON can write one as an escape (RFC 8259 §8.2), and a Python program can make one.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def is_line(text: str) -> bool:
    """Whether it is text for one line: in a header, a list, a title."""
    return _NO_LINE.search(text) is None
