"""Filter policies: who is owed a message that has attributes (SMN "Subscription Filter Policy").

The message's attributes drive the match, not the policies: each attribute of the message must
be met by a policy of its name, and policies of other names are not asked. So a subscription
without policies gets no message with attributes, and a message without attributes goes to all.
``smn_protocol`` is no such attribute: it says which protocols the message is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.models import FilterPolicy
from engine.policy.attributes import PROTOCOL_NAME, VALUE

if TYPE_CHECKING:
    from collections.abc import Sequence

Attributes = Iterable[Mapping[str, object]]
Demands = tuple[tuple[str, frozenset[str]], ...]
"""What a message asks of a subscription: names, each with the values of which one must do."""
Filters = Mapping[str, frozenset[str]]
"""A subscription's policies as matching needs them."""

_POLICIES: Final = 5
_VALUES: Final = 10
_NAME: Final = re.compile(r"(?!smn_)(?!.*_$)(?!_)(?!.*__)[a-z0-9_]{1,32}", re.ASCII)


def check(policies: Sequence[FilterPolicy]) -> None:
    """Raise `Refused` ``SMN.0043`` for what is not a set of 1 to 5 policies."""
    if not 1 <= len(policies) <= _POLICIES:
        raise Refused("SMN.0043", f"A subscription has 1 to {_POLICIES} filter policies.")
    if len({policy.name for policy in policies}) != len(policies):
        raise Refused("SMN.0043", "The names of its filter policies must differ.")
    for policy in policies:
        if _NAME.fullmatch(policy.name) is None:
            raise Refused(
                "SMN.0043",
                "A filter policy's name has 1 to 32 of a-z, 0-9 and single inner underscores,"
                " and does not begin with smn_.",
            )
        values = policy.string_equals
        if not 1 <= len(values) <= _VALUES or len(set(values)) != len(values):
            raise Refused("SMN.0043", f"string_equals has 1 to {_VALUES} different values.")
        if not all(VALUE.fullmatch(value) for value in values):
            raise Refused(
                "SMN.0043",
                "A value has 1 to 32 Chinese or English letters, digits and underscores.",
            )


def protocols(attributes: Attributes) -> frozenset[str] | None:
    """The protocols that a message is for; None = all."""
    for attribute in attributes:
        if attribute.get("name") == PROTOCOL_NAME:
            return frozenset(_values(attribute))
    return None


def demands(attributes: Attributes) -> Demands:
    """What a message asks of subscriptions, worked out once for many."""
    return tuple(
        (str(attribute.get("name")), frozenset(_values(attribute)))
        for attribute in attributes
        if attribute.get("name") != PROTOCOL_NAME
    )


def compiled(policies: Iterable[FilterPolicy]) -> Filters | None:
    """A subscription's policies for `matches`; None if it has none."""
    return {policy.name: frozenset(policy.string_equals) for policy in policies} or None


def matches(asked: Demands, filters: Filters | None) -> bool:
    """Whether a subscription with these policies gets the message."""
    if filters is None:
        return not asked
    return all(name in filters and not values.isdisjoint(filters[name]) for name, values in asked)


def _values(attribute: Mapping[str, object]) -> Iterable[str]:
    value = attribute.get("value")
    return value if isinstance(value, (list, tuple)) else (str(value),)
