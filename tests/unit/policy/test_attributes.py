"""Message attributes: which are accepted, and the one form that they get."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.policy.attributes import MAX_ATTRIBUTES, check
from engine.policy.names import PROTOCOLS

STRING: dict[str, Any] = {"name": "company", "type": "STRING", "value": "group_a"}
ARRAY: dict[str, Any] = {"name": "position", "type": "STRING_ARRAY", "value": ["dev", "运维"]}
PROTOCOL: dict[str, Any] = {"name": "smn_protocol", "type": "PROTOCOL", "value": ["email", "https"]}


def test_the_three_types_are_checked_into_lists() -> None:
    """Whatever the type, the value is a list of strings afterwards."""
    assert check([STRING, ARRAY, PROTOCOL], PROTOCOLS) == (
        {"name": "company", "type": "STRING", "value": ["group_a"]},
        ARRAY,
        PROTOCOL,
    )


def test_a_string_may_stand_in_a_list() -> None:
    """As the vendor's guide writes it."""
    assert check([STRING | {"value": ["group_a"]}], PROTOCOLS) == check([STRING], PROTOCOLS)


def test_no_attributes_are_fine() -> None:
    """An empty list says nothing."""
    assert check([], PROTOCOLS) == ()


def test_unknown_members_are_left_out() -> None:
    """What is stored is what is known."""
    assert check([STRING | {"note": "x"}], PROTOCOLS) == check([STRING], PROTOCOLS)


def test_a_third_partys_protocol_can_be_named() -> None:
    """Protocols are those of the contract and of the adapters."""
    pigeon = PROTOCOL | {"value": ["pigeon"]}
    assert check([pigeon], PROTOCOLS | {"pigeon"}) == (pigeon,)


_KINDS: tuple[Any, ...] = (None, "", "string", "NUMBER", "PROTOCOL", [], {})
_NO_LISTS: tuple[Any, ...] = ([], ["a", "b"], [7], [""], {}, [["a"]], "\ud800")
_NO_ARRAYS: tuple[Any, ...] = (None, "dev", [], ["a", "a"], ["a b"], [7], [[]], {})
_NO_PROTOCOLS: tuple[Any, ...] = (None, "email", [], ["email"] * 2, ["x"], [{}])
_NO_TEXTS: tuple[Any, ...] = (None, 7, "", "a" * 33, "a b", "a\n", "é", True)
BAD: list[Any] = [
    *("x", 7, {}, True, [7], ["x"], [None], [[]], [{}]),
    *(
        [STRING | {"name": name}]
        for name in (None, 7, "", "A", "a-b", "_a", "a_", "a__b", "a" * 33)
    ),
    *([STRING | {"name": name}] for name in ("ä", "a\n", "smn_protocol")),
    *([STRING | {"type": kind}] for kind in _KINDS),
    *([STRING | {"value": value}] for value in _NO_TEXTS),
    *([STRING | {"value": value}] for value in _NO_LISTS),
    *([ARRAY | {"value": value}] for value in _NO_ARRAYS),
    [ARRAY | {"value": [str(number) for number in range(11)]}],
    *([PROTOCOL | {"value": value}] for value in _NO_PROTOCOLS),
    [PROTOCOL | {"name": "protocol"}],
    [STRING, STRING],
    [STRING, ARRAY | {"name": "company"}],
    [STRING | {"name": f"a{number}"} for number in range(MAX_ATTRIBUTES + 1)],
]


@pytest.mark.parametrize("given", BAD)
def test_bad_attributes_are_refused(given: Any) -> None:
    """With the contract's code."""
    with pytest.raises(Refused) as refused:
        check(given, PROTOCOLS)
    assert refused.value.code == "SMN.0043"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.lists(st.fixed_dictionaries({"name": _JSON, "type": _JSON, "value": _JSON}) | _JSON))
def test_anything_is_accepted_or_refused(given: Any) -> None:
    """No JSON makes it fail in another way."""
    try:
        checked = check(given, PROTOCOLS)
    except Refused:
        return
    for one in checked:
        assert isinstance(one["value"], list)
