"""Which resources a tag query finds (SMN "Querying Resource Instances").

A condition is a tag key with values: the resource has the key, with one of the values if there
are any. Four lists of conditions and the names combine by AND:

    tags          all hold            not_tags       not all hold
    tags_any      at least one holds  not_tags_any   none holds
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Conditions = tuple[tuple[str, tuple[str, ...]], ...]
"""Keys with their values; no values stand for any."""


@dataclass(frozen=True, slots=True)
class TagQuery:
    """What is asked for; an empty list asks for nothing.

    ``untagged`` finds resources without a tag, and then the four lists do not count. ``names``
    are parts that the name must have, whatever their case.
    """

    tags: Conditions = ()
    tags_any: Conditions = ()
    not_tags: Conditions = ()
    not_tags_any: Conditions = ()
    names: tuple[str, ...] = ()
    untagged: bool = False

    def finds(self, name: str, tags: Mapping[str, str]) -> bool:
        """Whether a resource of this name and with these tags is one of them."""
        return self.finder()(name, tags)

    def finder(self) -> Callable[[str, Mapping[str, str]], bool]:
        """The same question for thousands of resources, prepared once."""
        parts = tuple(part.lower() for part in self.names)
        every, some, not_every, none = (
            tuple(_Wanted.of(*one) for one in conditions)
            for conditions in (self.tags, self.tags_any, self.not_tags, self.not_tags_any)
        )
        untagged = self.untagged

        def finds(name: str, tags: Mapping[str, str]) -> bool:
            if parts:
                lowered = name.lower()
                for part in parts:
                    if part not in lowered:
                        return False
            if untagged:
                return not tags
            return (
                not (every and _count(every, tags) != len(every))
                and not (some and not _count(some, tags))
                and not (not_every and _count(not_every, tags) == len(not_every))
                and not (none and _count(none, tags))
            )

        return finds


class _Wanted(NamedTuple):
    """A condition: the whole values that do, parts of values that do, or any value at all."""

    key: str
    whole: frozenset[str]
    parts: tuple[str, ...]
    anything: bool

    @classmethod
    def of(cls, key: str, values: tuple[str, ...]) -> _Wanted:
        """A ``*`` before a value makes it a part to look for."""
        whole = frozenset(value for value in values if not value.startswith("*"))
        parts = tuple(value[1:] for value in values if value.startswith("*"))
        return cls(key, whole, parts, not values)


def _count(wanted: tuple[_Wanted, ...], tags: Mapping[str, str]) -> int:
    """How many of the conditions hold."""
    count = 0
    for key, whole, parts, anything in wanted:
        value = tags.get(key)
        if value is None:
            continue
        if anything or value in whole:
            count += 1
            continue
        for part in parts:
            if part in value:
                count += 1
                break
    return count
