"""An API in front of a real engine whose every protocol is served, for tests of subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.app import Engine
from engine.policy.protocols import TABLE
from engine.testing import RecordingAdapter
from tests.api_client import Answer, Client, serving
from tests.engines import all_ended, open_engine, snapshot, working
from tests.receiver import Receiver
from tests.servers import make_settings

MISSING = "0" * 32


@dataclass
class World:
    """A running API, the engine behind it, and the topic ``demo``.

    ``call`` fills ``{project}``, ``{domain}``, ``{topic}``, ``{topics}`` and ``{subs}`` in paths.
    """

    client: Client
    engine: Engine
    receiver: Receiver
    topic: str
    recorders: dict[str, RecordingAdapter]

    @property
    def project(self) -> str:
        return self.client.account.project_id

    @property
    def domain(self) -> str:
        return self.client.account.domain_id

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        base = f"/v2/{self.project}/notifications"
        names = {
            "project": self.project,
            "domain": self.domain,
            "topic": self.topic,
            "topics": f"{base}/topics",
            "subs": f"{base}/topics/{self.topic}/subscriptions",
        }
        return await self.client.call(method, path.format(**names), body)

    async def add(self, protocol: str, endpoint: str, **more: Any) -> str:
        """Subscribe through the API; the URN."""
        body = {"protocol": protocol, "endpoint": endpoint, **more}
        answer = await self.call("POST", "{subs}", body)
        assert answer.status in {200, 201}, answer.raw
        return str(answer.json["subscription_urn"])

    async def confirmed(self, protocol: str, endpoint: str, **more: Any) -> str:
        """Subscribe as the operator; the URN."""
        found = await self.engine.subscribe(
            self.topic, protocol, endpoint, confirmed=True, extension=more
        )
        return found.urn

    async def listed(self, query: str = "") -> dict[str, Any]:
        """The topic's subscriptions by URN."""
        answer = await self.call("GET", "{subs}" + query)
        assert answer.status == 200, answer.raw
        return {one["subscription_urn"]: one for one in answer.json["subscriptions"]}

    async def deliver(self) -> None:
        """Let a worker deliver all that is there."""
        async with working(self.engine):
            await all_ended(self.engine)

    async def refused(self, method: str, path: str, body: Any, status: int, code: str) -> None:
        """The request must answer this and change nothing."""
        before = await snapshot(self.engine.store)
        answer = await self.call(method, path, body)
        case = f"{method} {path} {body!r:.100}: {answer.raw!r}"
        assert (answer.status, answer.json["code"]) == (status, code), case
        assert answer.json["error_code"] == code, case
        assert await snapshot(self.engine.store) == before, case


@asynccontextmanager
async def open_world(redis_url: str, data: Path, **options: Any) -> AsyncIterator[World]:
    """A world on an empty Valkey; protocols without an adapter are recorded."""
    receiver = Receiver()
    missing = [name for name in TABLE if name not in {"http", "https", "sms"}]
    recorders = RecordingAdapter.of(*missing)
    async with open_engine(redis_url, data, receiver, adapters=recorders, **options) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, make_settings(data), account) as (client, _):
            topic = (await engine.create_topic("demo")).urn
            by_name = dict(zip(missing, recorders, strict=True))
            yield World(client, engine, receiver, topic, by_name)
