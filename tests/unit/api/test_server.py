"""The listening server: draining and TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.test_utils import RawTestServer

from engine.api.gateway import Gateway
from engine.errors import ConfigurationError
from engine.settings import Settings
from tests.api_client import PROJECT, TOPIC, Client, FakeEngine, serving
from tests.endpoints import certificate_for

TOPICS = f"/v2/{PROJECT}/notifications/topics"
PUBLISH = f"{TOPICS}/{TOPIC}/publish"


async def call_for_ever(client: Client) -> None:
    """Until something is raised."""
    while True:
        await client.call("GET", "/v2", sign=False)


async def test_draining_finishes_what_is_in_hand(settings: Settings) -> None:
    """A request that runs when the stop comes gets its answer; nobody new is let in."""
    engine = FakeEngine(hold=asyncio.Event())
    assert engine.hold is not None
    async with serving(engine, settings) as (client, stop):
        running = asyncio.create_task(client.call("POST", PUBLISH, {"message": "m"}))
        await engine.holding.wait()
        stop.set()
        with pytest.raises(aiohttp.ClientConnectionError):
            await call_for_ever(client)
        assert not running.done()
        engine.hold.set()
        assert (await running).status == 200


async def test_a_drain_is_bounded(settings: Settings) -> None:
    """A request that does not end is cut off when its time is over."""
    engine = FakeEngine(hold=asyncio.Event())
    short = settings.model_copy(update={"drain_seconds": 0.1})
    async with serving(engine, short) as (client, stop):
        running = asyncio.create_task(client.call("POST", PUBLISH, {"message": "m"}))
        await engine.holding.wait()
        stop.set()
        with pytest.raises(aiohttp.ClientConnectionError):
            await running


async def test_draining_is_told_to_whoever_is_still_connected(settings: Settings) -> None:
    """A request that comes through anyway is refused, and the service is not ready."""
    gateway = Gateway(FakeEngine())  # type: ignore[arg-type]
    gateway.services.draining.set()
    async with (
        RawTestServer(cast("Any", gateway.handle)) as server,
        aiohttp.ClientSession() as session,
    ):
        for target, code in ((TOPICS, "TOCSIN.0002"), ("/nowhere", "APIGW.0101")):
            async with session.get(server.make_url(target)) as answer:
                assert (await answer.json())["code"] == code
                assert answer.headers["Connection"] == "close"
        async with session.get(server.make_url("/readyz")) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (503, "draining")
    await gateway.close()


async def test_https_is_served(settings: Settings, tmp_path: Path) -> None:
    """With a certificate and a key the same server speaks TLS."""
    certificate, key = certificate_for("127.0.0.1", tmp_path)
    chosen = settings.model_copy(update={"tls_cert": certificate, "tls_key": key})
    context = ssl.create_default_context(cafile=str(certificate))
    async with serving(FakeEngine(), chosen) as (client, _):
        async with client._session.get(f"{client.url}/v3", ssl=context) as answer:
            link = (await answer.json())["version"]["links"][0]["href"]
        assert link == f"{client.url}/v3/"
        assert link.startswith("https://")


async def test_tls_files_that_cannot_be_used_are_named(settings: Settings, tmp_path: Path) -> None:
    """The operator reads which file it is."""
    missing = tmp_path / "missing.pem"
    chosen = settings.model_copy(update={"tls_cert": missing, "tls_key": missing})
    with pytest.raises(ConfigurationError, match="missing"):
        async with serving(FakeEngine(), chosen):
            pass
