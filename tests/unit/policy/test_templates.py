"""Templates: what counts as a variable, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.policy.templates import MAX_CONTENT_BYTES, check_name, check_tags, fill, variables


def test_variables_are_listed_once_in_order_of_appearance() -> None:
    """Not sorted, not repeated."""
    assert variables("{b} {a} {b} {c.d-e_f}") == ("b", "a", "c.d-e_f")


@pytest.mark.parametrize(
    "text", ["{}", "{ a}", "{-a}", "{.a}", "{_a}", "{a b}", "{ä}", "{" + "a" * 22 + "}", "{a", "a}"]
)
def test_other_braces_are_plain_text(text: str) -> None:
    """They are neither variables nor errors, and stay as they are."""
    assert variables(text) == ()
    assert fill(text, {"a": "x"}) == text


def test_a_variable_has_at_most_21_characters() -> None:
    """Exactly so many are fine."""
    assert variables("{" + "a" * 21 + "}") == ("a" * 21,)


def test_variables_are_filled_in() -> None:
    """Each occurrence, once: a value is not looked into."""
    assert fill("{a}-{b}-{a}", {"a": "{b}", "b": "2"}) == "{b}-2-{b}"


def test_a_variable_without_a_value_is_replaced_by_nothing() -> None:
    """As the API's text has it; superfluous tags are ignored."""
    assert fill("<{a}>", {"b": "2"}) == "<>"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "SMN.0024"),
        ("\ud800", "SMN.0024"),
        ("a" * (MAX_CONTENT_BYTES + 1), "SMN.0024"),
        ("名" * (MAX_CONTENT_BYTES // 3 + 1), "SMN.0024"),
        ("".join(f"{{v{number}}}" for number in range(91)), "SMN.0075"),
        ("{a}" * 257, "SMN.0075"),
    ],
)
def test_contents_have_bounds(content: str, code: str) -> None:
    """Bytes of UTF-8, variables, and how often they stand there."""
    with pytest.raises(Refused) as refused:
        variables(content)
    assert refused.value.code == code


def test_the_bounds_themselves_are_allowed() -> None:
    """256 KB, 90 variables, 256 places."""
    assert variables("a" * MAX_CONTENT_BYTES) == ()
    assert len(variables("".join(f"{{v{number}}}" for number in range(90)))) == 90
    assert variables("{a}" * 256) == ("a",)


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a.b", "ä", "a" * 65, "a\n"])
def test_bad_names_answer_the_operations_code(name: str) -> None:
    """Template operations and publishing have one each."""
    for code in ("SMN.0032", "SMN.0042"):
        with pytest.raises(Refused) as refused:
            check_name(name, code)
        assert refused.value.code == code


@pytest.mark.parametrize("name", ["a", "1", "A-b_9", "a" * 64])
def test_good_names_pass(name: str) -> None:
    """Letters, digits, hyphens and underscores."""
    check_name(name, "SMN.0032")


@pytest.mark.parametrize(
    "tags",
    [
        *(None, "x", 7, [], True, {"a": 1}, {"a": None}, {1: "a"}, {"a": {}}),
        *({"": "x"}, {"a" * 22: "x"}, {"a": "x" * 1025}, {"a": "名" * 342}, {"a": "\ud800"}),
    ],
)
def test_bad_tags_are_refused(tags: Any) -> None:
    """They are mandatory with a template, and bounded."""
    with pytest.raises(Refused) as refused:
        check_tags(tags)
    assert refused.value.code == "SMN.0038"


@pytest.mark.parametrize("tags", [{}, {"a": ""}, {"a" * 21: "x" * 1024}, {"never used": "x"}])
def test_good_tags_pass(tags: Any) -> None:
    """None needed, none given; unknown names do no harm."""
    assert check_tags(tags) == tags


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=3), st.text(max_size=5)))
def test_filling_in_leaves_no_variable_that_was_there(content: str, tags: dict[str, str]) -> None:
    """What has no variables comes out as it went in."""
    if content and not variables(content):
        assert fill(content, tags) == content
