import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from engine import supervisor
from engine.children import Backoff
from engine.errors import ConfigurationError
from engine.settings import Durability, Settings

SHOW = """
from engine.settings import Settings
print(Settings.read().model_dump_json())
"""

# A stand-in for the engine's processes. It notes in a file what it lives through.
FAKE = """
import pathlib, signal, sys
notes, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def note(what):
    with notes.open("a") as file:
        file.write(f"{name} {what}\\n")
asked = {signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)
note("started")
print("ready", name, flush=True)
while signal.sigwait(asked) == signal.SIGUSR1:
    note("draining")
note("stopped")
"""


def test_children_read_exactly_the_parents_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is empty or not set, whatever environment and file say."""
    settings = Settings(
        port=0,
        allow_endpoints="",
        flow_topic_publish=None,
        data=tmp_path / "data",
        retry_delays=(0.5, 1),
        durability=Durability.MEMORY,
        unsubscribe_bare_urn=False,
        max_backlog=7,
        redis="unix:///somewhere/socket",
    )
    (tmp_path / "tocsin.toml").write_text(
        "port = 1\nmax_backlog = 8\nflow_topic_publish = 2\ntls_cert = 'cert.pem'\n"
        "allow_endpoints = '127.0.0.0/8'\n[adapters.sms]\ngateway = 'https://other.example/'\n"
    )
    monkeypatch.setenv("TOCSIN_ALLOW_ENDPOINTS", "10.0.0.0/8")
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=supervisor.environment(settings),
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert Settings.model_validate_json(done.stdout) == settings


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the processes by fakes; returns the file of their notes."""
    path = tmp_path / "notes"

    def program(name: str, *_: str) -> tuple[str, ...]:
        return (sys.executable, "-c", FAKE, str(path), name)

    monkeypatch.setattr(supervisor, "_program", program)
    return path


async def test_while_workers_finish_the_door_is_kept(notes: Path) -> None:
    """The API takes nothing new from then on, and says so until they have ended."""
    stop = asyncio.Event()
    async with asyncio.timeout(20):
        await supervisor.supervise(Settings(workers=2), 0, stop=stop, on_ready=stop.set)
    lines = notes.read_text().splitlines()
    ended = [line for line in lines if not line.endswith("started")]
    assert {"api draining", "worker stopped"} <= set(ended)
    assert ended[-1] == "api stopped"


async def test_a_stop_before_the_start_starts_nothing(notes: Path) -> None:
    """A service that was told to stop while it prepared does not start children."""
    stop = asyncio.Event()
    stop.set()
    await supervisor.supervise(Settings(workers=1), 0, stop=stop, on_ready=stop.set)
    assert not notes.exists()


async def test_a_refused_configuration_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a child can never start, the service ends and says so."""

    def program(*_: str) -> tuple[str, ...]:
        return (sys.executable, "-c", "raise SystemExit(2)")

    monkeypatch.setattr(supervisor, "_program", program)
    with pytest.raises(ConfigurationError, match="refused its configuration"):
        await supervisor.supervise(
            Settings(workers=1), 0, stop=asyncio.Event(), on_ready=lambda: None
        )


class DyingServer:
    """Stands in for the embedded server; its first ``failures`` restarts fail."""

    def __init__(self, failures: int) -> None:
        self.url = "unix:///socket"
        self.pid = 1
        self.log = Path("valkey.log")
        self.process_died = asyncio.Event()
        self.restarts = 0
        self.back = asyncio.Event()
        self._failures = failures

    async def restart(self) -> None:
        self.restarts += 1
        if self.restarts <= self._failures:
            raise ConfigurationError("not yet")
        self.process_died.clear()
        self.back.set()


async def test_a_dead_database_is_started_until_it_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart that fails is tried again; a second death is noticed, too.

    Each time the log says where the database's own says why: a full disk, say.
    """
    monkeypatch.setattr(supervisor, "Backoff", lambda: Backoff(first=0.001))
    server = DyingServer(failures=2)
    database = supervisor.Database(server.url, server)  # type: ignore[arg-type] # a stand-in
    keeping = asyncio.create_task(database.keep())
    for restarts in (3, 4):
        server.back.clear()
        server.process_died.set()
        await server.back.wait()
        assert server.restarts == restarts
    keeping.cancel()
    died = [one.__dict__ for one in caplog.records if one.message == "child.died"]
    assert [one["see"] for one in died] == [server.log] * 4
