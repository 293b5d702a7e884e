"""What an operator is told when the service starts."""

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import AsyncMock, MagicMock

import pytest

from engine.cli.preparing import prepare
from engine.settings import Settings


class _Adapter(NamedTuple):
    protocols: tuple[str, ...]
    notice: str


async def test_a_notice_names_its_protocols(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each adapter, as they are written elsewhere."""
    account = SimpleNamespace(
        **dict.fromkeys(("project_id", "domain_name", "domain_id", "user_name", "user_id"), "x"),
        **dict.fromkeys(("password", "access_key", "secret_key", "password_hash"), "x"),
    )
    adapter = _Adapter(protocols=("http", "https"), notice="Nothing is sent.")
    settings = Settings(data=tmp_path, public_url="http://127.0.0.1")
    engine = MagicMock(adapters={"http": adapter, "https": adapter}, settings=settings)
    engine.accounts.bootstrap = AsyncMock(return_value=account)
    engine.directory.now = AsyncMock(return_value=SimpleNamespace(users={}, keys={}))
    await prepare(engine)
    told = [one.__dict__ for one in caplog.records if one.message == "adapter.notice"]
    assert [one["protocols"] for one in told] == ["http,https"]
