"""What clients of the API see while the database cannot be reached."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.settings import Settings
from tests.api_client import Client, serving
from tests.engines import open_engine
from tests.receiver import Receiver
from tests.servers import RedisServer, valkey_binary

TOPICS = "/v2/{}/notifications/topics"
PATIENCE_S = 2.5
"""Two seconds, as promised, and what a busy machine adds."""


@pytest.fixture
def database() -> Iterator[RedisServer]:
    """A database of the test's own, to be mistreated."""
    server = RedisServer(valkey_binary()).start()
    yield server
    server.close()


@pytest.fixture
async def client(
    database: RedisServer, tmp_path: Path, settings: Settings
) -> AsyncIterator[Client]:
    """A client of an API on that database."""
    async with open_engine(database.url, tmp_path, Receiver()) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield client


@pytest.mark.parametrize("trouble", [signal.SIGKILL, signal.SIGSTOP])
async def test_an_unreachable_database_is_a_500_within_two_seconds(
    database: RedisServer, client: Client, trouble: signal.Signals
) -> None:
    """Dead or silent, and while authenticating as well as afterwards; health knows why."""
    topics = TOPICS.format(client.account.project_id)
    assert (await client.call("POST", topics, {"name": "demo"})).status == 201
    os.kill(database.pid, trouble)
    try:
        for _ in range(3):
            started = time.monotonic()
            answer = await client.call("GET", topics)
            assert (answer.status, answer.json["code"]) == (500, "SMN.0016")
            assert time.monotonic() - started < PATIENCE_S
        answer = await client.call("GET", "/readyz", sign=False)
        assert (answer.status, answer.json["reason"]) == (503, "Redis does not answer.")
        assert (await client.call("GET", "/healthz", sign=False)).status == 200
    finally:
        if trouble is signal.SIGSTOP:
            os.kill(database.pid, signal.SIGCONT)


async def test_the_api_recovers_with_its_database(database: RedisServer, client: Client) -> None:
    """No restart is needed after a database came back."""
    topics = TOPICS.format(client.account.project_id)
    assert (await client.call("POST", topics, {"name": "demo"})).status == 201
    database.kill()
    assert (await client.call("GET", topics)).status == 500
    database.start()
    deadline = time.monotonic() + 10
    while (answer := await client.call("GET", topics)).status != 200:
        assert time.monotonic() < deadline
    assert answer.json["topic_count"] == 1


async def test_a_full_database_refuses_with_a_time_to_come_back(
    database: RedisServer, client: Client
) -> None:
    """Out of memory is a 429 that says when to try again; deleting still works."""
    topics = TOPICS.format(client.account.project_id)
    urn = (await client.call("POST", topics, {"name": "demo"})).json["topic_urn"]
    with database.client as direct:
        direct.config_set("maxmemory-policy", "noeviction")
        direct.config_set("maxmemory", "1mb")
        refused = await client.call("POST", topics, {"name": "other"})
        assert (refused.status, refused.json["code"]) == (429, "APIGW.0308")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await client.call("GET", f"{topics}/{urn}")).status == 200
