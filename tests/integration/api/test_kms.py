"""The four KMS operations: their answers, and that a bad request changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.keyring import Keyring
from engine.settings import Settings
from tests.api_client import Client, serving
from tests.engines import open_engine, snapshot
from tests.receiver import Receiver

MISSING = "0" * 32


@dataclass
class World:
    """A running API, a topic without a key and the ring of its machine."""

    client: Client
    engine: Engine
    ring: Keyring
    target: str

    async def call(self, method: str, target: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and JSON; the target is behind the topic's."""
        answer = await self.client.call(method, self.target + (target or "/kms"), body)
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
        return answer.status, answer.json

    async def bind(self, alias: str = "orders") -> tuple[str, str]:
        """Bind a new key; the ids of the key and of the binding."""
        key = self.ring.create(alias)
        status, made = await self.call("POST", body={"key_id": key.id})
        assert status == 201
        return key.id, made["id"]


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """No worker runs, so that nothing changes but by requests."""
    async with open_engine(redis_url, tmp_path, Receiver()) as engine:
        account = await engine.accounts.bootstrap()
        topic = await engine.create_topic("demo")
        ring = Keyring.open(engine.settings.data, engine.vault)
        async with serving(engine, settings, account) as (client, _):
            target = f"/v2/{account.project_id}/notifications/topics/{topic.urn}"
            yield World(client, engine, ring, target)


async def test_a_binding_is_made_shown_changed_and_removed(world: World) -> None:
    """201 and an id of 32 digits; GET names key and state; PUT keeps the id; DELETE ends it."""
    key, binding = await world.bind()
    assert (len(binding), int(binding, 16) >= 0) == (32, True)
    status, shown = await world.call("GET")
    assert (status, shown["id"], shown["key_id"]) == (200, binding, key)
    assert shown["status"] == "ENABLED"
    other = world.ring.create("other").id
    status, changed = await world.call("PUT", f"/kms/{binding}", {"key_id": other.upper()})
    assert (status, changed["id"]) == (200, binding)
    assert (await world.call("GET"))[1]["key_id"] == other
    status, gone = await world.call("DELETE", f"/kms/{binding}")
    assert (status, set(gone)) == (200, {"request_id"})
    status, failed = await world.call("GET")
    assert (status, failed["code"], failed["error_code"]) == (404, "SMN.0045", "SMN.0045")


async def test_the_status_is_the_keys_own(world: World) -> None:
    """GET follows what the command line does to the key."""
    key, _ = await world.bind()
    for change, status in (
        (world.ring.disable, "DISABLED"),
        (world.ring.enable, "ENABLED"),
        (lambda name: world.ring.schedule_deletion(name, 7), "PENDING_DELETION"),
        (world.ring.cancel_deletion, "DISABLED"),
        (lambda name: world.ring.schedule_deletion(name, 0), "DELETED"),
    ):
        change(key)
        await world.engine.keyring.fresh(at_once=True)
        assert (await world.call("GET"))[1]["status"] == status


async def test_publishing_with_an_unusable_key_is_refused(world: World) -> None:
    """400 with the state as the reason; nothing is stored."""
    key, _ = await world.bind()
    assert (await world.call("POST", "/publish", {"message": "hello"}))[0] == 200
    world.ring.disable(key)
    await world.engine.keyring.fresh(at_once=True)
    before = await snapshot(world.engine.store)
    status, failed = await world.call("POST", "/publish", {"message": "hello"})
    assert (status, failed["code"]) == (400, "APIGW.0201")
    assert f"{key} of the topic is DISABLED" in failed["message"]
    assert await snapshot(world.engine.store) == before


async def test_bad_requests_change_nothing(world: World) -> None:
    """Each answers its code, on a topic with a key and on one without."""
    key, binding = await world.bind()
    disabled, unknown = world.ring.disable(world.ring.create("off").id).id, str(uuid.uuid4())
    pending = world.ring.schedule_deletion(world.ring.create("late").id, 7).id
    bad_keys: tuple[Any, ...] = (
        *({}, {"key_id": 7}, {"key_id": None}, {"key_id": ""}, {"key_id": "0" * 32}),
        *({"key_id": f"{key}x"}, {"key_id": f"{key}\n"}, b"{", b"[]", b""),
        *({"key_id": name} for name in (disabled, pending, unknown)),
    )
    gone = world.target.replace(":demo", ":gone")
    table = [
        *(("PUT", f"{world.target}/kms/{binding}", body, 400, "APIGW.0201") for body in bad_keys),
        ("POST", f"{world.target}/kms", {"key_id": key}, 400, "APIGW.0201"),
        *(
            (method, f"{world.target}/kms/{other}", {"key_id": key}, 404, "SMN.0045")
            for method in ("PUT", "DELETE")
            for other in (MISSING, "x", binding[:-1], "%00")
        ),
        *(
            (method, f"{gone}/kms{tail}", {"key_id": key}, 404, "SMN.0006")
            for method, tail in (("POST", ""), ("GET", ""), ("PUT", "/x"), ("DELETE", "/x"))
        ),
        ("GET", f"{world.target.rpartition('/')[0]}/nonsense/kms", None, 400, "SMN.0005"),
    ]
    await _refused(world, table)
    await world.call("DELETE", f"/kms/{binding}")
    table = [
        *(("POST", f"{world.target}/kms", body, 400, "APIGW.0201") for body in bad_keys),
        ("PUT", f"{world.target}/kms/{binding}", {"key_id": key}, 404, "SMN.0045"),
        ("DELETE", f"{world.target}/kms/{binding}", None, 404, "SMN.0045"),
        ("GET", f"{world.target}/kms", None, 404, "SMN.0045"),
    ]
    await _refused(world, table)


async def _refused(world: World, table: list[tuple[str, str, Any, int, str]]) -> None:
    before = await snapshot(world.engine.store)
    for method, target, body, status, code in table:
        answer = await world.client.call(method, target, body)
        assert (answer.status, answer.json["code"]) == (status, code), (method, target, body)
        assert await snapshot(world.engine.store) == before, (method, target, body)
