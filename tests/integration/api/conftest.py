"""What tests of the API's groups start from: a real engine behind the real server.

A module that needs protocols without an installed adapter overrides ``adapters``::

    @pytest.fixture
    def adapters() -> list[RecordingAdapter]:
        return [RecordingAdapter("callnotify", limits=Limits(confirm=True))]

and one that needs other settings overrides ``options``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.ports import Adapter
from engine.settings import Settings
from tests.worlds import World, open_world


@pytest.fixture
def adapters() -> Sequence[Adapter[Any, Any]]:
    """Adapters beside the installed ones."""
    return ()


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings of the engine that differ from the tests' usual ones."""
    return {}


@pytest.fixture
async def world(
    redis_url: str,
    tmp_path: Path,
    settings: Settings,
    adapters: Sequence[Adapter[Any, Any]],
    options: dict[str, Any],
) -> AsyncIterator[World]:
    """A running API on an empty data set; no worker runs."""
    async with open_world(redis_url, tmp_path, settings, adapters, **options) as world:
        yield world


@pytest.fixture
async def topic(world: World) -> str:
    """The URN of the topic ``demo``; ``{topic}`` in targets stands for it."""
    world.names["topic"] = await world.topic()
    return world.names["topic"]
