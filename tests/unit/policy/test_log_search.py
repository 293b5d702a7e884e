"""Keywords are found as words of a line."""

from __future__ import annotations

import time

import pytest

from engine.policy.log_search import fits, matcher

LINE = '{"status":"FAIL_DELIVERED","http_code":404,"endpoint":"http://a.example/hook?x=1"}'


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        ("", True),
        ("  ", True),
        ("AND OR", True),
        ("404", True),
        ("40", False),
        ("40*", True),
        ("4?4", True),
        ("4?", False),
        ("*deliver*", True),
        ("fail_delivered", True),
        ("FAIL_DELIVERED 404", True),
        ("FAIL_DELIVERED AND 500", False),
        ("500 OR 404", True),
        ("500 || DELIVERED || a.example", True),
        ("500 OR DELIVERED", False),
        ("NOT 404", False),
        ("NOT 500", True),
        ("!404", False),
        ("!50*", True),
        ("status:FAIL_DELIVERED", True),
        ("http://a.example/hook?x=1", True),
        ("http://b.example/hook?x=1", False),
        ('"404"', True),
        ('""', True),
    ],
)
def test_keywords_find_words(keywords: str, found: bool) -> None:
    """Whole words, unless wildcards say otherwise, in any case."""
    assert matcher(keywords)(LINE) is found


@pytest.mark.parametrize(
    ("pattern", "word", "found"),
    [
        ("", "", True),
        ("*", "", True),
        ("?", "", False),
        ("a*b*c", "aXbXbYc", True),
        ("a*b*c", "aXbXbYcd", False),
        ("*a?", "aaab", True),
        ("**", "x", True),
        ("a", "ab", False),
        ("a.c", "abc", False),
    ],
)
def test_wildcards_stand_for_characters(pattern: str, word: str, found: bool) -> None:
    """Several, or exactly one; everything else is itself."""
    assert fits(pattern, word) is found


def test_a_wicked_pattern_takes_no_time() -> None:
    """A caller cannot stop the server with stars."""
    begun = time.perf_counter()
    assert not fits("*a" * 200 + "b", "a" * 2000)
    assert time.perf_counter() - begun < 2
