"""Requests made from ``/openapi.json`` against a running service: every answer is as declared.

Whatever fits the schemas is sent, with real names in place of most invented ones. No answer is
a 5xx, and status, content type, headers and body are those of the document. The examples are the
same in every run; unknown fields are to be ignored, so no wrong data is made on purpose (that is
what `tests.contract.api_cases` is for).
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from engine.api.openapi import document
from engine.api.table import ROUTES
from tests.serving import Serve, serve

EXAMPLES: Final = 40
"""Requests for each operation; a hundred operations then take about a minute."""
_REAL: Final = 5
"""Of so many names one stays as it was invented."""
_CHECKS: Final = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_ORDER: Final = ("post", "put", "get", "delete")
"""What makes something goes first, so that the others find it."""
_PARAMETERS: Final[dict[tuple[str, str], str]] = {
    ("CreateLogtank", "id"): "logtank_id",
    ("CreateNotifyPolicy", "id"): "notify_policy_id",
}
"""Members of answers that paths call otherwise."""
_FIRST: Final = (
    ("/topics", {"name": "generated"}),
    ("/topics/{topic_urn}/subscriptions", {"protocol": "http", "endpoint": "http://127.0.0.1:9/"}),
    ("/topics/{topic_urn}/subscriptions", {"protocol": "sms", "endpoint": "13600000000"}),
)

DOCUMENT: Final = document(ROUTES)
OPERATIONS: Final = sorted(
    (
        (method, path, operation["operationId"])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ),
    key=lambda row: _ORDER.index(row[0]),
)


class World:
    """The service, a token for it, and the names of what is there."""

    def __init__(self, service: Serve) -> None:
        found = json.loads(Path(service.data, "credentials.json").read_text())
        self.url = service.url
        self.session = requests.Session()
        self.names: dict[str, list[str]] = defaultdict(list)
        self.fixed = {
            "project_id": found["project_id"],
            "domain_id": found["domain_id"],
            "resource_type": "smn_topic",
        }
        self.token = self._log_in(found)
        self.schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")

    def _log_in(self, found: dict[str, str]) -> str:
        user: dict[str, Any] = {
            "name": found["user_name"],
            "password": found["password"],
            "domain": {"name": found["domain_name"]},
        }
        identity: Any = {"methods": ["password"], "password": {"user": user}}
        auth: Any = {"identity": identity, "scope": {"project": {"id": found["project_id"]}}}
        answer = self.session.post(f"{self.url}/v3/auth/tokens", json={"auth": auth})
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def prepare(self) -> None:
        """A topic with two subscriptions: there whatever the operation before has deleted."""
        base = f"{self.url}/v2/{self.fixed['project_id']}/notifications"
        for path, body in _FIRST:
            target = base + path.replace("{topic_urn}", (self.names["topic_urn"] or [""])[-1])
            answer = self.session.post(target, json=body, headers={"X-Auth-Token": self.token})
            assert answer.status_code in {200, 201}, answer.text
            self.learn("", answer)

    def fill(self, case: schemathesis.Case[Any]) -> None:
        """Put names of what is there in place of invented ones, most of the time."""
        spice = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode())
        for name in case.path_parameters or {}:
            if name in self.fixed:
                case.path_parameters[name] = self.fixed[name]
            elif self.names[name] and spice % _REAL:
                known = self.names[name]
                case.path_parameters[name] = known[-1 - spice // _REAL % min(len(known), 3)]

    def learn(self, operation: str, answer: requests.Response | schemathesis.Response) -> None:
        """Remember the names in a good answer."""
        if answer.status_code < 300 and answer.content.startswith(b"{"):
            self._note(operation, answer.json())

    def _note(self, operation: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._note(operation, item)
        elif isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, str) and item:
                    self._remember(_PARAMETERS.get((operation, name)) or name, item)
                    if name == "topic_id":
                        self._remember("resource_id", item)
                else:
                    self._note(operation, item)

    def _remember(self, name: str, value: str) -> None:
        known = self.names[name]
        if value in known:
            known.remove(value)
        known.append(value)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serve]:
    """A service of this module's own: others would be surprised by what they find."""
    async with serve(tmp_path_factory.mktemp("generated") / "data") as running:
        assert running.url, running.log
        yield running


@pytest.fixture(scope="module")
def world(service: Serve) -> Iterator[World]:
    """A logged-in client of the service."""
    world = World(service)
    yield world
    world.session.close()


def test_the_running_service_shows_the_same_document(world: World) -> None:
    """The tests below walk what is served, not something else."""
    assert world.session.get(f"{world.url}/openapi.json").json() == DOCUMENT


@pytest.mark.parametrize(
    ("method", "path"), [row[:2] for row in OPERATIONS], ids=[row[2] for row in OPERATIONS]
)
def test_answers_are_as_declared(world: World, method: str, path: str) -> None:
    """For each of the requests that are made from the operation's schemas."""
    operation = world.schema[path][method]
    name = str(operation.definition.raw["operationId"])
    world.prepare()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def send(case: schemathesis.Case[Any]) -> None:
        world.fill(case)
        answer = case.call(session=world.session, headers={"X-Auth-Token": world.token}, timeout=20)
        case.validate_response(answer, checks=_CHECKS)
        world.learn(name, answer)

    send()
