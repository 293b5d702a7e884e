"""Which resources a tag query finds (SMN "Querying Resource Instances").

A condition is a tag key with values: the resource has the key, with one of the values if there
are any. Four lists of conditions and the names combine by AND:

    tags          all hold            not_tags       not all hold
    tags_any      at least one holds  not_tags_any   none holds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
        if not all(part.lower() in name.lower() for part in self.names):
            return False
        if self.untagged:
            return not tags
        return (
            all(_holds(*one, tags) for one in self.tags)
            and (not self.tags_any or any(_holds(*one, tags) for one in self.tags_any))
            and (not self.not_tags or not all(_holds(*one, tags) for one in self.not_tags))
            and not any(_holds(*one, tags) for one in self.not_tags_any)
        )


def _holds(key: str, values: tuple[str, ...], tags: Mapping[str, str]) -> bool:
    value = tags.get(key)
    if value is None:
        return False
    return not values or any(_is_like(wanted, value) for wanted in values)


def _is_like(wanted: str, value: str) -> bool:
    """A ``*`` before it makes it a part to look for."""
    return wanted[1:] in value if wanted.startswith("*") else wanted == value
