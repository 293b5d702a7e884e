"""How a command reaches the service that runs on a data directory or a Redis URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from engine.data_lock import holder_of
from engine.errors import ConfigurationError
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.app import Engine


@asynccontextmanager
async def attach(given: Mapping[str, Any]) -> AsyncIterator[Engine]:
    """An engine on what is already there; raises `ConfigurationError` if nothing runs."""
    from engine.app import Engine

    settings = Settings.read(**given)
    if not settings.redis:
        holder = await asyncio.to_thread(holder_of, settings.data)
        if holder is None or not holder.socket:
            raise ConfigurationError(
                f"No service runs on {settings.data}; start one with `tocsin serve`,"
                " or name another with --data or --redis."
            )
        settings = settings.model_copy(update={"redis": f"unix://{quote(holder.socket)}"})
    async with Engine.open(settings=settings) as engine:
        yield engine


async def urn_of(engine: Engine, topic: str) -> str:
    """What an operator calls a topic as its URN: a name is one of the first account's project."""
    if topic.startswith("urn:"):
        return topic
    project_id = (await engine.accounts.bootstrap()).project_id
    return str(engine.topics.urn(project_id, topic))
