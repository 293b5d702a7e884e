"""Which subscriptions a list shows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.models import Status, Subscription, SubscriptionCard
from engine.policy.subscription_query import SubscriptionColumns, SubscriptionQuery

TEXTS = st.text("aAbB:/", max_size=4)
PROTOCOLS = st.sampled_from(["http", "sms"])
TOPICS = st.sampled_from(["t", "u"])
QUERIES = st.builds(
    SubscriptionQuery,
    protocol=st.none() | PROTOCOLS,
    status=st.none() | st.integers(0, 4),
    endpoint=st.none() | TEXTS,
    remark=st.none() | TEXTS.map(str.lower),
    topics=st.none() | st.sets(TOPICS),
)


@given(QUERIES, TOPICS, PROTOCOLS, st.lists(st.tuples(st.sampled_from(Status), TEXTS, TEXTS)))
def test_cards_are_narrowed_to_what_is_found(
    query: SubscriptionQuery, topic: str, protocol: str, seats: list[tuple[Status, str, str]]
) -> None:
    """Whether they are looked at as they are kept, or one by one as they are read."""
    cards, found = [], []
    for number, (status, endpoint, remark) in enumerate(seats):
        card = SubscriptionCard(
            *(f"{number:02}", topic, str(number), protocol, 0, number, status, endpoint),
            remark.lower(),
        )
        one = Subscription(
            *(str(number), topic, "urn", protocol, endpoint, status, 0, number), remark=remark
        )
        cards.append(card)
        if query.finds(one):
            found.append(card)
    kept = SubscriptionColumns.of(cards)
    assert [cards[at] for at in query.among(kept)] == found


def test_every_part_of_a_query_counts() -> None:
    """All that is asked for has to be so; a remark whatever its case."""
    one = Subscription("1", "t", "urn", "http", "http://a/b", Status.CONFIRMED, 0, 0, remark="Ops")
    fitting: dict[str, Any] = {
        "protocol": "http",
        "status": 1,
        "endpoint": "a/b",
        "remark": "op",
        "topics": {"t"},
    }
    assert SubscriptionQuery().finds(one)
    assert SubscriptionQuery(**fitting).finds(one)
    others: dict[str, Any] = {
        "protocol": "https",
        "status": 2,
        "endpoint": "c",
        "remark": "x",
        "topics": set(),
    }
    for name, value in others.items():
        assert not SubscriptionQuery(**fitting | {name: value}).finds(one)


CARDS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(Status)), unique_by=lambda one: one[0]
).map(lambda seats: [_card(order, status) for order, status in sorted(seats)])


def _card(order: int, status: Status) -> SubscriptionCard:
    return SubscriptionCard(f"{order:02}", "t", str(order), "http", 0, order, status, "e", "r")


@given(CARDS, CARDS, st.sets(st.integers(0, 30)), QUERIES)
def test_columns_are_renewed_as_if_made_anew(
    before: list[SubscriptionCard],
    after: list[SubscriptionCard],
    changing: set[int],
    query: SubscriptionQuery,
) -> None:
    """Whatever of the cards comes, goes, changes or stays; and so are the answers kept of them."""
    old = [card for card in before if card.seat in changing]
    new = [card for card in after if card.seat in changing]
    rest = [card for card in before if card.seat not in changing]
    columns = SubscriptionColumns.of(before)
    query.among(columns)
    columns.replace(old, new)
    anew = SubscriptionColumns.of(sorted(rest + new))
    assert columns == anew
    assert list(query.among(columns)) == list(query.among(anew))


def test_answers_to_the_latest_queries_are_kept() -> None:
    """Until a card comes or goes; of one that changes it is seen whether it still belongs."""
    cards = [_card(order, Status.CONFIRMED) for order in range(3)]
    columns = SubscriptionColumns.of(cards)
    confirmed = SubscriptionQuery(status=1)
    answer = confirmed.among(columns)
    columns.replace([cards[1]], [_card(1, Status.CANCELLED)])
    assert confirmed.among(columns) is answer
    assert answer == [0, 2]
    columns.replace([cards[2]], [])
    assert confirmed.among(columns) == [0]
    for status in (0, 2, 3, 4):
        SubscriptionQuery(status=status).among(columns)
    assert confirmed not in columns.answers
