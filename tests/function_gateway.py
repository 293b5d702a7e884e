"""FunctionGraph's invocation API, as strict as its documentation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from engine.iam import signature

ACCESS_KEY = "AKFUNCTIONGRAPH"
SECRET_KEY = "SKFUNCTIONGRAPH"
MAX_BYTES = 262_144
ENDPOINTS = (
    (
        "functionstage",
        "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize:latest",
        "url",
        "/v2/{project}/fgs/functions/{urn}/invocations-async",
    ),
    ("functiongraph", "workflow-1", "workflow_url", "/v2/{project}/fgs/workflows/{id}/executions"),
)
"""An endpoint of each protocol, the setting that leads there, and what the setting ends with."""


@dataclass
class FunctionGraph:
    """What it was asked, and how it answers next; ``functions`` are those it knows."""

    url: str = ""
    functions: set[str] = field(default_factory=set)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)

    async def invoke(self, request: web.Request) -> web.Response:
        """POST …/functions/{urn}/invocations-async."""
        return await self._take(request, request.match_info["urn"])

    async def start(self, request: web.Request) -> web.Response:
        """POST …/workflows/{id}/executions."""
        return await self._take(request, request.match_info["id"])

    async def _take(self, request: web.Request, name: str) -> web.Response:
        body = await request.read()
        self._authenticate(request, body)
        if request.content_type != "application/json" or len(body) > MAX_BYTES:
            return web.json_response({"error_code": "FSS.0400"}, status=400)
        event = json.loads(body)
        if name not in self.functions:
            return web.json_response({"error_code": "FSS.1051"}, status=404)
        self.events.append((name, event))
        if self.answers:
            return self.answers.pop(0)
        if "invocations-async" in request.path:
            return web.json_response({"request_id": "1167bf8c"}, status=202)
        return web.json_response({"execution_id": "48aff955"} if event["input"] else {})

    @staticmethod
    def _authenticate(request: web.Request, body: bytes) -> None:
        """Raises `Refused`, which is a failed test, for a wrong signature."""

        def values(name: str) -> list[str]:
            return request.headers.getall(name, [])

        parsed = signature.parse_authorization(request.headers["Authorization"])
        assert parsed.access_key == ACCESS_KEY
        signature.verify(
            parsed,
            SECRET_KEY.encode(),
            request.headers["X-Sdk-Date"],
            signature.SignedRequest(
                request.method,
                request.raw_path.partition("?")[0],
                (),
                values,
                body,
                lambda: hashlib.sha256(body).hexdigest(),
            ),
        )


@asynccontextmanager
async def function_graph() -> AsyncIterator[FunctionGraph]:
    """It listens on this machine."""
    graph = FunctionGraph()
    app = web.Application(client_max_size=4 * MAX_BYTES)
    app.router.add_post("/v2/{project}/fgs/functions/{urn}/invocations-async", graph.invoke)
    app.router.add_post("/v2/{project}/fgs/workflows/{id}/executions", graph.start)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    graph.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield graph
    finally:
        await runner.cleanup()
