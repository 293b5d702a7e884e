"""What must be true, kept in plain Python beside the real thing.

The model knows what was asked for (topics, subscriptions, messages) and what a worker was told
to be written. It never asks Redis; `snapshot` does, and `promises` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PageId = tuple[str, str, int]
"""Message id, protocol, page."""
Pair = tuple[str, str]
"""Message id, subscription id."""


@dataclass
class Subscriber:
    """A subscription as the model knows it."""

    id: str
    topic_id: str
    protocol: str
    page: int
    seat: int
    confirmed: bool
    gone: bool = False


@dataclass
class Accepted:
    """A message that was accepted: its pages, and to whom it is owed."""

    id: str
    topic_id: str
    sequence: int
    pages: set[PageId]
    owed: set[str]
    addressed: bool = False
    excused: set[str] = field(default_factory=set)


@dataclass
class Group:
    """A topic: one incarnation of a name."""

    id: str
    urn: str
    sequence: int = 0
    gone: bool = False
    purged: bool = False


class Model:
    """The world as it should be."""

    def __init__(self) -> None:
        self.topics: dict[str, Group] = {}
        self.subscribers: dict[str, Subscriber] = {}
        self.messages: dict[str, Accepted] = {}
        self.done: set[PageId] = set()
        self.durable: dict[PageId, int] = {}
        """Seats whose end a worker was told, or must assume, to be written."""
        self.succeeded: dict[Pair, object] = {}
        """The batch in which the endpoint took the message."""
        self.redriven: dict[Pair, int] = {}
        self.dropped: dict[Pair, int] = {}
        self.idempotent: dict[tuple[str, str], str] = {}

    # What was asked for

    def topic_created(self, topic_id: str, urn: str) -> None:
        self.topics.setdefault(topic_id, Group(topic_id, urn))

    def topic_deleted(self, topic_id: str) -> None:
        self.topics[topic_id].gone = True
        for subscriber in self.seated(topic_id):
            subscriber.gone = True
        for message in self.messages.values():
            if message.topic_id == topic_id:
                message.excused |= message.owed

    def seated(self, topic_id: str) -> list[Subscriber]:
        """Subscriptions of a topic, of any status."""
        return [s for s in self.subscribers.values() if s.topic_id == topic_id and not s.gone]

    def closed(self, subscriber: Subscriber) -> None:
        """A subscription goes away or begins anew: what was accepted before is not owed to it."""
        for message in self.messages.values():
            if subscriber.id in message.owed and not message.addressed:
                message.excused.add(subscriber.id)

    def removed(self, subscriber: Subscriber) -> None:
        subscriber.gone = True
        for message in self.messages.values():
            if subscriber.id in message.owed:
                message.excused.add(subscriber.id)

    def accepted(
        self, message_id: str, topic_id: str, pages: dict[str, int], addressed: Subscriber | None
    ) -> None:
        """A 2xx: ``pages`` is how many pages each protocol had."""
        topic = self.topics[topic_id]
        if addressed is not None:
            page = (message_id, addressed.protocol, addressed.page)
            self.messages[message_id] = Accepted(
                message_id, topic_id, 0, {page}, {addressed.id}, addressed=True
            )
            return
        topic.sequence += 1
        self.messages[message_id] = Accepted(
            message_id,
            topic_id,
            topic.sequence,
            {(message_id, protocol, n) for protocol, count in pages.items() for n in range(count)},
            {s.id for s in self.seated(topic_id) if s.confirmed},
        )

    # What workers did

    def sent(self, message_id: str, subscription_id: str, batch: object, *, alive: bool) -> None:
        """A request goes out; ``alive`` = the batch that had a success is still its worker's."""
        message = self.messages[message_id]
        assert subscription_id in message.owed, (
            f"sent to a stranger: message {message_id}, subscription {subscription_id}"
        )
        seat = self.subscribers[subscription_id]
        bits = self.durable.get((message_id, seat.protocol, seat.page), 0)
        assert not bits >> seat.seat & 1, (
            f"sent again after its end was written: {message_id} to {subscription_id}"
        )
        earlier = self.succeeded.get((message_id, subscription_id))
        assert earlier is None or (earlier is not batch and not alive), (
            f"sent again without a crash or stall: {message_id} to {subscription_id}"
        )

    def written(self, page: PageId, ended: int, *, over: bool) -> None:
        """A flush is in the ledger: these seats have ended; ``over`` = and so has the page."""
        self.durable[page] = self.durable.get(page, 0) | ended
        if over:
            self.done.add(page)
            for identifier in self.open_pairs(page):
                raise AssertionError(f"the page {page} ended without its seat of {identifier}")

    def open_pairs(self, page: PageId) -> list[str]:
        """Subscriptions of a page to which its message is still owed."""
        message = self.messages[page[0]]
        bits = self.durable.get(page, 0)
        return [
            identifier
            for identifier in message.owed - message.excused
            if (s := self.subscribers[identifier]).protocol == page[1]
            and s.page == page[2]
            and not bits >> s.seat & 1
        ]

    def reopened(self, message_id: str, protocol: str, page: int, seats: dict[int, str]) -> None:
        """Dead letters of a page were put back."""
        place = (message_id, protocol, page)
        self.done.discard(place)
        for seat, identifier in seats.items():
            self.durable[place] &= ~(1 << seat)
            pair = (message_id, identifier)
            self.redriven[pair] = self.redriven.get(pair, 0) + 1
            self.succeeded.pop(pair, None)
