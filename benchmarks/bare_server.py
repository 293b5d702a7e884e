"""The yardstick of the API: a bare aiohttp server that parses a JSON body and answers.

``python -m benchmarks.bare_server`` prints its URL and serves until it is terminated. It has no
routes, no authentication, no checks and no database: what is left is what HTTP costs in aiohttp.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from benchmarks import procs
from benchmarks.environment import environment
from engine.cli.running import collect_seldom

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def bare_server() -> AsyncIterator[tuple[str, int]]:
    """Run one in a process of its own; yields its URL and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.bare_server",
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the process has no standard output")
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError("the bare server did not start")
        yield url, process.pid
    finally:
        await procs.stop(process)


async def _answer(request: web.BaseRequest) -> web.Response:
    json.loads(await request.read())
    found = {"request_id": secrets.token_hex(16), "message_id": secrets.token_hex(16)}
    return web.Response(body=json.dumps(found).encode(), content_type="application/json")


async def _serve() -> None:
    runner = web.ServerRunner(web.Server(_answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    collect_seldom()  # as the API does
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
