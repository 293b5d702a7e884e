"""Mail through the whole engine: nothing is lost when a relay dies, and links do what they say."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.engines import all_ended, open_engine, working
from tests.relay import Arrival, Relay, body, relay

CONNECTIONS = 4


def tables(server: Relay) -> dict[str, dict[str, Any]]:
    """What the file says of one relay."""
    one = {"host": "127.0.0.1", "port": server.port, "tls": "none", "connections": CONNECTIONS}
    return {"smtp": {"relays": [one], "sender": "noreply@example.org", "ehlo": "worker.test"}}


async def arrived(server: Relay, count: int) -> list[Arrival]:
    """Wait for so many mails."""
    async with asyncio.timeout(20):
        while len(server.arrivals) < count:
            await asyncio.sleep(0.01)
    return server.arrivals


async def test_a_relay_that_dies_loses_nothing(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a run and started again, it has a mail for everybody.

    Twice at most for those whose mail it had taken without a word when it died.
    """
    monkeypatch.setattr("adapters._relays._BACK_OFF_S", (0.05, 0.1))
    readers = [f"reader{number}@example.com" for number in range(400)]
    async with (
        relay() as server,
        open_engine(redis_url, tmp_path, tables=tables(server), retry_delays=(0.1,) * 6) as engine,
    ):
        topic = await engine.create_topic("mails")
        await engine.subscribe_many(topic.urn, "email", readers)
        async with working(engine, "w-1"):
            await engine.publish(topic.urn, "hello", subject="mail")
            await arrived(server, 100)
            await server.stop()
            before = len(server.arrivals)
            assert before < len(readers)
            await server.start()
            await all_ended(engine)
    counts = Counter(arrival.recipient for arrival in server.arrivals)
    assert set(counts) == set(readers)
    twice = {name for name, count in counts.items() if count > 1}
    last = {arrival.recipient for arrival in server.arrivals[before - CONNECTIONS : before]}
    assert twice <= last
    assert max(counts.values()) <= 2


async def test_links_in_mails_do_what_they_say(redis_url: str, tmp_path: Path) -> None:
    """Confirm, receive, leave, come back: each step by the link of the mail before."""
    async with relay() as server, open_engine(redis_url, tmp_path, tables=tables(server)) as engine:
        topic = await engine.create_topic("mails")
        async with working(engine, "w-1"):
            subscription, _ = await engine.subscriptions.add(
                topic.urn, "email", "reader@example.com"
            )
            invitation = (await arrived(server, 1))[0].mail
            await engine.subscriptions.confirm(_parameter(invitation, "token"))
            await engine.publish(topic.urn, "磁盘已满")
            mail = (await arrived(server, 2))[1].mail
            assert body(mail, "plain").startswith("磁盘已满\n")
            await engine.subscriptions.unsubscribe(subscription.urn, _parameter(mail, "sig"))
            farewell = (await arrived(server, 3))[2].mail
            await engine.publish(topic.urn, "nobody reads this")
            await all_ended(engine)
            await engine.subscriptions.confirm(_parameter(farewell, "token"))
            await engine.publish(topic.urn, "again")
            mail = (await arrived(server, 4))[3].mail
            assert body(mail, "plain").startswith("again\n")


def _parameter(mail: EmailMessage, name: str) -> str:
    found = re.search(rf"[?&]{name}=([0-9a-f]+)", body(mail, "plain"))
    assert found is not None
    return found[1]
