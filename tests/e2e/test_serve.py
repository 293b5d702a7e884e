"""``tocsin serve`` as a user runs it: one process to start, one to stop."""

import asyncio
import json
import os
import signal
import ssl
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.cli.demo_world import Client, Subscribers
from engine.data_lock import holder_of
from tests.endpoints import certificate_for
from tests.servers import RedisServer
from tests.serving import Serve, run, serve, until_gone

MEMBERS = [
    "endpoint",
    "iam_endpoint",
    "region",
    "project_id",
    "domain_name",
    "domain_id",
    "user_name",
    "password",
    "access_key",
    "secret_key",
]


@asynccontextmanager
async def _client(data: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        client = Client(session, data)
        await client.log_in()
        yield client


def _children(service: Serve) -> list[int]:
    holder = holder_of(service.data)
    assert holder is not None
    return [service.pids("api")[-1], service.pids("worker-1")[-1], holder.server]


async def _works(data: Path, topic: str) -> None:
    """The main job goes through: subscribe, confirm, publish, receive."""
    host = Subscribers(3, flaky=1_000)
    async with host.listen(), _client(data) as client:
        urn = await client.create_topic(topic)
        await client.subscribe_all(urn, host.endpoints)
        async with asyncio.timeout(60):
            while len(host.confirmed) < host.count:
                await host.changed()
            await client.publish(urn, "subject", "message")
            while len(host.arrived) < host.count:
                await host.changed()


async def test_one_line_says_that_it_is_ready(tmp_path: Path) -> None:
    """Standard output holds the ready line and nothing else; the URL answers."""
    async with serve(tmp_path / "data") as service:
        assert service.line.startswith("ready http://127.0.0.1:")
        async with aiohttp.ClientSession() as session:
            for path in ("/healthz", "/readyz"):
                async with session.get(service.url + path) as answer:
                    assert answer.status == 200, path
        assert await service.stop() == 0
        assert service.process.stdout is not None
        assert await service.process.stdout.read() == b""


async def test_credentials_are_the_owners_and_are_kept(tmp_path: Path) -> None:
    """The file has mode 0600; a restart keeps account and secrets and writes the new URL."""
    data = tmp_path / "data"
    found = []
    for _ in range(2):
        async with serve(data) as service:
            path = data / "credentials.json"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            found.append(json.loads(path.read_text()))
            assert list(found[-1]) == MEMBERS
            assert found[-1]["endpoint"] == found[-1]["iam_endpoint"] == service.url
    first, second = ({**one, "endpoint": "", "iam_endpoint": ""} for one in found)
    assert first == second


async def test_a_directory_serves_once(tmp_path: Path) -> None:
    """A second service on the same directory ends with status 2 and names the holder."""
    data = tmp_path / "data"
    async with serve(data) as first, serve(data) as second:
        assert second.line == ""
        assert second.process.returncode == 2
        assert str(first.process.pid) in second.log.splitlines()[-1]
        assert "Traceback" not in second.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_stop_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Asked to stop, the service ends with status 0 and every process of it with it."""
    async with serve(tmp_path / "data") as service:
        children = _children(service)
        assert await service.stop(number) == 0
        for pid in children:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert "child.cut" not in service.log


async def test_while_it_drains_clients_are_told(tmp_path: Path) -> None:
    """As long as a delivery is under way new connections are answered: 503, not ready."""
    under_way, let_go = asyncio.Event(), asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        message = json.loads(await request.read())
        if message["type"] == "SubscriptionConfirmation":
            async with aiohttp.ClientSession() as session:
                await (await session.get(message["subscribe_url"])).read()
        else:
            under_way.set()
            await let_go.wait()
        return web.Response()

    subscriber = TestServer(web.Application())
    subscriber.app.router.add_post("/", take)
    data = tmp_path / "data"
    async with subscriber, serve(data) as service, _client(data) as client:
        urn = await client.create_topic("slow")
        await client.subscribe(urn, str(subscriber.make_url("/")))
        while not under_way.is_set():
            await client.publish(urn, "subject", "message")
        service.process.send_signal(signal.SIGTERM)
        seen: tuple[int, dict[str, object]] = (200, {})
        async with asyncio.timeout(4):
            while seen[0] == 200:
                seen = await _get(f"{service.url}/readyz")
        assert (seen[0], seen[1]["reason"]) == (503, "draining")
        status, told = await _get(f"{service.url}/v2/{'0' * 32}/notifications/topics")
        assert (status, told["code"]) == (503, "TOCSIN.0002")
        let_go.set()
        assert await service.process.wait() == 0


async def _get(url: str) -> tuple[int, dict[str, object]]:
    """Status and document, over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("child", ["api", "worker-1", "database"])
async def test_a_killed_process_is_replaced(tmp_path: Path, child: str) -> None:
    """After SIGKILL of any process the service does its job again, at the same URL."""
    data = tmp_path / "data"
    async with serve(data) as service:
        await _works(data, "before")
        before = dict(zip(["api", "worker-1", "database"], _children(service), strict=True))
        count = len(service.pids(child))
        os.kill(before[child], signal.SIGKILL)
        async with asyncio.timeout(60):
            while len(service.pids(child)) == count:
                await asyncio.sleep(0.05)
        await _works(data, "after")
        after = dict(zip(["api", "worker-1", "database"], _children(service), strict=True))
        assert {name for name in before if before[name] != after[name]} == {child}


async def test_connections_wait_for_a_new_api(tmp_path: Path) -> None:
    """Between the death of an API and its successor nobody is refused."""
    async with serve(tmp_path / "data") as service, aiohttp.ClientSession() as session:
        api = service.pids("api")[-1]
        os.kill(api, signal.SIGKILL)
        await until_gone(api)
        async with session.get(service.url + "/healthz") as answer:
            assert answer.status == 200


async def test_nothing_outlives_the_service(tmp_path: Path) -> None:
    """After SIGKILL of the parent its children end; the next start works within 10 s."""
    data = tmp_path / "data"
    async with serve(data) as service:
        await _works(data, "kept")
        children = _children(service)
        await service.stop(signal.SIGKILL)
        started = time.monotonic()
        async with serve(data):
            for pid in children:
                async with asyncio.timeout(5):
                    await until_gone(pid)
            await _works(data, "kept")
            assert time.monotonic() - started < 10


async def test_another_master_key_is_refused(tmp_path: Path) -> None:
    """With another key the secrets cannot be read: one sentence, status 2."""
    data = tmp_path / "data"
    async with serve(data) as service:
        await service.stop()
    key = data / "master.key"
    kept = key.read_text()
    key.unlink()
    async with serve(tmp_path / "other") as service:
        await service.stop()
    key.write_text((tmp_path / "other" / "master.key").read_text())
    key.chmod(0o600)
    async with serve(data) as service:
        assert service.process.returncode == 2
        assert "Traceback" not in service.log
    key.write_text(kept)
    async with serve(data) as service:
        assert service.line.startswith("ready ")


async def test_a_new_directory_finds_the_account(tmp_path: Path, valkey: RedisServer) -> None:
    """The account lives in the data set: a new directory on it gets the same credentials."""
    valkey.flush()
    found = []
    for name in ("one", "two"):
        data = tmp_path / name
        if name == "two":
            data.mkdir(mode=0o700)
            (data / "master.key").write_bytes((tmp_path / "one" / "master.key").read_bytes())
            (data / "master.key").chmod(0o600)
        async with serve(data, "--redis", valkey.url, "--durability", "memory"):
            await _works(data, name)
            found.append(json.loads((data / "credentials.json").read_text()))
    assert found[0]["secret_key"] == found[1]["secret_key"]
    assert found[0]["project_id"] == found[1]["project_id"]


async def test_processes_join_without_a_supervisor(tmp_path: Path, valkey: RedisServer) -> None:
    """Two APIs and two workers on one database are one service."""
    valkey.flush()
    data = tmp_path / "data"
    where = ("--redis", valkey.url, "--durability", "memory", "--allow-endpoints", "127.0.0.0/8")
    async with run("api", data, *where, "--port", "0") as first:
        assert first.url, first.log
        public = ("--public-url", first.url)
        async with (
            run("api", data, *where, *public, "--port", "0") as second,
            run("worker", data, *where, *public),
            run("worker", data, *where, *public, "--name", "mine") as worker,
        ):
            assert worker.line == "ready worker mine\n", worker.log
            assert first.url != second.url
            await _works(data, "joined")
            for process in (worker, second):
                assert await process.stop() == 0


async def test_https_is_served(tmp_path: Path) -> None:
    """With a certificate the ready URL is HTTPS and answers so."""
    certificate, key = certificate_for("127.0.0.1", tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    async with serve(tmp_path / "data", *options) as service, aiohttp.ClientSession() as session:
        assert service.line.startswith("ready https://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate)
        async with session.get(service.url + "/healthz", ssl=context) as answer:
            assert answer.status == 200
