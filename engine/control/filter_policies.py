"""Filter policies of subscriptions; their effect is `engine.policy.filters`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.control.subscriptions import Subscriptions
    from engine.models import FilterPolicy
    from engine.store.roster import Roster


class FilterPolicies:
    """Sets the policies of one subscription; `engine.policy.filters.check` has passed them.

    Every method raises `Refused`: SMN.0014 malformed URN, SMN.0013 unknown.
    """

    def __init__(self, roster: Roster, subscriptions: Subscriptions) -> None:
        self._roster = roster
        self._subscriptions = subscriptions

    async def create(self, urn: str, policies: Sequence[FilterPolicy]) -> None:
        """Set the first ones; code SMN.0043 if there are some already."""
        if not await self._set(urn, policies, fresh=True):
            raise Refused("SMN.0043", "It has filter policies: update them.")

    async def replace(self, urn: str, policies: Sequence[FilterPolicy]) -> None:
        """Set these in place of all that there are."""
        await self._set(urn, policies)

    async def clear(self, urn: str) -> None:
        """Remove all."""
        await self._set(urn, ())

    async def _set(
        self, urn: str, policies: Sequence[FilterPolicy], *, fresh: bool = False
    ) -> bool:
        _, subscription = await self._subscriptions.find(urn)
        done = await self._roster.set_filters(subscription, policies, fresh=fresh)
        if done is None:
            raise Refused("SMN.0013")
        return done
