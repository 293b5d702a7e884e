"""Rejected requests answer their contract code and change nothing in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.settings import Settings
from tests.worlds import World, open_world

MISSING = "0" * 32


@dataclass
class Bad:
    """A request and the answer it must get; ``{…}`` in the target are the world's names."""

    method: str
    target: str
    body: Any
    status: int
    code: str
    headers: dict[str, str] | None = None
    sign: bool = True

    def __str__(self) -> str:
        shown = repr(self.body)[:40]
        return f"{self.method} {self.target} {shown} {self.headers or ''} {self.code}"


TOPICS = "/v2/{project}/notifications/topics"
TOPIC = TOPICS + "/{topic}"
GONE = TOPICS + "/urn:smn:region01:{project}:gone"
ADD = TOPIC + "/subscriptions"
PUBLISH = TOPIC + "/publish"
SUBSCRIPTIONS = "/v2/{project}/notifications/subscriptions"
BIG = b'{"name": "' + b"a" * (12 * 1024 * 1024) + b'"}'

NO_NAMES: tuple[Any, ...] = (1, None, [], {}, True, "", "-a", "a b", "a/b", "ä", "a\n")


def subscription(**fields: Any) -> dict[str, Any]:
    """A good subscription but for ``fields``."""
    return {"protocol": "http", "endpoint": "http://127.0.0.1:9/x"} | fields


def message(**fields: Any) -> dict[str, Any]:
    """A good message but for ``fields``."""
    return {"message": "hello"} | fields


TABLE = [
    # Malformed JSON
    *(
        Bad("POST", TOPICS, body, 400, "APIGW.0201")
        for body in (
            b"",
            b"{",
            b"[]",
            b'"x"',
            b"{} x",
            b'{"name": "\\ud800"}',
            b"\xff\xfe",
            b"[" * 9999,
        )
    ),
    Bad("PUT", TOPIC, b"{", 400, "APIGW.0201"),
    Bad("POST", PUBLISH, b'{"message": "\\ud83d"}', 400, "APIGW.0201"),
    Bad("POST", ADD, b"{", 400, "SMN.0043"),
    # Over the limits
    Bad("POST", TOPICS, BIG, 413, "APIGW.0201"),
    Bad("POST", TOPICS, {"name": "a" * 256}, 400, "SMN.0002"),
    Bad("POST", TOPICS, {"name": "a", "display_name": "名" * 65}, 400, "SMN.0003"),
    Bad("PUT", TOPIC, {"display_name": "a" * 193}, 400, "SMN.0003"),
    Bad("POST", ADD, subscription(remark="a" * 129), 400, "SMN.0017"),
    Bad("POST", ADD, subscription(endpoint="http://a/" + "a" * 9999), 400, "SMN.0012"),
    Bad("POST", PUBLISH, message(message="a" * 262_145), 403, "SMN.0009"),
    Bad("POST", PUBLISH, message(message="名" * 87_382), 403, "SMN.0009"),
    Bad("POST", PUBLISH, message(message=""), 403, "SMN.0009"),
    Bad("POST", PUBLISH, {}, 403, "SMN.0009"),
    Bad("POST", PUBLISH, message(subject="a" * 513), 403, "SMN.0008"),
    *(
        Bad("POST", PUBLISH, message(time_to_live=value), 400, "APIGW.0201")
        for value in ("0", 0, -1, "86401", 86_401, "1.5", 1.5, "", True, "9" * 99, 10**99)
    ),
    *(
        Bad("GET", f"{TOPICS}?{query}", None, 400, "SMN.0015")
        for query in ("limit=0", "limit=101", "offset=-1", "limit=ten", "offset=99999999999999")
    ),
    # Wrong types
    *(Bad("POST", TOPICS, {"name": name}, 400, "SMN.0002") for name in NO_NAMES),
    Bad("POST", TOPICS, {"name": "a", "display_name": 7}, 400, "SMN.0003"),
    Bad("POST", ADD, subscription(protocol=7), 400, "SMN.0011"),
    Bad("POST", ADD, subscription(protocol="carrier-pigeon"), 400, "SMN.0011"),
    Bad("POST", ADD, subscription(protocol=""), 400, "SMN.0011"),
    Bad("POST", ADD, subscription(endpoint={}), 400, "SMN.0012"),
    Bad("POST", ADD, subscription(endpoint=""), 400, "SMN.0012"),
    Bad("POST", ADD, subscription(endpoint="ftp://example.com"), 400, "SMN.0012"),
    Bad("POST", ADD, subscription(endpoint="http://10.0.0.1/x"), 403, "SMN.0069"),
    Bad("POST", ADD, subscription(remark=7), 400, "SMN.0017"),
    Bad("POST", ADD, subscription(extension="x"), 400, "SMN.0043"),
    Bad("POST", ADD, subscription(extension={"header": {"x-smn-a": "b"}}), 400, "SMN.0043"),
    Bad("POST", ADD, subscription(subscriptions=[subscription()]), 400, "SMN.0043"),
    Bad("POST", PUBLISH, message(message=["x"]), 403, "SMN.0009"),
    Bad("POST", PUBLISH, message(subject=7), 403, "SMN.0008"),
    Bad("POST", PUBLISH, message(message_structure='{"default": "x"}'), 400, "SMN.0021"),
    Bad("POST", PUBLISH, message(message_structure={}), 400, "SMN.0021"),
    Bad("POST", PUBLISH, message(message_template_name="t"), 404, "SMN.0076"),
    Bad("POST", PUBLISH, message(message_attributes=[{}]), 400, "SMN.0043"),
    # Unknown and malformed names
    Bad("GET", GONE, None, 404, "SMN.0006"),
    Bad("PUT", GONE, {"display_name": "x"}, 404, "SMN.0006"),
    Bad("DELETE", GONE, None, 404, "SMN.0006"),
    Bad("POST", f"{GONE}/publish", message(), 404, "SMN.0006"),
    Bad("POST", f"{GONE}/subscriptions", subscription(), 404, "SMN.0006"),
    Bad("GET", f"{GONE}/subscriptions", None, 404, "SMN.0006"),
    Bad("DELETE", f"{TOPICS}/nonsense", None, 400, "SMN.0005"),
    Bad("DELETE", f"{TOPIC}%00", None, 400, "SMN.0005"),
    Bad("DELETE", f"{TOPICS}/%ff", None, 400, "APIGW.0201"),
    Bad("DELETE", f"{SUBSCRIPTIONS}/nonsense", None, 400, "SMN.0014"),
    Bad("DELETE", SUBSCRIPTIONS + "/{topic}:" + MISSING, None, 404, "SMN.0013"),
    Bad("DELETE", ADD + "/{topic}x:" + MISSING, None, 404, "SMN.0013"),
    Bad("DELETE", f"/v2/{MISSING}/notifications/topics/{{topic}}", None, 403, "SMN.0001"),
    Bad("DELETE", f"{TOPICS}/urn:smn:region01:{MISSING}:demo", None, 403, "SMN.0001"),
    Bad("DELETE", TOPICS, None, 404, "APIGW.0101"),
    Bad("GET", "/v2/x/y/z", None, 404, "APIGW.0101"),
    # Control characters
    Bad("POST", TOPICS, {"name": "a\x00b"}, 400, "SMN.0002"),
    Bad("POST", TOPICS, {"name": "a", "display_name": "a\x1bb"}, 400, "SMN.0003"),
    Bad("PUT", TOPIC, {"display_name": "a\x7f"}, 400, "SMN.0003"),
    Bad("POST", ADD, subscription(endpoint="http://a/\r\nX: y"), 400, "SMN.0012"),
    Bad("POST", ADD, subscription(remark="\x00"), 400, "SMN.0017"),
    Bad("POST", PUBLISH, message(subject="a\r\nBcc: b"), 403, "SMN.0008"),
    # Headers
    *(
        Bad("POST", PUBLISH, message(), 400, "TOCSIN.0003", {"Idempotency-Key": value})
        for value in ("", "é", "a" * 129)
    ),
    *(
        Bad("DELETE", TOPIC, None, 401, "APIGW.0301", {"Authorization": value}, sign=False)
        for value in (
            *("", "x", "Basic x", "SDK-HMAC-SHA256 Access=x", "SDK-HMAC-SHA256 " + "=," * 999),
            f"SDK-HMAC-SHA256 Access=x, SignedHeaders=host, Signature={'0' * 64}",
            f"SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
            "V11-HMAC-SHA256 Credential=a/20260102/region01/smn, SignedHeaders=a, Signature=0",
        )
    ),
    Bad("DELETE", TOPIC, None, 401, "APIGW.0301", {"X-Auth-Token": "x"}, sign=False),
    Bad("DELETE", TOPIC, None, 401, "APIGW.0301", sign=False),
]


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """A topic, a subscription to confirm, a confirmed one and a message."""
    async with open_world(redis_url, tmp_path, settings) as world:
        world.names["topic"] = topic = await world.topic()
        assert (await world.call("POST", ADD, subscription())).status == 201
        await world.engine.subscribe(topic, "sms", "13600000000", confirmed=True)
        assert (await world.call("POST", PUBLISH, message())).status == 200
        yield world


async def test_rejected_requests_change_nothing(world: World) -> None:
    """Each line of the table answers its code; every key is byte for byte what it was."""
    assert len(await world.dump()) > 5
    for bad in TABLE:
        await world.refuses(
            *(bad.method, bad.target, bad.body),
            status=bad.status,
            code=bad.code,
            headers=bad.headers,
            sign=bad.sign,
        )


async def test_an_idempotency_key_is_good_for_one_body(world: World) -> None:
    """The same body again answers the same id; another one is refused and not stored."""
    headers = {"Idempotency-Key": "order-4711"}
    first = await world.call("POST", PUBLISH, message(), headers=headers)
    again = await world.call("POST", PUBLISH, message(), headers=headers)
    assert first.json["message_id"] == again.json["message_id"]
    other = message(subject="s")
    await world.refuses("POST", PUBLISH, other, status=409, code="TOCSIN.0001", headers=headers)


@pytest.mark.parametrize(
    "target",
    [
        "/smn/subscription/unsubscribe?subscription_urn={topic}:" + MISSING,
        "/smn/subscription/unsubscribe?subscription_urn={own}&sig=" + MISSING,
        "/v2/notifications/subscriptions/unsubscribe?subscription_urn={own}&sig=",
        "/smn/subscription/confirm?token=00",
        "/smn/subscription/confirm?token=" + "0" * 128,
        "/v2/notifications/subscriptions/subscribe?token=é",
    ],
)
async def test_bad_links_change_nothing(world: World, target: str) -> None:
    """Whatever is wrong with a link, its subscription stays as it is."""
    listed = await world.engine.subscriptions.list_by_topic(world.names["topic"])
    world.names["own"] = listed.items[0].urn
    before = await world.dump()
    answer = await world.call("GET", target, sign=False)
    assert answer.status in {400, 403, 404}
    assert await world.dump() == before
