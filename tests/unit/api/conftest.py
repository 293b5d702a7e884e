"""The API in front of a fake engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.settings import Settings
from tests.api_client import Client, FakeEngine, serving


@pytest.fixture
def engine() -> FakeEngine:
    """An engine without a data path."""
    return FakeEngine()


@pytest.fixture
async def client(engine: FakeEngine, settings: Settings) -> AsyncIterator[Client]:
    """A client of the real server in front of the fake engine."""
    async with serving(engine, settings) as (client, _):
        yield client
