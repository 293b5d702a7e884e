"""Which subscriptions a list shows (SMN "Querying Subscriptions")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.models import Subscription, SubscriptionCard


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

    def among(self, cards: Sequence[SubscriptionCard]) -> Sequence[SubscriptionCard]:
        """Those of many that are found, in the same order; one condition after another."""
        topics, protocol = self.topics, self.protocol
        status, endpoint, remark = self.status, self.endpoint, self.remark
        if topics is not None:
            cards = [card for card in cards if card.topic_id in topics]
        if protocol is not None:
            cards = [card for card in cards if card.protocol == protocol]
        if status is not None:
            cards = [card for card in cards if card.status == status]
        if endpoint is not None:
            cards = [card for card in cards if endpoint in card.endpoint]
        if remark is not None:
            cards = [card for card in cards if remark in card.remark]
        return cards
