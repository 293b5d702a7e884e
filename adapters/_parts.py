"""How a text becomes one or several short messages: alphabet, splitting, octets.

Carriers bill and number by these parts (SMN FAQ "How Is an SMS Counted"; 3GPP TS 23.038 for the
alphabet, TS 23.040 §9.2.3.24.1 for the header that joins them).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# The GSM 7-bit default alphabet in the order of its codes, with U+001B in the place of the
# escape, and what takes that escape before it (3GPP TS 23.038 §6.2.1 and §6.2.1.1).
_ESCAPE: Final = "\x1b"
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_GSM: Final[dict[str, bytes]] = {
    **{one: bytes((code,)) for code, one in enumerate(_BASIC) if one != _ESCAPE},
    **{one: bytes((0x1B, code)) for one, code in _EXTENDED.items()},
}

_CHARACTERS: Final = {code: one for one, code in _GSM.items()}
_CODE: Final = re.compile(rb"\x1b?.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """A coding of short messages.

    ``data_coding`` is its number in SMPP, ``single`` and ``several`` how many octets a message
    alone and each of several has room for: the rest is the header that joins them. An octet of
    GSM-7 is a septet on the air.
    """

    data_coding: int
    single: int
    several: int
    encode: Callable[[str], bytes]
    decode: Callable[[bytes], str]


GSM_7: Final = Alphabet(
    *(0, 160, 153),
    lambda text: b"".join([_GSM[one] for one in text]),
    lambda octets: "".join([_CHARACTERS[one] for one in _CODE.findall(octets)]),
)
UCS_2: Final = Alphabet(
    *(8, 140, 134),
    lambda text: text.encode("utf-16-be"),
    lambda octets: octets.decode("utf-16-be"),
)


def alphabet(text: str) -> Alphabet:
    """The smaller alphabet that has all of the text."""
    return GSM_7 if _GSM.keys() >= set(text) else UCS_2


def numbered(data_coding: int) -> Alphabet:
    """The one of the two with this number."""
    return GSM_7 if data_coding == GSM_7.data_coding else UCS_2


def split(text: str) -> tuple[str, ...]:
    """The text of each part."""
    coding = alphabet(text)
    sizes = [len(coding.encode(one)) for one in text]
    if sum(sizes) <= coding.single:
        return (text,)
    parts, start, room = [], 0, coding.several
    for place, size in enumerate(sizes):
        # Neither an escape sequence nor a surrogate pair is split between two parts.
        if size > room:
            parts.append(text[start:place])
            start, room = place, coding.several
        room -= size
    return (*parts, text[start:])


def count(text: str) -> int:
    """How many messages the text takes, as carriers count and bill them."""
    return len(split(text))
