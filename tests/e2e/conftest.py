"""A real service, the official SDK as its client, a subscriber that keeps what it gets."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from huaweicloudsdksmn.v2 import SmnClient

from tests.every_operation import NOTES, noting
from tests.sdk_client import build_client
from tests.serving import Serve, serve

_WAIT_SECONDS = 60.0


@pytest.fixture(scope="session", autouse=True)
def _ordinary_signals() -> None:
    """A run under nohup must not hand its ignored SIGHUP on to the services it starts."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _sdk_calls() -> Iterator[list[str]]:
    """What the official clients have called since the test before."""
    notes: list[str] = []
    with noting(notes):
        yield notes


@pytest.fixture(autouse=True)
def _noted(_sdk_calls: list[str], record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Hand them on with the test's report."""
    yield
    for note in _sdk_calls:
        record_property(NOTES, note)
    _sdk_calls.clear()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serve]:
    """One ``tocsin serve`` for all tests; each uses topics of its own."""
    async with serve(tmp_path_factory.mktemp("service") / "data") as running:
        assert running.url, running.log
        yield running


@pytest.fixture(scope="session")
def credentials(service: Serve) -> dict[str, str]:
    """What the service tells its owner."""
    found = json.loads(Path(service.data, "credentials.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def sdk(credentials: dict[str, str]) -> SmnClient:
    """The official client with the service's own credentials."""
    return build_client(credentials)


class Receiver:
    """An HTTP subscriber: answers 200 and keeps headers and body of every message."""

    def __init__(self) -> None:
        self.arrived: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver._keep(dict(self.headers), json.loads(body))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to subscribe it."""
        return f"http://127.0.0.1:{self._server.server_port}/inbox"

    def wait(self, kind: str, count: int = 1) -> tuple[dict[str, str], dict[str, Any]]:
        """The ``count``-th message of a type, once it has come."""

        def of_kind() -> list[tuple[dict[str, str], dict[str, Any]]]:
            return [one for one in self.arrived if one[1]["type"] == kind]

        with self._changed:
            came = self._changed.wait_for(lambda: len(of_kind()) >= count, _WAIT_SECONDS)
            assert came, f"{kind} has not come; only {[one['type'] for _, one in self.arrived]}"
            return of_kind()[count - 1]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _keep(self, headers: dict[str, str], body: dict[str, Any]) -> None:
        with self._changed:
            self.arrived.append((headers, body))
            self._changed.notify_all()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A subscriber of the test's own."""
    running = Receiver()
    yield running
    running.close()
