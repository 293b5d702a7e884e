"""Which subscriptions a list shows (SMN "Querying Subscriptions")."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.models import Status, Subscription, SubscriptionCard


@dataclass(frozen=True, slots=True)
class SubscriptionQuery:
    """What is asked for, all of it at once; None asks for nothing.

    ``status`` is the contract's number, ``endpoint`` a part of it, ``remark`` a part of that in
    lower case, ``topics`` the ids of those whose subscriptions may be seen.
    """

    protocol: str | None = None
    status: int | None = None
    endpoint: str | None = None
    remark: str | None = None
    topics: Collection[str] | None = None

    def finds(self, one: Subscription) -> bool:
        """Whether a subscription is one of them."""
        return (
            (self.topics is None or one.topic_id in self.topics)
            and (self.protocol is None or one.protocol == self.protocol)
            and (self.status is None or one.status == self.status)
            and (self.endpoint is None or self.endpoint in one.endpoint)
            and (self.remark is None or self.remark in one.remark.lower())
        )

    def among(self, kept: SubscriptionColumns) -> Sequence[int]:
        """The positions of those that are found, in order."""
        found: Sequence[int] = range(len(kept.order))
        if (topics := self.topics) is not None:
            topic_ids = kept.topic_id
            found = [at for at in found if topic_ids[at] in topics]
        if (protocol := self.protocol) is not None:
            protocols = kept.protocol
            found = [at for at in found if protocols[at] == protocol]
        if (status := self.status) is not None:
            statuses = kept.status
            found = [at for at in found if statuses[at] == status]
        if (endpoint := self.endpoint) is not None:
            endpoints = kept.endpoint
            found = [at for at in found if endpoint in endpoints[at]]
        if (remark := self.remark) is not None:
            remarks = kept.remark
            found = [at for at in found if remark in remarks[at]]
        return found


class SubscriptionColumns(NamedTuple):
    """Cards in the order of lists, member by member.

    To look through thousands costs a third of what it does card by card.
    """

    order: list[str]
    topic_id: list[str]
    id: list[str]
    protocol: list[str]
    page: list[int]
    seat: list[int]
    status: list[Status]
    endpoint: list[str]
    remark: list[str]

    @classmethod
    def of(cls, cards: Sequence[SubscriptionCard]) -> Self:
        """Of cards that are in order."""
        members: Any = zip(*cards, strict=True) if cards else ((),) * len(cls._fields)
        return cls(*map(list, members))

    def copy(self) -> Self:
        """One that may be changed."""
        columns: tuple[Any, ...] = self
        return type(self)(*(column.copy() for column in columns))

    def replace(self, old: Sequence[SubscriptionCard], new: Sequence[SubscriptionCard]) -> None:
        """Put cards in the places of others, which are in it."""
        columns: tuple[list[Any], ...] = self
        left = {card.order: card for card in new}
        for card in old:
            at = bisect_left(self.order, card.order)
            renewed = left.pop(card.order, None)
            for place, column in enumerate(columns):
                if renewed is None:
                    del column[at]
                else:
                    column[at] = renewed[place]
        for card in left.values():
            at = bisect_left(self.order, card.order)
            for place, column in enumerate(columns):
                column.insert(at, card[place])
