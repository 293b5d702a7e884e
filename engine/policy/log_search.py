"""Searching log lines by keywords (LTS "Search Syntax", the part that a line's words answer).

A keyword is a word between two delimiters, whatever its case; ``*`` and ``?`` in it stand for
several characters or one. Words next to each other, or joined by AND or ``&&``, must all be
there; OR or ``||`` separates alternatives; NOT or ``!`` before a word excludes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_DELIMITERS: Final = re.compile(r"[\s,'\";=()\[\]{}@&<>/:\\]+")
_AND: Final = frozenset({"AND", "and", "&&"})
_OR: Final = frozenset({"OR", "or", "||"})
_NOT: Final = frozenset({"NOT", "not", "!"})

Test = Callable[[frozenset[str]], bool]


def words(line: str) -> frozenset[str]:
    """The words of a line, in lower case."""
    return frozenset(word for word in _DELIMITERS.split(line.lower()) if word)


def matcher(keywords: str) -> Callable[[str], bool]:
    """Whether a line has the keywords; everything has none at all."""
    alternatives: list[list[Test]] = [[]]
    negated = False
    for part in keywords.split():
        if part in _OR:
            alternatives.append([])
        elif part in _NOT:
            negated = True
        elif part not in _AND:
            negated, word = (True, part[1:]) if part[0] == "!" else (negated, part)
            alternatives[-1] += [_tester(one, negated=negated) for one in _split(word)]
            negated = False
    sets = [tests for tests in alternatives if tests]
    if not sets:
        return lambda _: True

    def matches(line: str) -> bool:
        found = words(line)
        return any(all(test(found) for test in tests) for tests in sets)

    return matches


def _split(word: str) -> list[str]:
    return [one for one in _DELIMITERS.split(word.lower()) if one]


def _tester(word: str, *, negated: bool) -> Test:
    if "*" not in word and "?" not in word:
        return (lambda found: word not in found) if negated else (lambda found: word in found)
    return lambda found: negated != any(fits(word, one) for one in found)


def fits(pattern: str, word: str) -> bool:
    """Whether a word is as a pattern with ``*`` and ``?`` says.

    Not by a regular expression: a caller's pattern must not take exponential time.
    """
    at = place = 0
    star, resumed = -1, 0
    while at < len(word):
        if place < len(pattern) and pattern[place] == "*":
            star, resumed = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in {"?", word[at]}:
            at += 1
            place += 1
        elif star >= 0:
            # The last star takes one more character; earlier ones never need to.
            resumed += 1
            at, place = resumed, star + 1
        else:
            return False
    return not pattern[place:].strip("*")
