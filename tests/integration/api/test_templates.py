"""Message templates over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.settings import Settings
from tests.api_client import Answer, Client, serving
from tests.engines import open_engine, snapshot

MISSING = "0" * 32


@dataclass
class World:
    """A running API on an empty data set; no worker runs."""

    engine: Engine
    client: Client

    async def call(self, method: str, tail: str = "", body: Any = None) -> Answer:
        project = self.client.account.project_id
        target = f"/v2/{project}/notifications/message_template{tail}"
        return await self.client.call(method, target, body)

    async def create(self, name: str, content: str = "hello", **fields: Any) -> str:
        body = {"message_template_name": name, "content": content} | fields
        answer = await self.call("POST", body=body)
        assert answer.status == 201, answer.raw
        return str(answer.json["message_template_id"])

    async def refuses(self, method: str, tail: str, body: Any, status: int, code: str) -> None:
        before = await snapshot(self.engine.store)
        answer = await self.call(method, tail, body)
        said = f"{method} {tail} {str(body)[:80]}: {answer.raw[:200]!r}"
        assert (answer.status, answer.json["code"]) == (status, code), said
        assert await snapshot(self.engine.store) == before, said


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """The quota is small."""
    async with open_engine(redis_url, tmp_path, quota_templates=4) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield World(engine, client)


async def test_a_template_lives_as_documented(world: World) -> None:
    """Created, shown, listed, updated, deleted, gone."""
    template = await world.create("welcome", "Hi {name}, {b} {name}", protocol="https")
    shown = (await world.call("GET", f"/{template}")).json
    assert shown.pop("request_id")
    assert shown.pop("create_time") == shown.pop("update_time")
    assert shown == {
        "message_template_id": template,
        "message_template_name": "welcome",
        "protocol": "https",
        "tag_names": ["name", "b"],
        "content": "Hi {name}, {b} {name}",
    }
    changed = await world.call("PUT", f"/{template}", {"content": "{z}", "protocol": "email"})
    assert set(changed.json) == {"request_id"}
    shown = (await world.call("GET", f"/{template}")).json
    assert (shown["content"], shown["tag_names"], shown["protocol"]) == ("{z}", ["z"], "https")
    assert (await world.call("DELETE", f"/{template}")).status == 200
    await world.refuses("GET", f"/{template}", None, 404, "SMN.0027")
    await world.create("welcome", protocol="https")


async def test_without_a_protocol_it_is_the_default(world: World) -> None:
    """Which publishing by template needs."""
    template = await world.create("a")
    assert (await world.call("GET", f"/{template}")).json["protocol"] == "default"


async def test_lists_are_in_order_of_creation(world: World) -> None:
    """Filters are exact, pages count all matches, and no content is shown."""
    ids = [
        await world.create("one"),
        await world.create("one", protocol="sms"),
        await world.create("two", protocol="sms"),
    ]

    async def listed(query: str) -> tuple[int, list[str]]:
        found = (await world.call("GET", query)).json
        items = found["message_templates"]
        assert all("content" not in item for item in items)
        return found["message_template_count"], [item["message_template_id"] for item in items]

    assert await listed("") == (3, ids)
    assert await listed("?message_template_name=one") == (2, ids[:2])
    assert await listed("?protocol=sms&limit=1") == (2, [ids[1]])
    assert await listed("?protocol=sms&offset=1") == (2, [ids[2]])
    assert await listed("?offset=5") == (3, [])
    assert await listed(f"?marker={ids[0]}&limit=1") == (3, [ids[1]])
    assert await listed("?message_template_name=on") == (0, [])


async def test_bad_templates_change_nothing(world: World) -> None:
    """Each answers its code."""
    await world.create("taken")
    good = {"message_template_name": "a", "content": "x"}
    for name in (None, 7, "", "-a", "a b", "ä", "a" * 65, "a\n"):
        body = good | {"message_template_name": name}
        await world.refuses("POST", "", body, 400, "SMN.0032")
    for protocol in ("", "pigeon", 7, "Email"):
        await world.refuses("POST", "", good | {"protocol": protocol}, 400, "SMN.0011")
    for content in ("", None, 7, "a" * 262_145):
        await world.refuses("POST", "", good | {"content": content}, 400, "SMN.0024")
    many = "".join(f"{{v{number}}}" for number in range(91))
    await world.refuses("POST", "", good | {"content": many}, 403, "SMN.0075")
    await world.refuses("POST", "", {"content": "x"}, 400, "SMN.0032")
    await world.refuses("POST", "", {"message_template_name": "a"}, 400, "SMN.0024")
    await world.refuses("POST", "", b"{", 400, "APIGW.0201")
    taken = good | {"message_template_name": "taken"}
    await world.refuses("POST", "", taken, 400, "SMN.0025")
    await world.refuses("POST", "", taken | {"protocol": "default"}, 400, "SMN.0025")
    await world.refuses("GET", "?message_template_name=-", None, 400, "SMN.0032")
    await world.refuses("GET", "?limit=0", None, 400, "SMN.0015")


async def test_bad_changes_change_nothing(world: World) -> None:
    """Of what is there and of what is not."""
    template = await world.create("a")
    for content in ("", None, 7, "a" * 262_145):
        await world.refuses("PUT", f"/{template}", {"content": content}, 400, "SMN.0024")
    await world.refuses("PUT", f"/{template}", {"content": "{a}" * 257}, 403, "SMN.0075")
    await world.refuses("PUT", f"/{MISSING}", {"content": "x"}, 404, "SMN.0027")
    await world.refuses("DELETE", f"/{MISSING}", None, 404, "SMN.0027")
    for identifier in ("nonsense", "A" * 32, "0" * 31):
        await world.refuses("GET", f"/{identifier}", None, 400, "SMN.0031")
        await world.refuses("DELETE", f"/{identifier}", None, 400, "SMN.0031")
        await world.refuses("PUT", f"/{identifier}", {"content": "x"}, 400, "SMN.0031")


async def test_a_project_has_so_many(world: World) -> None:
    """One more is refused; after a deletion there is room again."""
    ids = [await world.create(f"t{number}") for number in range(4)]
    more = {"message_template_name": "more", "content": "x"}
    await world.refuses("POST", "", more, 400, "SMN.0044")
    await world.call("DELETE", f"/{ids[0]}")
    await world.create("more")


async def test_scripts_run_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose reply was lost sends them again: the second run changes nothing more."""
    store = world.engine.store
    run = store.run

    async def twice(*call: Any, **how: Any) -> Any:
        first = await run(*call, **how)
        before = _untimed(await snapshot(store))
        await run(*call, **how)
        assert _untimed(await snapshot(store)) == before
        return first

    monkeypatch.setattr(store, "run", twice)
    template = await world.create("a")
    assert (await world.call("PUT", f"/{template}", {"content": "y"})).status == 200
    assert (await world.call("DELETE", f"/{template}")).status == 200


def _untimed(found: dict[str, Any]) -> dict[str, Any]:
    """Without the time of the last update."""
    name = next((name for name in found if name.endswith(":templates")), None)
    if name is not None:
        found[name] = {k: value.split(b" ", 2)[::2] for k, value in found[name].items()}
    return found
