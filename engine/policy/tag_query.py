"""Which resources a tag query finds (SMN "Querying Resource Instances").

A condition is a tag key with values: the resource has the key, with one of the values if there
are any. Four lists of conditions and the names combine by AND:

    tags          all hold            not_tags       not all hold
    tags_any      at least one holds  not_tags_any   none holds
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        return bool(self.among([name], [tags]))

    def among(self, names: Sequence[str], tags: Sequence[Mapping[str, str]]) -> list[int]:
        """The positions of those that are found among resources with these names and tags."""
        left = set(range(len(names)))
        for part in self.names:
            lowered = part.lower()
            left = {one for one in left if lowered in names[one].lower()}
        if self.untagged:
            return sorted(one for one in left if not tags[one])
        if self.tags:
            left.intersection_update(*_holders(self.tags, tags))
        if self.tags_any:
            left &= set[int]().union(*_holders(self.tags_any, tags))
        if self.not_tags:
            left -= left.intersection(*_holders(self.not_tags, tags))
        if self.not_tags_any:
            left.difference_update(*_holders(self.not_tags_any, tags))
        return sorted(left)


def _holders(conditions: Conditions, tags: Sequence[Mapping[str, str]]) -> list[set[int]]:
    """For each condition the positions of the resources for which it holds.

    A ``*`` before a value makes it a part to look for.
    """
    found = []
    for key, values in conditions:
        valued = [(one, own[key]) for one, own in enumerate(tags) if key in own]
        if values:
            whole = {value for value in values if not value.startswith("*")}
            parts = [value[1:] for value in values if value.startswith("*")]
            # Each value is looked at once, however many resources have it.
            fitting = {
                value
                for value in {value for _, value in valued}
                if value in whole or any(part in value for part in parts)
            }
            valued = [pair for pair in valued if pair[1] in fitting]
        found.append({one for one, _ in valued})
    return found
