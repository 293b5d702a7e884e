"""How many short messages a text takes, and which text is in each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters._parts import GSM_7, UCS_2, alphabet, count, numbered, split


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("x" * 158, 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 164, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("x" * 320, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 153 is odd: an escaped character moves to the next part as a whole
        ("x" * 152 + "€" + "x" * 153, 3),
        ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ" * 5, 1),
        ("中" * 70, 1),
        ("中" * 71, 2),
        ("中" * 134, 2),
        ("中" * 135, 3),
        ("x" * 70 + "中", 2),
        ("`" * 71, 2),
        # what stands for the escape is no character
        ("x" * 70 + "\x1b", 2),
        ("🙂" * 35, 1),
        ("🙂" * 36, 2),
        # 67 is odd: a surrogate pair moves to the next part as a whole
        ("🙂" * 67, 3),
    ],
)
def test_parts_are_counted_as_carriers_do(text: str, parts: int) -> None:
    """160 or 153 units of GSM-7, 70 or 67 of UTF-16."""
    assert count(text) == parts


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("@Az", "00417a"),
        ("äÖ\n", "7b5c0a"),
        ("[€]", "1b3c1b651b3e"),
    ],
)
def test_gsm_is_encoded_by_its_table(text: str, octets: str) -> None:
    """3GPP TS 23.038: an octet for a septet, an escape before what is in the second table."""
    assert alphabet(text) is GSM_7
    assert GSM_7.encode(text).hex() == octets


_TEXTS = st.text(st.characters(codec="utf-8")) | st.text("aé€[]^中🙂`", max_size=700)


@given(_TEXTS)
def test_parts_are_the_text_and_fit(text: str) -> None:
    """Nothing is lost at a seam, no part is larger than carriers take, none is needless."""
    coding, parts = alphabet(text), split(text)
    assert "".join(parts) == text
    room = coding.single if len(parts) == 1 else coding.several
    sizes = [len(coding.encode(part)) for part in parts]
    assert max(sizes) <= room
    # A character takes four octets at most, so no more than that stays free but at the end.
    assert min(sizes[:-1], default=room) > room - 4
    assert coding is (UCS_2 if any(one not in GSM_CHARACTERS for one in text) else GSM_7)


@given(_TEXTS)
def test_octets_can_be_read(text: str) -> None:
    """In whichever alphabet they are."""
    coding = alphabet(text)
    assert numbered(coding.data_coding).decode(coding.encode(text)) == text


GSM_CHARACTERS = {chr(code) for code in range(0x110000) if alphabet(chr(code)) is GSM_7}


def test_the_alphabet_has_as_many_characters_as_the_standard() -> None:
    """127 without the escape, and the ten that take it."""
    assert len(GSM_CHARACTERS) == 137
