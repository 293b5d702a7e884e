"""Conditions of custom policies: what they want of a request's facts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.conditions import Facts, all_hold, read_conditions

EPS = "g:EnterpriseProjectId"
FACTS: Facts = {
    EPS: ("e1",),
    "g:ResourceTag/env": ("prod",),
    "g:RequestTag/team": ("Blue",),
    "g:TagKeys": ("team", "env"),
    "smn:Protocol": ("https",),
    "smn:Endpoint": ("https://hooks.example.com/a*b",),
}


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringEquals", EPS, ["e1", "e2"], True),
        ("StringEquals", EPS, "e1", True),
        ("StringEquals", EPS, ["E1"], False),
        ("StringNotEquals", EPS, ["e2"], True),
        ("StringNotEquals", EPS, ["e2", "e1"], False),
        ("StringEqualsIgnoreCase", "g:RequestTag/team", ["BLUE"], True),
        ("StringNotEqualsIgnoreCase", "g:RequestTag/team", ["BLUE"], False),
        ("StringLike", "smn:Endpoint", ["https://*.example.com/*"], True),
        ("StringLike", "smn:Endpoint", ["https://hooks.example.com/a?b"], True),
        ("StringMatch", "smn:Endpoint", ["hooks"], False),
        ("StringNotLike", "smn:Endpoint", ["*.example.com"], True),
        ("StringStartWith", "smn:Endpoint", ["https://"], True),
        ("StringNotStartWith", "smn:Endpoint", ["https://"], False),
        ("StringEndWith", "smn:Endpoint", ["*b"], True),
        ("StringEquals", "g:ResourceTag/env", ["prod"], True),
        ("StringEquals", "g:ResourceTag/other", ["prod"], False),
        ("StringNotEquals", "g:ResourceTag/other", ["prod"], True),
        ("StringEqualsIfExists", "g:ResourceTag/other", ["prod"], True),
        ("StringEqualsIfExists", "g:ResourceTag/env", ["dev"], False),
        ("StringEquals", "g:TagKeys", ["env"], True),
        ("StringNotEquals", "g:TagKeys", ["env"], False),
        ("ForAnyValue:StringEquals", "g:TagKeys", ["env"], True),
        ("ForAnyValue:StringNotEquals", "g:TagKeys", ["env"], True),
        ("ForAllValues:StringEquals", "g:TagKeys", ["env"], False),
        ("ForAllValues:StringEquals", "g:TagKeys", ["env", "team"], True),
        ("ForAllValues:StringNotEquals", "g:TagKeys", ["env"], False),
        ("Null", "g:ResourceTag/env", ["false"], True),
        ("Null", "g:ResourceTag/env", "true", False),
        ("Null", "g:ResourceTag/other", ["true"], True),
    ],
)
def test_a_condition_is_about_one_key(operator: str, key: str, values: Any, expected: bool) -> None:
    """The operator relates what the request has to what is wanted."""
    assert all_hold(read_conditions({operator: {key: values}}), FACTS) is expected


def test_all_conditions_have_to_hold() -> None:
    """Of one operator and of several."""
    both = {"StringEquals": {EPS: ["e1"], "smn:Protocol": ["https"]}}
    assert all_hold(read_conditions(both), FACTS)
    for more in ({"Null": {EPS: "true"}}, {"StringLike": {"smn:Endpoint": ["mailto:*"]}}):
        assert not all_hold(read_conditions(both | more), FACTS)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"StringEquals": []},
        {"StringEquals": {}},
        {"StringEquals": {EPS: []}},
        {"StringEquals": {EPS: [1]}},
        {"StringEquals": {EPS: ["x"] * 21}},
        {"StringEquals": {f"g:ResourceTag/{n}": ["x"] for n in range(11)}},
        {"StringEquals": {"g:UserName": ["x"]}},
        {"StringEquals": {"g:ResourceTag/": ["x"]}},
        {"stringequals": {EPS: ["x"]}},
        {"StringNull": {EPS: ["true"]}},
        {"NullIfExists": {EPS: ["true"]}},
        {"Null": {EPS: ["yes"]}},
        {"NumericEquals": {EPS: ["1"]}},
        {"ForSomeValues:StringEquals": {EPS: ["x"]}},
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(document: Any) -> None:
    """Else it would let in, or keep out, others than were meant."""
    with pytest.raises(ValueError, match=r"\."):
        read_conditions(document)


WORDS = st.sampled_from(["", "a", "A", "ab", "a*", "*", "?b", "b"])


@given(
    relation=st.sampled_from(["Equals", "EqualsIgnoreCase", "Like", "StartWith", "EndWith"]),
    values=st.lists(WORDS, max_size=3),
    wanted=st.lists(WORDS, min_size=1, max_size=3),
)
def test_not_is_the_opposite(relation: str, values: list[str], wanted: list[str]) -> None:
    """Of everything that an operator could hold for, whether there is a value or none."""
    facts: Facts = {EPS: tuple(values)}
    holds, not_holds = (
        all_hold(read_conditions({f"String{word}{relation}": {EPS: wanted}}), facts)
        for word in ("", "Not")
    )
    assert holds is not not_holds
