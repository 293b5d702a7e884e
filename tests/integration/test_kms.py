"""A topic with a key: what Redis holds of it, and what becomes of it when the key goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.keyring import Keyring
from engine.keyring_file import RingKey
from engine.models import End, KmsBinding, Topic
from engine.ports import Answer
from tests.engines import Hands, all_ended, eventually, open_engine, snapshot, working
from tests.receiver import Receiver

SECRET = "the-plain-content"


@dataclass
class World:
    """A topic bound to a key, the ring as another process changes it, a subscriber."""

    engine: Engine
    receiver: Receiver
    ring: Keyring
    key: RingKey
    topic: Topic

    async def stored(self) -> str:
        """All that Redis holds, as text."""
        return repr(await snapshot(self.engine.store))

    async def publish(self) -> str:
        return await self.engine.publish(self.topic.urn, SECRET, subject=f"{SECRET}-subject")

    async def deliver(self) -> None:
        async with working(self.engine):
            await all_ended(self.engine)

    async def refused(self) -> bool:
        """Whether publishing is refused by the code for it."""
        try:
            await self.publish()
        except Refused as refused:
            return (refused.code, refused.status) == ("APIGW.0201", 400)
        return False


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, receiver: Receiver) -> AsyncIterator[World]:
    """No worker runs until a test wants one; a failure is final."""
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=()) as engine:
        ring = Keyring.open(engine.settings.data, engine.vault)
        key = ring.create("orders")
        topic = await engine.create_topic("bound")
        await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
        await engine.kms.bind(topic.urn, key.id)
        yield World(engine, receiver, ring, key, topic)


async def test_the_outbox_holds_no_text_of_a_bound_topic(world: World) -> None:
    """Whoever has the key reads it there; others, and all once it is destroyed, do not."""
    engine = world.engine
    await engine.subscribe(world.topic.urn, "sms", "+8613600000000", confirmed=True)
    await engine.subscribe(world.topic.urn, "sms", "+8613600000001")
    await world.publish()
    await world.deliver()
    assert SECRET not in await world.stored()
    assert "token" not in repr(await engine.store.call("XRANGE", engine.keys.outbox(), "-", "+"))
    invitation, sent = sorted(await engine.outbox.last(count=9), key=lambda one: -len(str(one)))
    assert sent.fields["text"] == SECRET
    assert "token=" in invitation.fields["text"]
    assert await engine.outbox.read() == await engine.outbox.last(count=9)
    world.ring.schedule_deletion(world.key.id, 0)
    await engine.keyring.fresh(at_once=True)
    assert SECRET not in repr(await engine.outbox.last(count=9))
    assert [one.endpoint for one in await engine.outbox.last(count=9)] == [
        one.endpoint for one in await engine.outbox.read()
    ]


async def test_a_topic_without_a_key_shows_its_text_in_the_outbox(world: World) -> None:
    """Also where topics with a key are delivered by the same worker."""
    engine = world.engine
    plain = await engine.create_topic("plain")
    for topic in (plain, world.topic):
        await engine.subscribe(topic.urn, "sms", "+8613600000000", confirmed=True)
        await engine.publish(topic.urn, f"{topic.name}-{SECRET}")
    await world.deliver()
    stored = await world.stored()
    assert f"plain-{SECRET}" in stored
    assert f"bound-{SECRET}" not in stored


async def test_redis_holds_no_content_of_a_bound_topic(world: World) -> None:
    """Neither waiting, nor in log and dead letters, where an endpoint repeats what it got."""
    world.receiver.behave("one", Answer(400, body=f"cannot take {SECRET}".encode()))
    await world.publish()
    assert SECRET not in await world.stored()
    await world.deliver()
    (arrived,) = world.receiver.of("one")
    assert arrived.text == SECRET
    stored = await world.stored()
    assert SECRET not in stored
    assert "cannot take" not in stored
    (letter,) = await world.engine.dead_letters(world.topic.urn)
    assert letter.answer == f"cannot take {SECRET}"
    assert await world.engine.delivery_log(world.topic.urn)


async def test_a_topic_without_a_key_is_stored_as_it_is(world: World) -> None:
    """The scan of the test above would find content."""
    other = await world.engine.create_topic("plain")
    await world.engine.subscribe(other.urn, "http", world.receiver.url("two"), confirmed=True)
    await world.engine.publish(other.urn, SECRET)
    assert SECRET in await world.stored()


async def test_invitations_and_farewells_are_encrypted(world: World) -> None:
    """Their links are as good as a password until they expire."""
    found = await world.engine.subscribe(world.topic.urn, "http", world.receiver.url("new"))
    assert "token=" not in await world.stored()
    await world.deliver()
    (invitation,) = world.receiver.of("new")
    assert "subscribe_url" in invitation.body.decode()
    # As a click on the link does.
    token = invitation.body.decode().split("token=")[1].split("&")[0]
    await world.engine.subscriptions.confirm(token)
    await world.engine.subscriptions.unsubscribe(found.urn)
    assert "token=" not in await world.stored()
    await world.deliver()
    assert "UnsubscribeConfirmation" in world.receiver.of("new")[-1].body.decode()


async def test_a_binding_takes_effect_with_the_next_message(world: World) -> None:
    """What a publisher remembers of a topic does not outlive a change of its key."""
    engine, urn = world.engine, world.topic.urn
    bound = (await engine.topics.get(urn)).kms
    assert bound is not None
    await world.publish()
    await engine.kms.unbind(urn, bound.id)
    await engine.publish(urn, "between-the-keys")
    second = world.ring.create("second")
    await engine.kms.bind(urn, second.id)
    await world.publish()
    stored = await world.stored()
    assert SECRET not in stored
    assert "between-the-keys" in stored
    assert world.key.id in stored
    assert f"sealed:1:{second.id}" in stored
    await world.deliver()
    assert [a.text for a in world.receiver.of("one")] == [SECRET, "between-the-keys", SECRET]


async def test_rebinding_does_not_touch_what_is_stored(world: World) -> None:
    """A message keeps the key that it was stored with, even when that one is disabled."""
    await world.publish()
    bound = (await world.engine.topics.get(world.topic.urn)).kms
    assert bound is not None
    second = world.ring.create("second")
    again = await world.engine.kms.rebind(world.topic.urn, bound.id, second.id)
    assert (again.id, again.key_id) == (bound.id, second.id)
    world.ring.disable(world.key.id)
    await world.engine.keyring.fresh(at_once=True)
    await world.publish()
    await world.deliver()
    assert len(world.receiver.of("one")) == 2


async def test_a_disabled_key_refuses_messages_and_delivers_older_ones(world: World) -> None:
    """Within a second of another process's change, and the other way round."""
    await world.publish()
    world.ring.disable(world.key.id)
    await eventually(world.refused, "publishing is refused", 1)
    before = await snapshot(world.engine.store)
    with pytest.raises(Refused, match="is DISABLED"):
        await world.publish()
    with pytest.raises(Refused, match="is DISABLED"):
        await world.engine.subscribe(world.topic.urn, "http", world.receiver.url("new"))
    assert await snapshot(world.engine.store) == before
    await world.deliver()
    assert world.receiver.of("one")[0].text == SECRET
    world.ring.enable(world.key.id)

    async def taken() -> bool:
        return not await world.refused()

    await eventually(taken, "publishing works again", 1)


async def test_a_subscriber_can_leave_whatever_the_key_is(world: World) -> None:
    """An unusable key keeps nobody subscribed; only the farewell is not sent."""
    world.ring.disable(world.key.id)
    await world.engine.keyring.fresh(at_once=True)
    (found,) = (await world.engine.subscriptions.list_by_topic(world.topic.urn)).items
    await world.engine.subscriptions.unsubscribe(found.urn)
    (found,) = (await world.engine.subscriptions.list_by_topic(world.topic.urn)).items
    assert found.status == 3


async def test_a_key_that_waits_for_its_deletion_still_works(world: World) -> None:
    """Messages are accepted and delivered until the date has come."""
    world.ring.schedule_deletion(world.key.id, 7)
    await world.engine.keyring.fresh(at_once=True)
    await world.publish()
    await world.deliver()
    assert world.receiver.of("one")[0].text == SECRET


@pytest.mark.parametrize("how", ["deleted", "missing"])
async def test_content_whose_key_is_gone_is_buried_with_the_reason(world: World, how: str) -> None:
    """Every delivery ends, is logged and listed; nothing is sent, nothing circles."""
    await world.publish()
    if how == "deleted":
        world.ring.schedule_deletion(world.key.id, 0)
        await world.engine.keyring.fresh(at_once=True)
    else:
        # As on a machine whose ring was never copied there.
        (world.engine.settings.data / "keyring").unlink()
        world.engine.keyring = world.engine.dead._keyring = Keyring.open(
            world.engine.settings.data, world.engine.vault
        )
    await world.deliver()
    assert world.receiver.arrivals == []
    (letter,) = await world.engine.dead_letters(world.topic.urn)
    assert letter.end is End.LOST
    assert letter.endpoint == world.receiver.url("one")
    assert world.key.id in letter.reason
    assert ("is deleted" if how == "deleted" else "not in the key ring") in letter.reason
    (line,) = await world.engine.delivery_log(world.topic.urn)
    assert (line.status, line.reason) == ("FAIL_DELIVERED", letter.reason)


async def test_a_seat_that_waits_is_buried_with_the_reason(
    redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A delivery between two tries ends like one that had none."""
    receiver.behave("one", 500)
    async with open_engine(redis_url, tmp_path, receiver, retry_delays=(0.2, 0.2)) as engine:
        ring = Keyring.open(engine.settings.data, engine.vault)
        key = ring.create("orders")
        topic = await engine.create_topic("bound")
        await engine.subscribe(topic.urn, "http", receiver.url("one"), confirmed=True)
        await engine.kms.bind(topic.urn, key.id)
        async with working(engine):
            await engine.publish(topic.urn, SECRET)
            await eventually(lambda: receiver.arrivals, "the first try")
            ring.schedule_deletion(key.id, 0)
            await engine.keyring.fresh(at_once=True)
            await all_ended(engine)
        (letter,) = await engine.dead_letters(topic.urn)
        assert (letter.end, letter.tries) == (End.LOST, 1)
        assert "is deleted" in letter.reason


async def test_a_dead_letter_is_redriven_with_its_key(world: World) -> None:
    """Later, with the topic unbound and the key disabled, it still arrives as it was."""
    world.receiver.behave("one", 500)
    await world.publish()
    await world.deliver()
    bound = (await world.engine.topics.get(world.topic.urn)).kms
    assert bound is not None
    await world.engine.kms.unbind(world.topic.urn, bound.id)
    world.ring.disable(world.key.id)
    world.receiver.behave("one", 200)
    assert await world.engine.redrive(world.topic.urn) == 1
    await world.deliver()
    assert [arrival.text for arrival in world.receiver.of("one")] == [SECRET, SECRET]
    assert await world.engine.dead_letters(world.topic.urn) == []


async def test_a_worker_learns_a_new_key_when_it_needs_it(world: World) -> None:
    """A key made a moment ago by another process is found before anything is called lost."""
    hands = Hands(world.engine, world.engine.keys.shard_of_topic(world.topic.id), "w")
    hands.intake._keyring = late = Keyring.open(world.engine.settings.data, world.engine.vault)
    new = world.ring.create("new")
    bound = (await world.engine.topics.get(world.topic.urn)).kms
    assert bound is not None
    await world.engine.kms.rebind(world.topic.urn, bound.id, new.id)
    await late.fresh(at_once=True)
    newest = world.ring.create("newest")
    await world.engine.kms.rebind(world.topic.urn, bound.id, newest.id)
    await world.publish()
    (batch,) = await hands.take()
    assert batch.message is not None
    assert batch.message.content == {"default": SECRET}


async def test_a_bindings_script_may_run_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that was lost is asked for again: the second run says what the first one did."""
    store = world.engine.store
    once = store.run

    async def twice(*args: object, **how: object) -> object:
        await once(*args, **how)  # type: ignore[arg-type]
        return await once(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "run", twice)
    kms, urn = world.engine.kms, world.topic.urn
    bound, _ = await kms.show(urn)
    await kms.unbind(urn, bound.id)
    bound = await kms.bind(urn, world.key.id)
    second = world.ring.create("second")
    await kms.rebind(urn, bound.id, second.id)
    assert (await kms.show(urn))[0].key_id == second.id


async def test_one_of_two_binders_wins(world: World) -> None:
    """A topic has one key, whoever asks at the same time."""
    topic = await world.engine.create_topic("raced")
    results = await asyncio.gather(
        *(world.engine.kms.bind(topic.urn, world.key.id) for _ in range(5)),
        return_exceptions=True,
    )
    refusals = [found.code for found in results if isinstance(found, Refused)]
    assert refusals == ["APIGW.0201"] * 4
    (bound,) = (found for found in results if isinstance(found, KmsBinding))
    assert (await world.engine.kms.show(topic.urn))[0] == bound


async def test_a_deleted_topic_takes_its_binding_along(world: World) -> None:
    """One of the same name begins without a key."""
    await world.engine.topics.delete(world.topic.urn)
    for attempt in (
        world.engine.kms.show(world.topic.urn),
        world.engine.kms.bind(world.topic.urn, world.key.id),
    ):
        with pytest.raises(Refused, match=r"SMN\.0006"):
            await attempt
    again = await world.engine.create_topic("bound")
    assert again.kms is None
    assert again.urn == world.topic.urn
