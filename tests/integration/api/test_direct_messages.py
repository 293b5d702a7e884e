"""Messages to one endpoint of an application, and texts to numbers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Refused
from engine.models import Kind, Limits, Outcome, Rejected, Retry
from engine.ports import MobileDevice
from engine.settings import Settings
from engine.testing import RecordingAdapter, Sent
from tests.applications import APNS, HMS, MISSING, World, open_world
from tests.engines import all_ended, names_of_keys, working


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """Mobile push is enabled."""
    async with open_world(redis_url, tmp_path, settings) as world:
        yield world


async def test_a_message_reaches_one_endpoint(world: World) -> None:
    """A direct message, addressed by URN; the adapter finds the device and what it needs."""
    application = await world.create(HMS)
    urn = await world.register(application, "token-1", "Ann")
    await world.register(application, "token-2")
    body = {"message": '{"hps": {}}', "time_to_live": "60"}
    answer = await world.call("POST", f"endpoints/{urn}/publish", body)
    assert answer.status == 200
    async with working(world.engine):
        await all_ended(world.engine)
    (sent,) = world.push.sent
    assert (sent.message.id, sent.message.kind) == (answer.json["message_id"], Kind.DIRECT)
    assert sent.message.text("application") == '{"hps": {}}'
    assert sent.message.deadline_ms - sent.message.created_ms == 60_000
    assert sent.subscription.endpoint == urn
    assert await world.devices.find(urn) == MobileDevice(
        platform="HMS",
        token="token-1",
        enabled=True,
        principal=HMS["platform_principal"],
        credential=HMS["platform_credential"],
    )


async def test_a_structure_is_resolved_for_the_platform(world: World) -> None:
    """An object becomes the text of its JSON."""
    urn = await world.register(await world.create(APNS), "t")
    structure = json.dumps({"APNS": {"aps": {"alert": "hé"}}, "HMS": "x"})
    await world.call("POST", f"endpoints/{urn}/publish", {"message_structure": structure})
    async with working(world.engine):
        await all_ended(world.engine)
    assert world.push.sent[0].message.text("application") == '{"aps":{"alert":"hé"}}'


async def test_bad_messages_to_endpoints_change_nothing(world: World) -> None:
    """Each answers its code; a disabled endpoint gets nothing."""
    urn = await world.register(await world.create(HMS), "t")
    target = f"endpoints/{urn}/publish"
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"message": ""},
        {"message": 7},
        {"message": "a" * 2049},
    )
    for body in wrong:
        await world.refuses("POST", target, body, 403, "SMN.0009")
    for text in ("x", "{}", '{"APNS": "x"}', 7):
        await world.refuses("POST", target, {"message_structure": text}, 400, "SMN.0021")
    for ttl in ("0", "x", 86_401, -1):
        body = {"message": "m", "time_to_live": ttl}
        await world.refuses("POST", target, body, 400, "APIGW.0201")
    await world.call("PUT", f"endpoints/{urn}", {"enabled": "false"})
    await world.refuses("POST", target, {"message": "m"}, 400, "SMN.0136")


async def test_a_deleted_application_withdraws_what_waits(world: World) -> None:
    """Its endpoints are gone, and nothing of it stays."""

    def down(sent: Sent) -> Outcome:
        return Retry("the platform is down")

    world.push._judge = down
    application = await world.create(HMS)
    urn = await world.register(application, "t")
    found = await world.engine.applications.get(world.project, application)
    await world.call("POST", f"endpoints/{urn}/publish", {"message": "m"})
    assert (await world.call("DELETE", f"applications/{application}")).status == 200
    async with working(world.engine):
        await all_ended(world.engine)
        await world.engine.retention.purge(world.engine.keys.shard_of_topic(found.id))
    assert not world.push.sent
    assert not {name for name in await names_of_keys(world.engine.store) if found.id in name}


async def test_a_text_goes_to_a_number(world: World) -> None:
    """Without topic or subscription, through the adapter of SMS."""
    body = {"endpoint": "+4912345678", "message": "your code is 42", "sign_id": "x"}
    answer = await world.call("POST", "sms", body)
    assert answer.status == 200
    assert set(answer.json) == {"request_id", "message_id"}
    async with working(world.engine):
        await all_ended(world.engine)
    entries = await world.engine.outbox.read(count=10)
    assert [(one.endpoint, one.fields["text"]) for one in entries] == [
        ("+4912345678", "your code is 42")
    ]


async def test_bad_texts_change_nothing(world: World) -> None:
    """Each answers its code."""
    good = {"endpoint": "13600000000", "message": "m"}
    for endpoint in (None, 7, "", "Ann", "+", "1" * 65):
        await world.refuses("POST", "sms", good | {"endpoint": endpoint}, 400, "SMN.0012")
    for message in (None, 7, "", "a" * 262_145):
        await world.refuses("POST", "sms", good | {"message": message}, 403, "SMN.0009")
    del world.engine.adapters["sms"]
    await world.refuses("POST", "sms", good, 400, "SMN.0011")


async def test_direct_messages_are_found_by_what_they_belong_to(world: World) -> None:
    """In log and dead letters: an application by its URN, texts to numbers by the project's."""
    engine, refused = world.engine, Rejected("not today")
    application = await world.create(HMS)
    urn = await world.register(application, "token-1")
    sms = RecordingAdapter("sms", limits=Limits(confirm=False))
    engine.adapters["sms"] = sms
    for adapter in (world.push, sms):
        adapter._judge = lambda sent: refused
    assert (await world.call("POST", f"endpoints/{urn}/publish", {"message": "m"})).status == 200
    text = {"endpoint": "+8613600000000", "message": "m"}
    assert (await world.call("POST", "sms", text)).status == 200
    async with working(engine):
        await all_ended(engine)
        texts = f"urn:smn:region01:{world.project}:sms:direct"
        for home, protocol in ((application, "application"), (texts, "sms")):
            (letter,) = await engine.dead_letters(home)
            assert letter.protocol == protocol
            (line,) = await engine.delivery_log(home)
            assert (line.protocol_name, line.status) == (protocol, "FAIL_DELIVERED")
        assert await engine.redrive(application) == 1
        await all_ended(engine)
    assert await engine.drop(texts) == 1
    assert len(await engine.dead_letters()) == 1
    for unknown, code in (
        (f"{application}x", "SMN.0122"),
        (texts.replace(world.project, MISSING), "SMN.0006"),
        (f"urn:smn:region01:{world.project}:gone", "SMN.0006"),
        ("nonsense", "SMN.0006"),
    ):
        with pytest.raises(Refused, match=code):
            await engine.redrive(unknown)
        with pytest.raises(Refused, match=code):
            await engine.delivery_log(unknown)
