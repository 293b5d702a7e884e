"""Resource quotas hold by default, per project, with the contract's numbers and codes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import Refused
from engine.settings import Settings
from tests.api_client import Client, serving
from tests.engines import open_engine, snapshot
from tests.receiver import Receiver
from tests.servers import make_settings

ENDPOINT = "http://127.0.0.1:9/"


@pytest.fixture
async def small(
    redis_url: str, tmp_path: Path, settings: Settings
) -> AsyncIterator[tuple[Engine, Client, str]]:
    """An API whose projects have two topics of two subscriptions, and where topics are."""
    quotas: dict[str, Any] = {"quota_topics": 2, "quota_subscriptions": 2}
    async with open_engine(redis_url, tmp_path, Receiver(), **quotas) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield engine, client, f"/v2/{account.project_id}/notifications/topics"


def test_the_contracts_numbers_are_the_defaults(tmp_path: Path) -> None:
    """3,000 topics a project, 10,000 subscriptions a topic."""
    settings = make_settings(tmp_path)
    assert (settings.quota_topics, settings.quota_subscriptions) == (3000, 10_000)


async def test_one_topic_too_many_is_refused(small: tuple[Engine, Client, str]) -> None:
    """403 SMN.0004; what exists is found, nothing changes, and another project has its own."""
    engine, client, topics = small
    for name in ("one", "two"):
        assert (await client.call("POST", topics, {"name": name})).status == 201
    before = await snapshot(engine.store)
    answer = await client.call("POST", topics, {"name": "three"})
    assert (answer.status, answer.json["code"]) == (403, "SMN.0004")
    assert await snapshot(engine.store) == before
    assert (await client.call("POST", topics, {"name": "two"})).status == 200
    await engine.create_topic("three", project_id="f" * 32)


async def test_one_subscription_too_many_is_refused(small: tuple[Engine, Client, str]) -> None:
    """403 SMN.0007; those that exist are answered, and another topic has its own."""
    engine, client, topics = small
    urns = [(await engine.create_topic(name)).urn for name in ("one", "two")]
    target = f"{topics}/{urns[0]}/subscriptions"
    for number in range(2):
        body = {"protocol": "http", "endpoint": f"{ENDPOINT}{number}"}
        assert (await client.call("POST", target, body)).status == 201
    before = await snapshot(engine.store)
    body = {"protocol": "http", "endpoint": f"{ENDPOINT}more"}
    answer = await client.call("POST", target, body)
    assert (answer.status, answer.json["code"]) == (403, "SMN.0007")
    assert await snapshot(engine.store) == before
    with pytest.raises(Refused, match=r"SMN\.0007"):
        await engine.subscribe_many(urns[0], "http", [f"{ENDPOINT}more"])
    assert (await client.call("POST", f"{topics}/{urns[1]}/subscriptions", body)).status == 201
