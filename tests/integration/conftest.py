"""What most tests of the data path start from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.app import Engine
from tests.engines import open_engine
from tests.receiver import Receiver


@pytest.fixture
def receiver() -> Receiver:
    """Endpoints that are reached without sockets."""
    return Receiver()


@pytest.fixture
async def engine(redis_url: str, tmp_path: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    """An engine on an empty Valkey that delivers to the receiver."""
    async with open_engine(redis_url, tmp_path, receiver) as engine:
        yield engine


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that look after their shards more often than the idle bound allows."""
    monkeypatch.setattr("engine.worker._POLL_S", 0.1)
