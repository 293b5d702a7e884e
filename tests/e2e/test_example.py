"""The example in ``examples/`` runs as its own text says."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.servers import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "microservice.py"


async def _hook(arrived: asyncio.Queue[dict[str, str]]) -> tuple[web.AppRunner, str]:
    async def take(request: web.Request) -> web.Response:
        arrived.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/orders", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/orders"


async def test_an_embedded_engine_notifies(tmp_path: Path) -> None:
    """An order that is sent twice reaches the hook once, and the log tells of it."""
    arrived: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    runner, hook = await _hook(arrived)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLE, "--port", str(port), "--data", tmp_path / "data"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with (
            asyncio.timeout(30),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):
            while b"Running on" not in await process.stdout.readline():
                pass
            async with session.post("/hooks", json={"url": hook}) as answer:
                assert answer.status == 201
            ids = []
            for _ in range(2):
                async with session.post("/orders", json={"id": "A-1", "total": 12.5}) as answer:
                    assert answer.status == 201
                    ids.append((await answer.json())["message_id"])
            assert ids[0] == ids[1]
            message = await arrived.get()
            assert message["subject"] == "Order A-1"
            assert message["message"] == '{"id": "A-1", "total": 12.5}'
            lines: list[dict[str, object]] = []
            while not lines:
                async with session.get("/deliveries") as answer:
                    lines = await answer.json()
            assert lines == [{"endpoint": hook, "status": "DELIVERED", "attempts": 1}]
            assert arrived.empty()
    finally:
        process.terminate()
        assert await process.wait() == 0
        await runner.cleanup()
