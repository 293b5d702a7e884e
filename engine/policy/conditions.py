"""Conditions: what must be true of a request for a statement of a custom policy to hold.

A condition is an operator, a key and values. The keys are those of SMN "Actions Supported by
Identity Policy-based Authorization", the operators those texts of IAM's "Policy Syntax". A
request has *facts*, the values of each key; what nobody can know of it has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

ENTERPRISE_PROJECT: Final = "g:EnterpriseProjectId"
RESOURCE_TAG: Final = "g:ResourceTag/"
REQUEST_TAG: Final = "g:RequestTag/"
TAG_KEYS: Final = "g:TagKeys"
PROTOCOL: Final = "smn:Protocol"
ENDPOINT: Final = "smn:Endpoint"
_KEYS: Final = frozenset({ENTERPRISE_PROJECT, TAG_KEYS, PROTOCOL, ENDPOINT})
_FAMILIES: Final = (RESOURCE_TAG, REQUEST_TAG)
_MAX_CONDITIONS: Final = 10
_MAX_VALUES: Final = 20
_NULL: Final = "Null"
_OPERATOR: Final = re.compile(
    r"(?:(ForAnyValue|ForAllValues):)?(String(Not)?([A-Za-z]+?)|Null)(IfExists)?", re.ASCII
)

Facts = Mapping[str, tuple[str, ...]]
"""The values of each key that a request has."""

NO_FACTS: Final[Facts] = {}


def _is_like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


_RELATIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "Equals": lambda value, wanted: value == wanted,
    "EqualsIgnoreCase": lambda value, wanted: value.casefold() == wanted.casefold(),
    "Like": _is_like,
    "Match": _is_like,
    "StartWith": str.startswith,
    "EndWith": str.endswith,
}
"""What follows ``String`` or ``StringNot`` in an operator."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key's condition.

    ``negated`` turns the relation round, ``all_of`` wants it of every value instead of any, and
    ``optional`` lets a request hold that has no value at all. The relation ``Null`` asks just
    for that.
    """

    key: str
    relation: str
    wanted: tuple[str, ...]
    negated: bool = False
    any_of: bool = False
    all_of: bool = False
    optional: bool = False

    def holds(self, facts: Facts) -> bool:
        """Whether a request with these facts is as the condition wants it."""
        values = facts.get(self.key, ())
        if self.relation == _NULL:
            return (not values) == (self.wanted[0] == "true")
        if not values:
            return self.negated or self.all_of or self.optional
        fits = [self._fits(value) != self.negated for value in values]
        # Without a quantifier no value may be what is not wanted, and one has to be what is.
        every = self.all_of or (self.negated and not self.any_of)
        return all(fits) if every else any(fits)

    def _fits(self, value: str) -> bool:
        relate = _RELATIONS[self.relation]
        return any(relate(value, wanted) for wanted in self.wanted)


def equals(key: str, value: str) -> Condition:
    """The condition that a key has this value."""
    return Condition(key, "Equals", (value,))


def all_hold(conditions: Iterable[Condition], facts: Facts) -> bool:
    """Whether every condition holds."""
    return all(condition.holds(facts) for condition in conditions)


def read_conditions(given: object) -> tuple[Condition, ...]:
    """The conditions of a statement: ``{operator: {key: [value, …]}}``.

    Raises `ValueError` with a sentence, also for a key or operator that is not known: leaving it
    out would allow or deny something else than was written.
    """
    if not isinstance(given, dict):
        raise ValueError("Condition is an object of operators.")  # noqa: TRY004 - as all others
    found = []
    for operator, keys in given.items():
        if not isinstance(keys, dict):
            raise ValueError(f"The operator {operator} needs an object of keys.")  # noqa: TRY004
        found += [_read(operator, key, values) for key, values in keys.items()]
    if not 0 < len(found) <= _MAX_CONDITIONS:
        raise ValueError(f"A Condition holds 1 to {_MAX_CONDITIONS} conditions.")
    return tuple(found)


def _read(operator: str, key: str, values: object) -> Condition:
    parts = _OPERATOR.fullmatch(operator)
    if parts is None:
        raise ValueError(f"There is no operator {operator[:64]!r} for conditions.")
    quantifier, name, negation, relation, optional = parts.groups()
    bare = name == _NULL and not quantifier and not optional
    if not bare and relation not in _RELATIONS:
        raise ValueError(f"There is no operator {operator[:64]!r} for conditions.")
    if key not in _KEYS and not any(key.startswith(f) and key != f for f in _FAMILIES):
        raise ValueError(f"There is no key {key[:64]!r} for conditions.")
    wanted = (values,) if isinstance(values, str) else values
    if (
        not isinstance(wanted, list | tuple)
        or not 0 < len(wanted) <= _MAX_VALUES
        or not all(isinstance(one, str) for one in wanted)
    ):
        raise ValueError(f"{key} needs a list of 1 to {_MAX_VALUES} texts.")
    if bare and tuple(wanted) not in {("true",), ("false",)}:
        raise ValueError("Null wants true or false.")
    return Condition(
        key,
        _NULL if bare else relation,
        tuple(wanted),
        negated=negation is not None,
        any_of=quantifier == "ForAnyValue",
        all_of=quantifier == "ForAllValues",
        optional=optional is not None,
    )


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """``*`` stands for any characters, ``?`` for one."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL)
