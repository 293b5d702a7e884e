"""Polling policies with real processes: a gateway that calls phones, and workers that die."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huaweicloudsdksmn import v2 as smn

from engine.app import Engine
from engine.cli.attaching import attach
from engine.models import PAGE_SEATS, Subscription
from tests.engines import all_ended, open_engine
from tests.phone_gateway import PhoneGateway, phone_gateway
from tests.sdk_client import build_client
from tests.serving import run, serve

_ANSWERED, _BUSY, _NO_ANSWER = {"code": 0}, {"code": 1}, {"code": 2}
_LIVES: Final = ("settle:before@3", "settle:after@4", "settle:before@6", "settle:after@6")
_MESSAGES: Final = 12
_ROUNDS: Final = (("a", "c"), ("b", "d"), ("e", "f"))
_NAMES: Final = "abcdefg"
"""``g`` is in no round; ``a`` and ``b`` sit in another page than the others."""


def _number(name: str) -> str:
    return f"+86136{_NAMES.index(name):08}"


def _toml(table: dict[str, Any]) -> str:
    return "[adapters.voice]\n" + "".join(
        f"{name} = {_inline(value)}\n" for name, value in table.items()
    )


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_inline(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def _table(gateway: PhoneGateway) -> dict[str, Any]:
    return gateway.table | {"retry_json": {"code": 1}}


async def test_the_second_round_is_called_when_the_first_does_not_answer(tmp_path: Path) -> None:
    """Policy and message come from the official SDK; busy and not answered are one call each."""
    answers = dict(zip("abcd", (_BUSY, _NO_ANSWER, _ANSWERED, _ANSWERED), strict=True))
    by_digits = {_number(name)[1:]: answer for name, answer in answers.items()}
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(phone_gateway())

        async def ring(order: dict[str, str]) -> dict[str, int]:
            return by_digits[order["mobile"]]

        gateway.judge = ring
        (tmp_path / "tocsin.toml").write_text(_toml(_table(gateway)))
        running = await stack.enter_async_context(serve(tmp_path / "data"))
        assert running.url, running.log
        sdk = build_client(json.loads((running.data / "credentials.json").read_text()))
        given = {"data": running.data, "config": tmp_path / "tocsin.toml"}
        async with attach(given) as engine:
            topic = await engine.create_topic("alarms")
            urns = [
                (await engine.subscribe(topic.urn, "callnotify", _number(name), confirmed=True)).urn
                for name in "abcd"
            ]
            rounds = [
                smn.PollingPolicyRequest(order=order, subscription_urns=names)
                for order, names in ((1, urns[:2]), (2, urns[2:3]), (3, urns[3:]))
            ]
            policy = smn.NotifyPolicyRequestBody(protocol="callnotify", polling=rounds)
            request = smn.CreateNotifyPolicyRequest(topic.urn, policy)
            await asyncio.to_thread(sdk.create_notify_policy, request)
            body = smn.PublishMessageRequestBody(message="fire")
            publish = smn.PublishMessageRequest(topic_urn=topic.urn, body=body)
            await asyncio.to_thread(sdk.publish_message, publish)
            await all_ended(engine, pause=0.05)
            lines = await engine.delivery_log(topic.urn)
    called = [order["mobile"] for order in gateway.orders]
    assert sorted(called[:2]) == [_number(name)[1:] for name in "ab"]
    assert called[2:] == [_number("c")[1:]]
    assert Counter(line.status for line in lines) == {"FAIL_DELIVERED": 2, "DELIVERED": 1}


class Phones:
    """Rings them; each message is answered in a round of its own, or in none."""

    def __init__(self) -> None:
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self._chance = random.Random(7)

    async def ring(self, order: dict[str, str]) -> dict[str, int]:
        """One call, which takes a moment."""
        text, name = order["content"], _NAMES[int(order["mobile"][-8:])]
        call = Call(name, time.monotonic())
        self.calls[text].append(call)
        await asyncio.sleep(self._chance.uniform(0.02, 0.3))
        call.ended = time.monotonic()
        if name == answers(text):
            return _ANSWERED
        return _BUSY if name in "ace" else _NO_ANSWER


@dataclass
class Call:
    """A call, and when it ended if it did."""

    name: str
    began: float
    ended: float | None = None


def answers(text: str) -> str:
    """Who answers a message; nobody for every fourth."""
    number = int(text)
    at = number % (len(_ROUNDS) + 1)
    return _ROUNDS[at][number // 4 % 2] if at < len(_ROUNDS) else ""


async def test_rounds_survive_workers_that_die(redis_url: str, tmp_path: Path) -> None:
    """Before and after a settle: no round is skipped or called early, nobody is forgotten."""
    phones = Phones()
    texts = [str(number) for number in range(_MESSAGES)]
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(phone_gateway())
        gateway.judge = phones.ring
        (tmp_path / "tocsin.toml").write_text(_toml(_table(gateway)))
        engine = await stack.enter_async_context(
            open_engine(redis_url, tmp_path / "data", tables={"voice": _table(gateway)})
        )
        topic, urns = await _subscribe(engine)
        for text in texts:
            await engine.publish(topic, text)
        deaths = await _work(engine, tmp_path / "data", redis_url)
        lines = await engine.delivery_log(topic)
    assert deaths == len(_LIVES)
    for text in texts:
        _judge(phones.calls[text], answers(text))
    expected = Counter(
        urns[name] for text in texts for name in {call.name for call in phones.calls[text]}
    )
    assert Counter(line.subscriber_urn for line in lines) == expected, "each call has one end"
    delivered = sum(line.status == "DELIVERED" for line in lines)
    assert delivered == sum(bool(answers(text)) for text in texts)


async def _work(engine: Engine, data: Path, redis_url: str) -> int:
    """Let one worker after another die, and a last one finish; how many died."""
    deaths = 0
    for fault in (*_LIVES, ""):
        extra = {"fault_point": fault} if fault else {}
        settings = {"lease_seconds": "1", "retry_delays": "0.2,0.2", "max_claims": "100"}
        async with run("worker", data, "--redis", redis_url, **settings, **extra) as worker:
            assert worker.line.startswith("ready"), worker.log
            if not fault:
                await all_ended(engine, 90, pause=0.05)
                break
            async with asyncio.timeout(60):
                await worker.process.wait()
            assert worker.process.returncode == -signal.SIGKILL, worker.log
            deaths += 1
    return deaths


def _judge(calls: list[Call], answering: str) -> None:
    """Round by round, whatever was repeated, and none after the one in which somebody answered."""
    at = {name: order for order, names in enumerate(_ROUNDS) for name in names}
    rounds = [at[call.name] for call in calls if call.name in at]
    last = at.get(answering, len(_ROUNDS) - 1)
    assert rounds == sorted(rounds), calls
    assert {call.name for call in calls} == {name for name in _NAMES if at.get(name, 0) <= last}, (
        calls
    )
    for call in calls:
        earlier = [one for one in calls if at.get(one.name, 9) < at.get(call.name, 0)]
        assert all(one.ended is not None and one.ended <= call.began for one in earlier), calls


async def _subscribe(engine: Engine) -> tuple[str, dict[str, str]]:
    """A topic whose members sit in two pages, and their URNs."""
    topic = (await engine.create_topic("alarms")).urn

    async def add(number: str) -> Subscription:
        return await engine.subscribe(topic, "callnotify", number, confirmed=True)

    fillers = [await add(f"+86137{number:08}") for number in range(PAGE_SEATS - 2)]
    members = {name: await add(_number(name)) for name in _NAMES}
    assert [one.page for one in members.values()] == [0, 0, 1, 1, 1, 1, 1]
    for filler in fillers:
        await engine.subscriptions.delete(filler.urn)
    urns = {name: one.urn for name, one in members.items()}
    polling = [(order, [urns[name] for name in names]) for order, names in enumerate(_ROUNDS)]
    await engine.notify_policies.create(topic, "callnotify", polling)
    return topic, urns
