"""How a command reaches the service that runs on a data directory or a Redis URL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from engine.data_lock import holder_of
from engine.errors import ConfigurationError
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.app import Engine

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


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


async def project_of(engine: Engine, given: str | None) -> str:
    """The id of a project that an operator names: one of the first account, by default its own.

    An id is taken as it is, since what is kept of a project outlives it. Raises `DirectoryError`.
    """
    from engine.control.naming import find_project

    own = await engine.accounts.bootstrap()
    if given is None:
        return own.project_id
    if _ID.fullmatch(given):
        return given
    return find_project(await engine.directory.now(), own.domain_name, given).id
