"""Which subscriptions a list shows (SMN "Querying Subscriptions")."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from engine.models import SubscriptionCard

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.models import Status, Subscription

_ANSWERS: Final = 4
"""Answers that are kept of a list, of some hundred KB each where they are long."""


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

    def finds(self, one: Subscription | SubscriptionCard) -> bool:
        """Whether a subscription is one of them."""
        return (
            (self.topics is None or one.topic_id in self.topics)
            and (self.protocol is None or one.protocol == self.protocol)
            and (self.status is None or one.status == self.status)
            and (self.endpoint is None or self.endpoint in one.endpoint)
            and (self.remark is None or self.remark in one.remark.lower())
        )

    def among(self, kept: SubscriptionColumns) -> Sequence[int]:
        """The positions of those that are found, in order; they hold as long as the columns."""
        if self.topics is not None:
            return self._search(kept)
        answer = kept.answers.get(self)
        if answer is None:
            answer = kept.answers[self] = list(self._search(kept))
            if len(kept.answers) > _ANSWERS:
                kept.answers.popitem(last=False)
        else:
            kept.answers.move_to_end(self)
        return answer

    def _search(self, kept: SubscriptionColumns) -> Sequence[int]:
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


@dataclass(slots=True)
class SubscriptionColumns:
    """Cards in the order of lists, member by member: to look through thousands costs a third.

    The ``answers`` to the latest queries stay with them: who reads a list page by page has it
    searched once, and of a card that changes it is looked up anew whether it belongs to each. The
    owner may change them whenever somebody else runs: nobody else keeps them over an ``await``.
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
    answers: OrderedDict[SubscriptionQuery, list[int]] = field(
        default_factory=OrderedDict, compare=False, repr=False
    )

    @classmethod
    def of(cls, cards: Sequence[SubscriptionCard]) -> Self:
        """Of cards that are in order."""
        none = [()] * len(SubscriptionCard._fields)
        columns: Any = map(list, zip(*cards, strict=True) if cards else none)
        return cls(*columns)

    def replace(self, old: Sequence[SubscriptionCard], new: Sequence[SubscriptionCard]) -> None:
        """Put cards in the places of others, which are in it."""
        columns = [getattr(self, name) for name in SubscriptionCard._fields]
        left = {card.order: card for card in new}
        for card in old:
            at = bisect_left(self.order, card.order)
            renewed = left.pop(card.order, None)
            if renewed is None:
                self.answers.clear()
                for column in columns:
                    del column[at]
            else:
                for column, value in zip(columns, renewed, strict=True):
                    column[at] = value
                for query, answer in self.answers.items():
                    _review(answer, at, belongs=query.finds(renewed))
        for card in left.values():
            at = bisect_left(self.order, card.order)
            self.answers.clear()
            for column, value in zip(columns, card, strict=True):
                column.insert(at, value)


def _review(answer: list[int], at: int, *, belongs: bool) -> None:
    place = bisect_left(answer, at)
    known = place < len(answer) and answer[place] == at
    if known and not belongs:
        del answer[place]
    elif belongs and not known:
        answer.insert(place, at)
