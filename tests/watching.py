"""A real engine behind the real server, for tests of what it tells about itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from engine.app import Engine
from engine.settings import Settings
from tests.api_client import Answer, Client, serving
from tests.engines import all_ended, open_engine, working
from tests.receiver import Receiver


@dataclass
class Watched:
    """A running API; no worker runs unless a test delivers."""

    engine: Engine
    client: Client
    receiver: Receiver

    @property
    def project(self) -> str:
        return self.client.account.project_id

    async def call(self, method: str, target: str, body: Any = None, **options: Any) -> Answer:
        """A signed request; ``{p}`` in the target is the project, ``{base}`` its resources."""
        base = f"/v2/{self.project}/notifications"
        target = target.replace("{base}", base).replace("{p}", self.project)
        return await self.client.call(method, target, body, **options)

    async def get(self, target: str, **query: Any) -> dict[str, Any]:
        """The JSON of a GET that must succeed."""
        answer = await self.call("GET", f"{target}?{urlencode(query)}" if query else target)
        assert answer.status == 200, answer.raw
        return answer.json

    async def deliver(self, topic: str, *endpoints: tuple[str, str], message: str = "hi") -> None:
        """Publish to new confirmed subscriptions (protocol, endpoint); wait for the end."""
        for protocol, endpoint in endpoints:
            await self.engine.subscribe(topic, protocol, endpoint, confirmed=True)
        async with working(self.engine):
            await self.engine.publish(topic, message)
            await all_ended(self.engine)


@asynccontextmanager
async def watching(
    url: str, data: Path, settings: Settings, **options: Any
) -> AsyncIterator[Watched]:
    """An engine on the Redis at ``url``; ``options`` are its settings."""
    receiver = Receiver()
    async with open_engine(url, data, receiver, **options) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield Watched(engine, client, receiver)
