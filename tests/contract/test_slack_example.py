"""The example of an adapter in a package of its own is found, configured, and delivers."""

from __future__ import annotations

import asyncio
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from aiohttp import web
from test_tocsin_slack import TestSlack

from engine import Engine
from engine.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "slack_adapter"

__all__ = ["TestSlack"]  # its own test: the suite that every adapter passes


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What installing the example leaves behind: the module, and its entry point."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    about = site / f"tocsin_slack-{project['version']}.dist-info"
    about.mkdir(parents=True)
    shutil.copy(EXAMPLE / "tocsin_slack.py", site)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("_installed")
async def test_an_installed_adapter_delivers(settings: Settings, redis_url: str) -> None:
    """From a publish to the webhook, through the engine, with its settings from the file."""
    arrived: asyncio.Queue[object] = asyncio.Queue()

    async def webhook(request: web.Request) -> web.Response:
        await arrived.put(json.loads(await request.read()))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/services/T012/B345/x0y1z2", webhook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    told = settings.model_copy(
        update={
            "allow_endpoints": "127.0.0.0/8",
            "adapters": {"slack": {"base_url": origin}},
        }
    )
    stop = asyncio.Event()
    try:
        async with Engine.open(redis_url, settings=told) as engine, asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run_worker(stop))
            topic = await engine.create_topic("orders")
            await engine.subscribe(topic.urn, "slack", f"{origin}/services/T012/B345/x0y1z2")
            await engine.publish(topic.urn, "3 < 4 & 中文 🙂")
            assert await arrived.get() == {"text": "3 &lt; 4 &amp; 中文 🙂"}
            stop.set()
    finally:
        await runner.cleanup()
