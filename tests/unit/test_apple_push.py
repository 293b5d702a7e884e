"""The simulated service of Apple's: it refuses what Apple refuses, with Apple's words."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.http2 import Connection
from engine.multiplex import Multiplexer
from tests.apple import BUNDLE, DEVELOPMENT, client_certificate, push_certificate
from tests.apple_push import DEVICE, ApplePush, apple_push

GOOD = {
    ":method": "POST",
    ":scheme": "https",
    ":authority": "localhost",
    ":path": f"/3/device/{DEVICE}",
    "apns-id": "eabeae54-14a8-11e5-b60b-1697f925ec7b",
    "apns-push-type": "alert",
    "apns-priority": "10",
    "apns-expiration": "1700000000",
    "apns-topic": BUNDLE,
    "apns-collapse-id": "c" * 64,
}
AWAKE = {"content-available": 1}


class Asker:
    """Asks the service whatever one likes."""

    def __init__(self, apple: ApplePush, ca_file: Path) -> None:
        self.apple = apple
        self.ca_file = ca_file

    async def ask(
        self,
        changes: dict[str, str | None] | None = None,
        *,
        body: bytes | None = None,
        aps: dict[str, Any] | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status and reason for the good request with changes; None leaves a header out."""
        body = json.dumps({"aps": aps or {"alert": "hi"}}).encode() if body is None else body
        headers = {**GOOD, **(changes or {})}
        given = {name: value for name, value in headers.items() if value is not None}
        multiplexer = Multiplexer()
        answer = await multiplexer.request(
            given.pop(":method"),
            self.apple.url + given.pop(":path"),
            {name: value for name, value in given.items() if name[0] != ":"},
            body,
            certificate=client_certificate(self.ca_file, certificate),
        )
        await multiplexer.close()
        return answer.status, json.loads(answer.body)["reason"] if answer.body else ""


@pytest.fixture
async def asker(tmp_path: Path) -> AsyncIterator[Asker]:
    """Somebody before the service."""
    async with apple_push(tmp_path) as (apple, ca_file):
        yield Asker(apple, ca_file)


async def test_a_good_request_is_taken(asker: Asker) -> None:
    """Also with the headers that Apple does not ask for left out."""
    assert await asker.ask() == (200, "")
    bare = dict.fromkeys(name for name in GOOD if name.startswith("apns-"))
    assert await asker.ask(dict(bare)) == (200, "")
    assert [push.token for push in asker.apple.pushes] == [DEVICE] * 2


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({":method": "GET"}, (405, "MethodNotAllowed")),
        ({":path": f"/3/devices/{DEVICE}"}, (404, "BadPath")),
        ({":path": "/3/device/"}, (400, "MissingDeviceToken")),
        ({":path": "/3/device/00"}, (400, "BadDeviceToken")),
        ({"apns-id": "eabeae54"}, (400, "BadMessageId")),
        ({"apns-id": GOOD["apns-id"].upper()}, (400, "BadMessageId")),
        ({"apns-push-type": "loud"}, (400, "InvalidPushType")),
        ({"apns-push-type": "background"}, (400, "InvalidPushType")),
        ({"apns-push-type": "voip"}, (400, "InvalidPushType")),
        ({"apns-priority": "7"}, (400, "BadPriority")),
        ({"apns-expiration": "tomorrow"}, (400, "BadExpirationDate")),
        ({"apns-topic": "com.example.other"}, (400, "TopicDisallowed")),
        ({"apns-collapse-id": "c" * 65}, (400, "BadCollapseId")),
    ],
    ids=repr,
)
async def test_a_request_that_breaks_a_rule_is_refused(
    asker: Asker, changes: dict[str, str | None], answer: tuple[int, str]
) -> None:
    """Nothing is pushed."""
    assert await asker.ask(changes) == answer
    assert asker.apple.pushes == []


async def test_a_payload_has_a_size(asker: Asker) -> None:
    """4 KB, and it is not empty."""
    around = len(json.dumps({"aps": {"alert": ""}}))
    assert await asker.ask(aps={"alert": "x" * (4096 - around)}) == (200, "")
    assert await asker.ask(aps={"alert": "x" * (4097 - around)}) == (413, "PayloadTooLarge")
    assert await asker.ask(body=b"") == (400, "PayloadEmpty")


async def test_what_only_wakes_the_application_up_is_in_the_background(asker: Asker) -> None:
    """With its type, and not at once."""
    quiet: dict[str, str | None] = {"apns-push-type": "background", "apns-priority": "5"}
    assert await asker.ask(quiet, aps=AWAKE) == (200, "")
    assert await asker.ask(quiet | {"apns-priority": "10"}, aps=AWAKE) == (400, "BadPriority")
    loud: dict[str, str | None] = {"apns-priority": "5"}
    assert await asker.ask(loud, aps=AWAKE) == (400, "InvalidPushType")


async def test_a_device_is_one_applications(asker: Asker) -> None:
    """And may be gone."""
    asker.apple.devices[DEVICE] = "com.example.other"
    assert await asker.ask() == (400, "DeviceTokenNotForTopic")
    asker.apple.unregistered.add(DEVICE)
    assert await asker.ask() == (410, "Unregistered")


async def test_a_certificate_is_for_the_environment(asker: Asker) -> None:
    """One for development is not for production."""
    development = push_certificate(name=DEVELOPMENT)
    assert await asker.ask(certificate=development) == (403, "BadCertificateEnvironment")
    asker.apple.sandbox = True
    assert await asker.ask(certificate=development) == (200, "")


async def test_without_a_certificate_nobody_may_push(asker: Asker) -> None:
    """The connection is allowed: a request could bring a token."""
    tls = ssl.create_default_context(cafile=asker.ca_file)
    port = int(asker.apple.url.rpartition(":")[2])
    connection = await Connection.open("127.0.0.1", port, tls)
    answer = await connection.request(list(GOOD.items()), b"{}")
    assert (answer.status, json.loads(answer.body)) == (403, {"reason": "MissingProviderToken"})
    twice = [*GOOD.items(), ("apns-topic", BUNDLE)]
    answer = await connection.request(twice, b"{}")
    assert (answer.status, json.loads(answer.body)) == (400, {"reason": "DuplicateHeaders"})
    await connection.close()
