"""An API whose engine offers applications; what devices would get is recorded."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.app import Engine
from engine.models import Limits
from engine.ports import Devices
from engine.settings import Settings
from engine.testing import RecordingAdapter
from tests.api_client import Answer, Client, serving
from tests.engines import open_engine, snapshot

MISSING = "0" * 32
HMS = {
    "name": "shop",
    "platform": "HMS",
    "platform_principal": "100200300",
    "platform_credential": "c" * 32,
}
APNS = {
    "name": "shop",
    "platform": "APNS",
    "platform_principal": base64.b64encode(b"certificate").decode(),
    "platform_credential": base64.b64encode(b"key").decode(),
}


@dataclass
class World:
    """A running API; ``push`` is what mobile platforms would get."""

    engine: Engine
    client: Client
    push: RecordingAdapter

    @property
    def devices(self) -> Devices:
        """What adapters are lent."""
        return self.engine.device_finder

    @property
    def project(self) -> str:
        return self.client.account.project_id

    async def call(self, method: str, tail: str, body: Any = None) -> Answer:
        target = f"/v2/{self.project}/notifications/{tail}"
        return await self.client.call(method, target, body)

    async def create(self, body: dict[str, Any]) -> str:
        answer = await self.call("POST", "applications", body)
        assert answer.status == 201, answer.raw
        return str(answer.json["application_urn"])

    async def register(self, urn: str, token: str, user_data: str = "") -> str:
        body = {"token": token, "user_data": user_data}
        answer = await self.call("POST", f"applications/{urn}/endpoints", body)
        assert answer.status == 201, answer.raw
        return str(answer.json["endpoint_urn"])

    async def refuses(self, method: str, tail: str, body: Any, status: int, code: str) -> None:
        before = await snapshot(self.engine.store)
        answer = await self.call(method, tail, body)
        said = f"{method} {tail} {str(body)[:80]}: {answer.raw[:200]!r}"
        assert (answer.status, answer.json["code"]) == (status, code), said
        assert await snapshot(self.engine.store) == before, said


@asynccontextmanager
async def open_world(url: str, data: Path, settings: Settings) -> AsyncIterator[World]:
    """A world on an empty Valkey, where mobile push is enabled."""
    push = RecordingAdapter("application", limits=Limits(confirm=False))
    async with open_engine(url, data) as engine:
        engine.adapters["application"] = push
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield World(engine, client, push)
