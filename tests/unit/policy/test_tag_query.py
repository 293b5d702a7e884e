"""Tag queries against a reading of the contract that is as plain as it is slow."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.tag_query import Conditions, TagQuery

_KEYS = st.sampled_from(["env", "team", "Env", ""])
_VALUES = st.sampled_from(["", "dev", "development", "prod", "*", "*dev", "*v", "**", "de*"])
_LISTS = st.lists(st.tuples(_KEYS, st.lists(_VALUES, max_size=3).map(tuple)), max_size=3).map(tuple)
_QUERIES = st.builds(
    TagQuery,
    tags=_LISTS,
    tags_any=_LISTS,
    not_tags=_LISTS,
    not_tags_any=_LISTS,
    names=st.lists(st.sampled_from(["", "a", "AL", "x_1"]), max_size=2).map(tuple),
    untagged=st.booleans(),
)
_TAGS = st.dictionaries(_KEYS, st.sampled_from(["", "dev", "development", "prod", "*dev", "DEV"]))
_NAMES = st.sampled_from(["alarms", "x_1", "Alpha", "b"])


def _naive(query: TagQuery, name: str, tags: dict[str, str]) -> bool:
    """What the sentences of the contract say, one after the other."""

    def holding(conditions: Conditions) -> list[bool]:
        found = []
        for key, values in conditions:
            good = [v for v in values if v == tags.get(key) and not v.startswith("*")]
            good += [v for v in values if v[:1] == "*" and v[1:] in tags.get(key, "")]
            found.append(key in tags and (values == () or good != []))
        return found

    for part in query.names:
        if part.casefold() not in name.casefold():
            return False
    if query.untagged:
        return tags == {}
    answers = [
        False not in holding(query.tags),
        query.tags_any == () or True in holding(query.tags_any),
        query.not_tags == () or False in holding(query.not_tags),
        True not in holding(query.not_tags_any),
    ]
    return answers == [True] * 4


@given(_QUERIES, _NAMES, _TAGS)
def test_a_query_finds_what_the_contract_says(
    query: TagQuery, name: str, tags: dict[str, str]
) -> None:
    """All lists, names and wildcards together."""
    assert query.finds(name, tags) is _naive(query, name, tags)


@given(_QUERIES, _NAMES, _TAGS)
def test_lists_narrow_what_is_found(query: TagQuery, name: str, tags: dict[str, str]) -> None:
    """They combine by AND: without one of them everything that was found still is."""
    if query.finds(name, tags) and not query.untagged:
        for one in ("tags", "tags_any", "not_tags", "not_tags_any", "names"):
            without: dict[str, Any] = {one: ()}
            assert dataclasses.replace(query, **without).finds(name, tags)


TAGS = {"env": "development", "team": "blue"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, True),
        ({"tags": (("env", ("development",)), ("team", ()))}, True),
        ({"tags": (("env", ("prod", "development")),)}, True),
        ({"tags": (("env", ("develop",)),)}, False),
        ({"tags": (("env", ("*develop",)),)}, True),
        ({"tags": (("env", ()), ("colour", ()))}, False),
        ({"tags_any": (("colour", ()), ("team", ("blue",)))}, True),
        ({"tags_any": (("colour", ()),)}, False),
        ({"not_tags": (("env", ()), ("team", ()))}, False),
        ({"not_tags": (("env", ()), ("colour", ()))}, True),
        ({"not_tags_any": (("env", ("prod",)), ("colour", ()))}, True),
        ({"not_tags_any": (("env", ("prod",)), ("team", ()))}, False),
        ({"names": ("ALARM",)}, True),
        ({"names": ("ala", "x")}, False),
        ({"untagged": True}, False),
        ({"untagged": True, "tags": (("env", ()),)}, False),
    ],
)
def test_each_part_of_a_query(query: dict[str, Any], *, found: bool) -> None:
    """One example for each sentence."""
    assert TagQuery(**query).finds("alarms", TAGS) is found


def test_untagged_resources_are_found_whatever_the_lists_say() -> None:
    """The lists do not count then; names do."""
    query = TagQuery(tags=(("env", ()),), names=("ala",), untagged=True)
    assert query.finds("alarms", {})
    assert not query.finds("bells", {})
