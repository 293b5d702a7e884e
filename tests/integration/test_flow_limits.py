"""Message flow control: off it costs nothing, on it refuses and ends what is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import Refused, StoreUnavailable
from engine.models import Delivered, End, Limits, Outcome, Rate, Retry, Topic
from engine.settings import Settings
from engine.store import limiter
from engine.testing import RecordingAdapter, Sent
from tests.api_client import serving
from tests.engines import all_ended, names_of_keys, open_engine, snapshot, working
from tests.receiver import Receiver

OTHER_PROJECT = "f" * 32

_PREFIX = "+8613600000"


def phone(digits: str) -> str:
    """A number that ends like this."""
    return f"{_PREFIX}{digits}"


class World:
    """An engine with limits, and adapters for short messages and mail."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sms = RecordingAdapter("sms")
        self.email = RecordingAdapter("email")
        engine.adapters |= {"sms": self.sms, "email": self.email}

    async def topic(
        self, name: str, *endpoints: str, protocol: str = "sms", project_id: str | None = None
    ) -> Topic:
        """A topic with these subscribers."""
        topic = await self.engine.create_topic(name, project_id=project_id)
        wanted = [phone(one) for one in endpoints] if protocol == "sms" else endpoints
        await self.engine.subscribe_many(topic.urn, protocol, wanted)
        return topic

    async def publish(self, topic: Topic, count: int = 1) -> None:
        """Publish and deliver."""
        for number in range(count):
            await self.engine.publish(topic.urn, f"number {number}")
        async with working(self.engine):
            await all_ended(self.engine)

    def numbers(self) -> list[str]:
        """Where short messages went: the numbers' last digits."""
        return [sent.subscription.endpoint.removeprefix(_PREFIX) for sent in self.sms.sent]


@asynccontextmanager
async def limited(url: str, data: Path, **limits: Any) -> AsyncIterator[World]:
    """A world in which these limits hold."""
    async with open_engine(url, data, Receiver(), **limits) as engine:
        yield World(engine)


async def test_off_costs_nothing(redis_url: str, tmp_path: Path) -> None:
    """Without limits nothing is built, asked or stored for them."""
    async with limited(redis_url, tmp_path) as world:
        assert world.engine.flow is None
        topic = await world.topic("free", "1", "2")
        await world.publish(topic, 5)
        assert len(world.sms.sent) == 10
        assert not any(":limit:" in name for name in await names_of_keys(world.engine.store))


async def test_a_topic_takes_so_many_messages_a_minute(redis_url: str, tmp_path: Path) -> None:
    """One more is refused with the time to come back, and is not stored; others are not hit."""
    async with limited(redis_url, tmp_path, flow_topic_publish=3) as world:
        topic, other = await world.topic("busy", "1"), await world.topic("calm", "1")
        for _ in range(3):
            await world.engine.publish(topic.urn, "hello")
        before = await snapshot(world.engine.store)
        with pytest.raises(Refused) as caught:
            await world.engine.publish(topic.urn, "hello")
        assert (caught.value.code, caught.value.status) == ("APIGW.0308", 429)
        assert 55 <= (caught.value.retry_after or 0) <= 60
        assert await snapshot(world.engine.store) == before
        await world.engine.publish(other.urn, "hello")


async def test_bad_messages_do_not_count(redis_url: str, tmp_path: Path) -> None:
    """What is refused for another reason takes nothing from the rate."""
    async with limited(redis_url, tmp_path, flow_topic_publish=1) as world:
        topic = await world.topic("busy", "1")
        for text in ("", "x" * 300_000):
            with pytest.raises(Refused, match=r"SMN\.0009"):
                await world.engine.publish(topic.urn, text)
        # A changed topic is read again, and counts once all the same.
        await world.engine.topics.update(topic.urn, display_name="new")
        await world.engine.publish(topic.urn, "hello")


async def test_a_refused_publish_says_when_to_come_back(
    redis_url: str, tmp_path: Path, settings: Settings
) -> None:
    """Over HTTP: 429 with Retry-After."""
    async with limited(redis_url, tmp_path, flow_topic_publish=1) as world:
        account = await world.engine.accounts.bootstrap()
        topic = await world.topic("busy")
        async with serving(world.engine, settings, account) as (client, _):
            target = f"/v2/{account.project_id}/notifications/topics/{topic.urn}/publish"
            statuses = [
                (await client.call("POST", target, {"message": "hello"})).status for _ in range(2)
            ]
            answer = await client.call("POST", target, {"message": "hello"})
        assert statuses == [200, 429]
        assert answer.json["code"] == "APIGW.0308"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_what_is_over_a_limit_ends_without_an_attempt(redis_url: str, tmp_path: Path) -> None:
    """Logged as REJECTED with the limit, counted, and kept as a dead letter."""
    async with limited(redis_url, tmp_path, flow_topic_sms=3) as world:
        topic = await world.topic("busy", "1", "2")
        await world.publish(topic, 2)
        assert len(world.sms.sent) == 3
        lines = await world.engine.delivery_log(topic.urn)
        assert sorted(line.status for line in lines) == ["DELIVERED"] * 3 + ["REJECTED"]
        (refused,) = (line for line in lines if line.status == "REJECTED")
        assert refused.reason == "over the limit of 3 in 600 s for one topic"
        (letter,) = await world.engine.dead_letters(topic.urn)
        assert (letter.end, letter.tries) == (End.LIMITED, 0)
        counters = await world.engine.counters(topic.urn)
        assert counters["sms", "attempted"] == 3
        assert counters["sms", "limited"] == 1


async def test_a_limit_of_a_topic_is_its_own(redis_url: str, tmp_path: Path) -> None:
    """Another topic, another protocol: neither is hit."""
    async with limited(redis_url, tmp_path, flow_topic_sms=1) as world:
        topic, other = await world.topic("busy", "1"), await world.topic("calm", "1")
        await world.engine.subscribe_many(topic.urn, "email", ["a@example.com"])
        await world.publish(topic, 3)
        await world.publish(other)
        assert (len(world.sms.sent), len(world.email.sent)) == (2, 3)


async def test_direct_texts_have_no_topics_limit(redis_url: str, tmp_path: Path) -> None:
    """Those of a number and of a project hold; what is over them shows in the log of their home."""
    limits = {"flow_topic_sms": 1, "flow_endpoint_sms": 2, "flow_project_sms": 4}
    async with limited(redis_url, tmp_path, **limits) as world:
        engine = world.engine
        project_id = (await engine.accounts.bootstrap()).project_id
        for digits in ("1", "1", "1", "2", "3", "4"):
            await engine.sms.send(project_id, phone(digits), "hello")
            async with working(engine):
                await all_ended(engine)
        assert world.numbers() == ["1", "1", "2", "3"]
        lines = await engine.delivery_log(f"urn:smn:region01:{project_id}:sms:direct")
        assert [line.reason for line in lines if line.status == "REJECTED"] == [
            "over the limit of 2 in 600 s for one endpoint",
            "over the limit of 4 in 600 s for one project",
        ]


async def test_a_number_is_limited_across_topics(redis_url: str, tmp_path: Path) -> None:
    """Per project and number: other numbers, and another project, go on."""
    async with limited(redis_url, tmp_path, flow_endpoint_sms=2) as world:
        one, two = await world.topic("one", "1", "2"), await world.topic("two", "1")
        await world.publish(one)
        await world.publish(two, 3)
        assert sorted(world.numbers()) == ["1", "1", "2"]
        foreign = await world.topic("one", "1", project_id=OTHER_PROJECT)
        await world.publish(foreign)
        assert len(world.sms.sent) == 4
        (line, *_) = (
            line for line in await world.engine.delivery_log(two.urn) if line.status == "REJECTED"
        )
        assert line.reason == "over the limit of 2 in 600 s for one endpoint"


async def test_a_project_is_limited_across_topics(redis_url: str, tmp_path: Path) -> None:
    """All mail of an account counts together."""
    async with limited(redis_url, tmp_path, flow_project_email=3) as world:
        topics = [
            await world.topic(name, "a@example.com", "b@example.com", protocol="email")
            for name in ("one", "two")
        ]
        for topic in topics:
            await world.publish(topic)
        assert len(world.email.sent) == 3


async def test_what_one_limit_refuses_takes_nothing_from_another(
    redis_url: str, tmp_path: Path
) -> None:
    """A number that is full does not use up its topic's or project's share."""
    limits = {"flow_endpoint_sms": 1, "flow_topic_sms": 3, "flow_project_sms": 4}
    async with limited(redis_url, tmp_path, **limits) as world:
        topic = await world.topic("busy", "1")
        await world.publish(topic, 5)
        assert world.numbers() == ["1"]
        await world.engine.subscribe_many(topic.urn, "sms", [phone(one) for one in "234"])
        await world.publish(topic)
        # Two more fit into the topic's share; the third keeps its own number's.
        assert len(world.numbers()) == 3
        (left,) = {"2", "3", "4"} - set(world.numbers())
        other = await world.topic("calm", left)
        await world.publish(other)
        assert world.numbers()[-1] == left
        await world.publish(await world.topic("third", "9"))
        assert "9" not in world.numbers()


async def test_workers_share_the_limits(redis_url: str, tmp_path: Path) -> None:
    """However many deliver at once, no more goes out than is allowed."""
    async with limited(redis_url, tmp_path, flow_project_sms=25) as world:
        topics = [
            await world.topic(f"topic-{number}", *(f"{number}{n}" for n in range(10)))
            for number in range(6)
        ]
        async with working(world.engine, "w-1"), working(world.engine, "w-2"):
            await asyncio.gather(*(world.engine.publish(topic.urn, "hello") for topic in topics))
            await all_ended(world.engine)
        assert len(world.sms.sent) == 25
        assert len(await world.engine.dead_letters()) == 35


async def test_a_batch_asks_once_a_shard(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 numbers take a call a shard; their topic and their project one each."""
    async with limited(redis_url, tmp_path, flow_limits="smn", flow_topic_sms=256) as world:
        topic = await world.topic("wide", *(str(number) for number in range(256)))
        run, modes = world.engine.store.run, []

        async def noted(script: Any, keys: Any, args: Any, **how: Any) -> Any:
            if script is limiter._LIMITER:
                modes.append(args[0])
            return await run(script, keys, args, **how)

        monkeypatch.setattr(world.engine.store, "run", noted)
        await world.publish(topic)
        assert len(world.sms.sent) == 256
        assert modes.count("grant") <= world.engine.keys.shards + 2
        assert "give" not in modes


async def test_a_delivery_counts_once(redis_url: str, tmp_path: Path) -> None:
    """Further tries and a redrive take nothing: the message is the same."""
    async with limited(redis_url, tmp_path, flow_topic_sms=1) as world:
        answers: list[Outcome] = [Retry("busy"), Retry("busy"), Delivered()]

        def judge(_: Sent) -> Outcome:
            return answers.pop(0)

        world.sms._judge = judge
        topic = await world.topic("busy", "1")
        await world.publish(topic)
        assert len(world.sms.sent) == 3
        world.sms._judge = None
        await world.publish(topic)
        assert len(world.sms.sent) == 3
        assert await world.engine.redrive(topic.urn) == 1
        async with working(world.engine):
            await all_ended(world.engine)
        assert len(world.sms.sent) == 4


async def test_invitations_have_a_control_of_their_own(redis_url: str, tmp_path: Path) -> None:
    """A topic over its limit still invites subscribers."""
    async with limited(redis_url, tmp_path, flow_topic_sms=1) as world:
        topic = await world.topic("busy", "1")
        await world.publish(topic, 2)
        world.sms.limits = Limits(confirm=True)
        await world.engine.subscribe(topic.urn, "sms", phone("2"))
        async with working(world.engine):
            await all_ended(world.engine)
        assert world.numbers() == ["1", "2"]


async def test_what_has_expired_does_not_count(redis_url: str, tmp_path: Path) -> None:
    """A message that is too late for an attempt uses up nobody's share."""
    async with limited(redis_url, tmp_path, flow_topic_sms=1) as world:
        topic = await world.topic("busy", "1")
        await world.engine.publish(topic.urn, "late", ttl=1)
        await asyncio.sleep(1.05)
        await world.publish(topic)
        assert len(world.sms.sent) == 1
        lines = await world.engine.delivery_log(topic.urn)
        assert sorted(line.status for line in lines) == ["DELIVERED", "FAIL_DELIVERED"]


async def test_a_rate_holds_beside_the_limits(redis_url: str, tmp_path: Path) -> None:
    """What a limit lets through still waits for its endpoint's rate."""
    async with limited(redis_url, tmp_path, flow_topic_sms=3) as world:
        world.sms.limits = Limits(confirm=False, rates=(Rate(1, 0.08, 0.02),))
        topic = await world.topic("busy", "1")
        began = asyncio.get_running_loop().time()
        await world.publish(topic, 5)
        assert len(world.sms.sent) == 3
        assert asyncio.get_running_loop().time() - began >= 0.15


async def test_a_limiter_that_fails_loses_nothing(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries wait for it, and go when they come due."""
    monkeypatch.setattr("engine.pipeline.limits._LATER_MS", 50)
    async with limited(redis_url, tmp_path, flow_topic_sms=1) as world:
        topic = await world.topic("busy", "1", "2")

        async def fail(*_: object) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(world.engine.limiter, "grant", fail)
        await world.publish(topic)
        assert sorted(world.numbers()) == ["1", "2"]


async def test_a_refund_that_fails_refuses_all_the_same(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is over a limit is not sent because giving back failed."""
    async with limited(redis_url, tmp_path, flow_topic_sms=1, flow_endpoint_sms=1) as world:
        topic = await world.topic("busy", "1", "2")

        async def fail(*_: object) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(world.engine.limiter, "give_back", fail)
        await world.publish(topic)
        assert len(world.numbers()) == 1
