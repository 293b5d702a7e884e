"""Subscriptions: invited, confirmed, cancelled and made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.app import Engine
from engine.control.subscriptions import Request
from engine.errors import Refused
from engine.models import Status, Topic
from tests.engines import all_ended, open_engine, snapshot, working
from tests.receiver import Receiver


@pytest.fixture
async def topic(engine: Engine) -> Topic:
    """An empty topic."""
    return await engine.create_topic("news")


def _link(receiver: Receiver, name: str, field: str = "subscribe_url") -> dict[str, str]:
    """The parameters of the link in the last message that an endpoint got."""
    link = json.loads(receiver.of(name)[-1].body)[field]
    return {key: values[0] for key, values in parse_qs(urlsplit(link).query).items()}


async def _run(engine: Engine) -> None:
    async with working(engine):
        await all_ended(engine)


async def test_a_subscriber_is_invited_and_confirms(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """Until the link is used it receives nothing but the invitation; from then on all."""
    subscription, new = await engine.subscriptions.add(topic.urn, "http", receiver.url("one"))
    assert (new, subscription.status) == (True, Status.UNCONFIRMED)
    early = await engine.publish(topic.urn, "too early")
    await _run(engine)
    (invitation,) = receiver.of("one")
    assert json.loads(invitation.body)["type"] == "SubscriptionConfirmation"
    token = _link(receiver, "one")["token"]
    _, confirmed = await engine.subscriptions.confirm(token, topic.urn)
    assert confirmed.id == subscription.id
    late = await engine.publish(topic.urn, "in time")
    await _run(engine)
    assert receiver.names(early) == []
    assert receiver.names(late) == ["one"]


async def test_confirming_twice_is_fine(engine: Engine, topic: Topic, receiver: Receiver) -> None:
    """A link may be opened again; it says the same."""
    await engine.subscribe(topic.urn, "http", receiver.url("one"))
    await _run(engine)
    token = _link(receiver, "one")["token"]
    _, first = await engine.subscriptions.confirm(token)
    _, again = await engine.subscriptions.confirm(token)
    assert again.id == first.id


async def test_a_link_dies_with_its_subscription(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """A token for one that is gone, of another topic or endpoint, or changed, is SMN.0022."""
    subscription = await engine.subscribe(topic.urn, "http", receiver.url("one"))
    other = await engine.create_topic("other")
    await _run(engine)
    token = _link(receiver, "one")["token"]
    for bad, urn in ((token, other.urn), (token[:-4] + "AAAA", None), ("", None)):
        with pytest.raises(Refused, match=r"SMN\.0022"):
            await engine.subscriptions.confirm(bad, urn)
    with pytest.raises(Refused, match=r"SMN\.0022"):
        await engine.subscriptions.confirm(token, topic.urn, receiver.url("two"))
    await engine.subscriptions.delete(subscription.urn)
    with pytest.raises(Refused, match=r"SMN\.0022"):
        await engine.subscriptions.confirm(token)


async def test_an_expired_link_is_good_for_who_has_confirmed(engine: Engine, topic: Topic) -> None:
    """It tells which subscription it is and confirms nothing; once left it is worth nothing."""
    found = await engine.subscribe(topic.urn, "http", "http://127.0.0.1:9/", confirmed=True)
    token = engine.links.token(topic.id, found.id, engine.clock.now_ms() - 1)
    _, used = await engine.subscriptions.of_token(token, used=True)
    assert used.urn == found.urn
    before = await snapshot(engine.store)
    with pytest.raises(Refused, match="expired"):
        await engine.subscriptions.confirm(token)
    assert await snapshot(engine.store) == before
    await engine.subscriptions.unsubscribe(found.urn)
    with pytest.raises(Refused, match="expired"):
        await engine.subscriptions.of_token(token, used=True)


async def test_asking_again_invites_again(engine: Engine, topic: Topic, receiver: Receiver) -> None:
    """The same endpoint is the same subscription; while unconfirmed it is invited anew."""
    first, new = await engine.subscriptions.add(topic.urn, "http", receiver.url("one"))
    again, new_again = await engine.subscriptions.add(topic.urn, "http", receiver.url("one"))
    assert (first.id, new, new_again) == (again.id, True, False)
    await _run(engine)
    assert len(receiver.of("one")) == 2
    await engine.subscriptions.confirm(_link(receiver, "one")["token"])
    await engine.subscriptions.add(topic.urn, "http", receiver.url("one"))
    await _run(engine)
    assert len(receiver.of("one")) == 2


def _invitations(engine: Engine, account: str, endpoint: str) -> str:
    """The key that counts an account's invitations to an HTTP endpoint."""
    digest = engine.limiter._digest("confirmation", f"{account}\nhttp\n{endpoint}")
    (name,) = engine.limiter._names(digest, 1)
    return name


async def test_invitations_are_limited(engine: Engine, topic: Topic, receiver: Receiver) -> None:
    """Past the flow limit an endpoint is not invited for the account; confirming resets it."""
    (window,) = engine.adapters["http"].limits.confirmations
    account = (await engine.accounts.bootstrap()).domain_id
    name = _invitations(engine, account, receiver.url("one"))
    await engine.subscribe(topic.urn, "http", receiver.url("one"))
    assert await engine.store.call("HGET", name, "count") == b"1"
    await engine.store.call("HSET", name, "count", window.count)
    await engine.subscribe(topic.urn, "http", receiver.url("one"))
    await _run(engine)
    assert len(receiver.of("one")) == 1
    await engine.subscriptions.confirm(_link(receiver, "one")["token"])
    assert await engine.store.call("EXISTS", name) == 0


async def test_an_account_silences_no_other_ones_invitations(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """An endpoint that one account has invited too often is invited by another, in its count."""
    (window,) = engine.adapters["http"].limits.confirmations
    account = (await engine.accounts.bootstrap()).domain_id
    await engine.subscribe(topic.urn, "http", receiver.url("one"))
    name = _invitations(engine, account, receiver.url("one"))
    await engine.store.call("HSET", name, "count", window.count)
    acme = await engine.directory.create_domain("acme", password="correct horse")
    other = await engine.create_topic("news", project_id=acme.project.id)
    await engine.subscribe(other.urn, "http", receiver.url("one"))
    await engine.subscription_users.create(
        acme.domain.id, "someone", (), [Request("http", receiver.url("one"))]
    )
    await _run(engine)
    assert len(receiver.of("one")) == 3
    name = _invitations(engine, acme.domain.id, receiver.url("one"))
    assert await engine.store.call("HGET", name, "count") == b"2"


async def test_who_cancels_by_link_is_told_and_can_return(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """Cancelled it receives the farewell and no message; its link subscribes it again."""
    await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    await engine.publish(topic.urn, "first")
    await _run(engine)
    link = _link(receiver, "one", "unsubscribe_url")
    await engine.subscriptions.unsubscribe(link["subscription_urn"], link["sig"])
    missed = await engine.publish(topic.urn, "missed")
    await _run(engine)
    assert json.loads(receiver.of("one")[-1].body)["type"] == "UnsubscribeConfirmation"
    assert receiver.names(missed) == []
    await engine.subscriptions.confirm(_link(receiver, "one")["token"])
    back = await engine.publish(topic.urn, "back again")
    await _run(engine)
    assert receiver.names(missed) == []
    assert receiver.names(back) == ["one"]


async def test_a_wrong_signature_cancels_nothing(
    engine: Engine, topic: Topic, receiver: Receiver
) -> None:
    """403 SMN.0001; the contract's bare URN works while that is allowed."""
    subscription = await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
    before = await snapshot(engine.store)
    with pytest.raises(Refused) as refused:
        await engine.subscriptions.unsubscribe(subscription.urn, "0" * 64)
    assert (refused.value.code, refused.value.status) == ("SMN.0001", 403)
    assert await snapshot(engine.store) == before
    await engine.subscriptions.unsubscribe(subscription.urn)


async def test_bare_links_can_be_forbidden(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """With the setting off only signed links cancel."""
    async with open_engine(redis_url, tmp_path, receiver, unsubscribe_bare_urn=False) as engine:
        topic = await engine.create_topic("news")
        found = await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
        with pytest.raises(Refused, match=r"SMN\.0001"):
            await engine.subscriptions.unsubscribe(found.urn)
        await engine.subscriptions.unsubscribe(found.urn, engine.links.sig(found.urn))


async def test_a_deleted_subscription_is_unknown(engine: Engine, topic: Topic) -> None:
    """SMN.0013 from then on; a malformed URN is SMN.0014."""
    found = await engine.subscribe(topic.urn, "http", "http://127.0.0.1:9/", confirmed=True)
    await engine.subscriptions.delete(found.urn)
    with pytest.raises(Refused, match=r"SMN\.0013"):
        await engine.subscriptions.delete(found.urn)
    with pytest.raises(Refused, match=r"SMN\.0014"):
        await engine.subscriptions.delete("urn:smn:nonsense")


@pytest.mark.parametrize(
    ("protocol", "endpoint", "remark", "code"),
    [
        ("pigeon", "http://127.0.0.1:9/", "", "SMN.0011"),
        ("http", "https://127.0.0.1:9/", "", "SMN.0012"),
        ("http", "http://10.0.0.1/", "", "SMN.0069"),
        ("http", "http://127.0.0.1:9/", "x" * 129, "SMN.0017"),
        ("http", "http://127.0.0.1:9/", "two\nlines", "SMN.0017"),
        ("http", "http://127.0.0.1:9/", "\ud800", "SMN.0017"),
    ],
)
async def test_a_bad_subscription_changes_nothing(
    engine: Engine, topic: Topic, protocol: str, endpoint: str, remark: str, code: str
) -> None:
    """Each fault has the contract's code."""
    before = await snapshot(engine.store)
    with pytest.raises(Refused) as refused:
        await engine.subscriptions.add(topic.urn, protocol, endpoint, remark=remark)
    assert refused.value.code == code
    assert await snapshot(engine.store) == before


async def test_the_quota_is_refused_by_its_code(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """SMN.0007 for one more than a topic may have."""
    async with open_engine(redis_url, tmp_path, receiver, quota_subscriptions=2) as engine:
        topic = await engine.create_topic("small")
        assert await engine.subscribe_many(topic.urn, "http", receiver.urls("e", 2)) == 2
        with pytest.raises(Refused, match=r"SMN\.0007"):
            await engine.subscribe(topic.urn, "http", receiver.url("more"), confirmed=True)


async def test_a_project_lists_all_its_subscriptions(engine: Engine, receiver: Receiver) -> None:
    """Of all topics, oldest first, in stable pages; what is deleted is gone from it."""
    project_id = (await engine.accounts.bootstrap()).project_id
    made = []
    for number in range(10):
        topic = await engine.create_topic(f"topic-{number % 3}")
        made.append(
            await engine.subscribe(topic.urn, "http", receiver.url(f"e{number}"), confirmed=True)
        )
    listing = await engine.subscriptions.list(project_id, limit=100)
    assert (listing.total, {s.id for s in listing.items}) == (10, {s.id for s in made})
    pages = [await engine.subscriptions.list(project_id, offset=o, limit=4) for o in (0, 4, 8)]
    assert [s for page in pages for s in page.items] == list(listing.items)
    assert [s.created_ms for s in listing.items] == sorted(s.created_ms for s in made)
    await engine.subscriptions.delete(made[4].urn)
    await engine.topics.delete(made[0].topic_urn)
    left = await engine.subscriptions.list(project_id)
    assert {s.endpoint for s in left.items} == {
        receiver.url(f"e{number}") for number in range(10) if number % 3 and number != 4
    }


async def test_a_page_over_many_topics_takes_few_round_trips(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many topics its subscriptions belong to: a few for each shard."""
    project_id = (await engine.accounts.bootstrap()).project_id
    for number in range(40):
        topic = await engine.create_topic(f"topic-{number}")
        await engine.subscribe(topic.urn, "sms", "13600000000", confirmed=True)
    exchanges, call_many = 0, engine.store.call_many

    async def counted(*args: Any, **how: Any) -> Any:
        nonlocal exchanges
        exchanges += 1
        return await call_many(*args, **how)

    monkeypatch.setattr(engine.store, "call_many", counted)
    listing = await engine.subscriptions.list(project_id)
    assert (listing.total, len(listing.items)) == (40, 40)
    assert exchanges <= 1 + 3 * engine.keys.shards
