"""Rules for all tests: what a test may need, and what happens where that is missing."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.settings import Settings
from engine.store.connection import Store
from tests.every_operation import EveryOperation
from tests.servers import (
    RedisCluster,
    RedisServer,
    make_settings,
    redis62_binary,
    valkey_binary,
)

_PACKAGES = Path(__file__).parent.parent / ".ci" / "packages"
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _commands() -> dict[str, str]:
    """Debian package → the command it brings."""
    lines = _PACKAGES.read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the kill test."""
    group = parser.getgroup("tocsin")
    group.addoption("--kill-seconds", default="60", help="about how long processes are killed")
    group.addoption("--kill-seed", default=None, help="whom, and when: as printed by a failed run")


def pytest_configure(config: pytest.Config) -> None:
    """Watch which operations the official SDK calls."""
    if not hasattr(config, "workerinput"):  # reports of pytest-xdist's workers come to the first
        config.pluginmanager.register(EveryOperation(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian package is missing; in CI that is a failure."""
    for marker in item.iter_markers("needs"):
        package = marker.args[0]
        if shutil.which(_commands()[package], path=_SEARCH):
            continue
        reason = f"needs the Debian package {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI must have it", pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data directory is the test's own."""
    return make_settings(tmp_path / "data")


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    """One private Valkey for the whole run; what it holds is another test's."""
    server = RedisServer(valkey_binary()).start()
    yield server
    server.close()


@pytest.fixture
def redis_url(valkey: RedisServer) -> str:
    """The URL of an empty Valkey."""
    valkey.flush()
    return valkey.url


@pytest.fixture
async def store(redis_url: str, settings: Settings) -> AsyncIterator[Store]:
    """A store on an empty Valkey."""
    store = await Store.connect(redis_url, settings=settings)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def _redis62() -> Iterator[RedisServer]:
    server = RedisServer(redis62_binary()).start()
    yield server
    server.close()


@pytest.fixture
def redis62(_redis62: RedisServer) -> str:
    """The URL of an empty Redis 6.2, the oldest supported."""
    _redis62.flush()
    return _redis62.url


@pytest.fixture(scope="session")
def _cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster(valkey_binary()).start()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(_cluster: RedisCluster) -> RedisCluster:
    """An empty Cluster of three masters."""
    _cluster.flush()
    return _cluster
