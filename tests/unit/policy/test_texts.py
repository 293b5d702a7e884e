"""Texts: their size, and what fits on one line."""

import pytest

from engine.policy.texts import is_line, size


@pytest.mark.parametrize(("text", "bytes_"), [("", 0), ("a", 1), ("中", 3), ("🙂", 4), ("\x00", 1)])
def test_sizes_are_bytes_of_utf8(text: str, bytes_: int) -> None:
    """As the contract counts."""
    assert size(text) == bytes_


@pytest.mark.parametrize("half", ["\ud800", "a\udc00", "\ude00\ud83d"])
def test_half_a_surrogate_pair_has_no_size(half: str) -> None:
    """It fails every check of a size, and is no line either."""
    assert size(half) == -1
    assert not is_line(half)


@pytest.mark.parametrize(
    "text", ["", " ", "\xa0", "中文 🙂", "\u202e", "\ufeff", "\ufffe", "\ue000"]
)
def test_a_line_is_any_text(text: str) -> None:
    """Whatever it is written in."""
    assert is_line(text)


@pytest.mark.parametrize("text", [*"\0\t\n\r\x0b\x0c\x1b\x1c\x7f\x80\x85\x9f\u2028\u2029"])
def test_a_line_has_neither_breaks_nor_control_characters(text: str) -> None:
    """Of Unicode, not of ASCII alone: a mail's subject shows none of them."""
    assert not is_line(f"a{text}b")
