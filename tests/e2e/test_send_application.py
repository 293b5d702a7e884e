"""``tocsin send application``: the device is one of a running service's."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from engine.cli.attaching import attach
from tests import push_kit
from tests.apple import push_certificate
from tests.apple_push import DEVICE, apple_push
from tests.push_kit import PushKit
from tests.serving import serve


async def tocsin_send(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of the command, run in a folder with its settings."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "send", "application", *arguments),
        cwd=folder,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out + errors).decode()


async def made(data: Path, platform: str, secrets: tuple[str, str], token: str) -> str:
    """The URN of a new device of a new application."""
    given: dict[str, Any] = {"data": data, "config": data.parent / "tocsin.toml"}
    async with attach(given) as engine:
        project_id = (await engine.accounts.bootstrap()).project_id
        urn, _, _ = await engine.applications.create(project_id, platform, "shop", secrets)
        device, _ = await engine.devices.register(project_id, urn, token, "")
        return device.urn


async def test_a_message_to_a_device_is_shown_without_its_secrets(tmp_path: Path) -> None:
    """Request, answer and outcome, of Apple's service and of Huawei's."""
    certificate, key = push_certificate()
    hms = push_kit.APP_ID, push_kit.APP_SECRET
    async with apple_push(tmp_path) as (apple, ca_file), push_kit.served(PushKit()) as url:
        (tmp_path / "tocsin.toml").write_text(
            f'[adapters.push]\nenabled = true\napns_url = "{apple.url}"\n'
            f'apns_ca_file = "{ca_file}"\nhms_url = "{url}"\n'
            f'hms_token_url = "{url}/oauth2/v3/token"\n'
        )
        async with serve(tmp_path / "data", "--config", str(tmp_path / "tocsin.toml")) as running:
            assert running.url, running.log
            data = "--data", str(running.data)
            iphone = await made(running.data, "APNS", (certificate, key), DEVICE)
            status, out = await tocsin_send(tmp_path, iphone, *data)
            assert status == 0, out
            assert f"> POST {apple.url}/3/device/***\n" in out
            assert "> apns-topic: com.example.shop\n" in out
            assert '> {"aps": {"alert": "This is a message from tocsin send."}}' in out
            assert "< HTTP 200, after " in out
            assert out.splitlines()[-1].startswith("delivered: ")

            apple.unregistered.add(DEVICE)
            status, lines = await tocsin_send(tmp_path, iphone, "--json", *data)
            exchange, outcome = map(json.loads, lines.splitlines())
            assert status == 1
            assert exchange["answer"]["status"] == 410
            assert outcome["outcome"]["name"] == "rejected"
            assert DEVICE not in out + lines
            assert key not in out + lines

            phone = await made(running.data, "HMS", hms, push_kit.DEVICE)
            status, out = await tocsin_send(tmp_path, phone, "-m", "hello", *data)
            assert status == 0, out
            assert f"> POST {url}/oauth2/v3/token\n" in out
            assert f"> POST {url}/v1/{push_kit.APP_ID}/messages:send\n" in out
            assert not any(secret in out for secret in (push_kit.DEVICE, push_kit.APP_SECRET))

            status, out = await tocsin_send(tmp_path, iphone[:-1] + "_", *data)
            assert status == 2, out
            assert "SMN.0012" in out


async def test_without_a_service_no_device_is_known(tmp_path: Path) -> None:
    """It is said in one sentence where they would be."""
    (tmp_path / "tocsin.toml").write_text("[adapters.push]\nenabled = true\n")
    urn = f"urn:smn:region01:{'0' * 32}:endpoint:APNS:shop:{'e' * 32}"
    status, out = await tocsin_send(tmp_path, urn, "--data", str(tmp_path / "none"))
    assert status == 2
    assert "No service runs on" in out
    assert out.count("\n") == 1
