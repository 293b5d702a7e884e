"""What every request goes through: identity, bodies, shapes of failures, request ids."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest

from engine.api import gateway
from engine.errors import Refused, StoreFull, StoreUnavailable
from engine.settings import Settings
from tests.api_client import ACCOUNT, PROJECT, TOPIC, Answer, Client, FakeEngine, serving

TOPICS = f"/v2/{PROJECT}/notifications/topics"
PUBLISH = f"{TOPICS}/{TOPIC}/publish"
HEX32 = re.compile(r"[0-9a-f]{32}")


def check_failure(answer: Answer, status: int, code: str) -> None:
    """The failure has both pairs that clients look for and one request id."""
    body = answer.json
    assert (answer.status, body["code"]) == (status, code), body
    assert (body["error_code"], body["error_msg"]) == (body["code"], body["message"])
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert HEX32.fullmatch(body["request_id"])
    assert answer.headers["Content-Type"].startswith("application/json")


async def test_a_signed_request_passes(client: Client) -> None:
    """What the official signer signs is accepted, and the ids agree."""
    answer = await client.call("POST", TOPICS, {"name": "demo"})
    assert answer.status == 201
    assert answer.json == {"request_id": answer.headers["X-Request-Id"], "topic_urn": TOPIC}


async def test_urns_and_queries_verify_encoded_and_plain(client: Client) -> None:
    """The signature covers the decoded path, however it was sent."""
    await client.call("POST", TOPICS, {"name": "demo"})
    for urn in (TOPIC, TOPIC.replace(":", "%3A")):
        target = f"{TOPICS}/{urn}/subscriptions?offset=0&fuzzy_remark=a%20b%2Fc&limit=2"
        assert (await client.call("GET", target)).status == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "x-auth-token not found"),
        ({"X-Auth-Token": "wrong"}, "decrypt token fail"),
        ({"Authorization": "Basic eDp5"}, "verify aksk signature fail"),
        ({"Authorization": "SDK-HMAC-SHA256 Access=x"}, "verify aksk signature fail"),
    ],
)
async def test_bad_credentials_are_a_401(
    client: Client, headers: dict[str, str], reason: str
) -> None:
    """Each way to be nobody has the gateway's code and its own reason."""
    answer = await client.call("GET", TOPICS, headers=headers, sign=False)
    check_failure(answer, 401, "APIGW.0301")
    assert reason in answer.json["message"]


async def test_an_unknown_access_key_is_a_401(client: Client) -> None:
    """A key that nobody holds."""
    headers = client.signed("GET", TOPICS)
    headers["Authorization"] = headers["Authorization"].replace(ACCOUNT.access_key, "AK")
    answer = await client.call("GET", TOPICS, headers=headers, sign=False)
    check_failure(answer, 401, "APIGW.0301")
    assert "Get secretKey failed" in answer.json["message"]


async def test_a_wrong_secret_shows_the_canonical_request(client: Client) -> None:
    """The caller can compare what the server signed with what it signed itself."""
    answer = await client.call("GET", TOPICS, secret_key="wrong")
    check_failure(answer, 401, "APIGW.0301")
    assert f"canonicalRequest:GET|{TOPICS}/||content-type:" in answer.json["message"]


async def test_another_project_is_a_403(client: Client) -> None:
    """Neither another project's path nor its topics can be reached."""
    other = "b" * 32
    foreign = f"urn:smn:region01:{other}:demo"
    check_failure(await client.call("GET", TOPICS.replace(PROJECT, other)), 403, "SMN.0001")
    check_failure(await client.call("GET", f"{TOPICS}/{foreign}"), 403, "SMN.0001")
    target = f"/v2/{PROJECT}/notifications/subscriptions/{foreign}:{'0' * 32}"
    check_failure(await client.call("DELETE", target), 403, "SMN.0001")


async def test_public_routes_ignore_credentials(client: Client) -> None:
    """SDKs sign every call; a bad signature on a public one does not matter."""
    headers = {"Authorization": "nonsense", "X-Auth-Token": "expired"}
    assert (await client.call("GET", "/v2", headers=headers, sign=False)).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "APIGW.0201"),
        (b"{", 400, "APIGW.0201"),
        (b"[]", 400, "APIGW.0201"),
        (b"null", 400, "APIGW.0201"),
        (b'{"name": "\xff"}', 400, "APIGW.0201"),
        (b'{"name": "a\\ud800"}', 400, "APIGW.0201"),
        (b"[" * 100_000, 400, "APIGW.0201"),
        (b"{}", 400, "SMN.0002"),
        (b'{"name": 1}', 400, "SMN.0002"),
        (b'{"name": null}', 400, "SMN.0002"),
        (b'{"name": "a\\u0000"}', 400, "SMN.0002"),
        (b'{"name": "a\\nb"}', 400, "SMN.0002"),
        (b'{"name": "a", "display_name": ["x"]}', 400, "SMN.0003"),
        (b'{"name": "a", "display_name": "x\\u007f"}', 400, "SMN.0003"),
        (b'{"name": "a", "enterprise_project_id": 0}', 400, "APIGW.0201"),
    ],
)
async def test_bad_bodies_answer_their_code(
    client: Client, engine: FakeEngine, body: bytes, status: int, code: str
) -> None:
    """Malformed JSON, wrong types and control characters never reach the engine."""
    check_failure(await client.call("POST", TOPICS, body), status, code)
    assert not engine.topics.known


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"message_structure": {"default": "x"}}, 400, "SMN.0021"),
        ({"message_template_name": 7}, 400, "SMN.0042"),
        ({"message_attributes": "a"}, 400, "SMN.0043"),
        ({"message": 1}, 403, "SMN.0009"),
        ({"subject": "a\nb"}, 403, "SMN.0008"),
        ({"subject": {}}, 403, "SMN.0008"),
        ({"time_to_live": "soon"}, 400, "APIGW.0201"),
        ({"time_to_live": True}, 400, "APIGW.0201"),
        ({"time_to_live": "-1"}, 400, "APIGW.0201"),
        ({"time_to_live": 1.5}, 400, "APIGW.0201"),
    ],
)
async def test_bad_messages_answer_their_code(
    client: Client, engine: FakeEngine, fields: dict[str, object], status: int, code: str
) -> None:
    """What cannot be delivered as asked for is refused, not ignored."""
    body = {"message": "hello"} | fields
    check_failure(await client.call("POST", PUBLISH, body), status, code)
    assert not engine.published


async def test_publish_passes_on_what_it_was_given(client: Client, engine: FakeEngine) -> None:
    """TTL as text or number; the idempotency key with the hash of the body as sent."""
    await client.call("POST", PUBLISH, {"message": "m", "time_to_live": "60", "unknown": []})
    await client.call(
        "POST",
        PUBLISH,
        {"message": "m", "subject": "s", "time_to_live": 60},
        headers={"Idempotency-Key": "k"},
    )
    first, second = engine.published
    assert first == {
        "topic_urn": TOPIC,
        "message": "m",
        "subject": None,
        "ttl": 60,
        "idempotency_key": None,
        "request_hash": None,
    }
    assert (second["ttl"], second["subject"], second["idempotency_key"]) == (60, "s", "k")
    assert re.fullmatch(r"[0-9a-f]{64}", second["request_hash"])


async def test_a_body_over_the_limit_is_a_413(client: Client, engine: FakeEngine) -> None:
    """12 MB pass the gateway, one byte more does not; declared or not."""
    big = b" " * (12 * 1024 * 1024 + 1)
    headers = client.signed("POST", TOPICS, big)
    check_failure(await client.call("POST", TOPICS, big), 413, "APIGW.0201")

    async def chunks() -> object:
        for start in range(0, len(big), 1 << 20):
            yield big[start : start + (1 << 20)]

    async with client._session.post(
        f"{client.url}{TOPICS}", data=chunks(), headers=headers
    ) as response:
        assert response.status == 413


async def test_a_log_in_body_is_small(client: Client) -> None:
    """Anybody may send one, so 64 KiB are enough."""
    answer = await client.call("POST", "/v3/auth/tokens", b" " * 65_537, sign=False)
    assert answer.status == 413
    assert answer.json["error"]["code"] == 413


async def test_credentials_are_checked_before_a_body_is_read(client: Client) -> None:
    """A stranger cannot make the server take in 12 MB."""
    reader, writer = await asyncio.open_connection(*client.url[7:].split(":"))
    writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" % TOPICS.encode())
    async with asyncio.timeout(5):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_a_body_that_does_not_come_is_a_408(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is not held for ever by half a request."""
    monkeypatch.setattr(gateway, "_BODY_S", 0.05)
    headers = {**client.signed("POST", TOPICS, b"{}"), "Content-Length": "2"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection(*client.url[7:].split(":"))
    writer.write(f"POST {TOPICS} HTTP/1.1\r\n{head}\r\n{{".encode())
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()


async def test_expect_continue_is_answered(client: Client) -> None:
    """Clients with large bodies wait for it."""
    headers = {"Expect": "100-continue"}
    answer = await client.call("POST", TOPICS, {"name": "demo"}, headers=headers)
    assert answer.status == 201


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("no"), 500, "SMN.0016"),
        (StoreFull("no"), 429, "APIGW.0308"),
        (Refused("APIGW.0308", "busy", retry_after=7), 429, "APIGW.0308"),
        (RuntimeError("secret detail"), 500, "SMN.0018"),
    ],
)
async def test_trouble_has_its_code(
    client: Client,
    engine: FakeEngine,
    error: Exception,
    status: int,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ours to answer for: no detail for the caller, the request id in the log."""
    engine.error = error
    answer = await client.call("POST", PUBLISH, {"message": "m"})
    check_failure(answer, status, code)
    assert "secret detail" not in answer.raw.decode()
    assert ("Retry-After" in answer.headers) == (status == 429)
    if status == 500:
        (logged,) = (one for one in caplog.records if one.levelno >= logging.WARNING)
        assert vars(logged)["request_id"] == answer.headers["X-Request-Id"]


async def test_an_unreachable_store_is_a_500_while_authenticating(
    client: Client, engine: FakeEngine
) -> None:
    """Nobody is called unknown only because the store cannot be asked."""
    engine.directory.error = StoreUnavailable("no")
    check_failure(await client.call("GET", TOPICS), 500, "SMN.0016")


@pytest.mark.parametrize("target", ["/nowhere", "/v2/%ff", f"{TOPICS}?{'a=1&' * 100}"])
async def test_every_failure_has_a_request_id(client: Client, target: str) -> None:
    """Also what no operation handles."""
    answer = await client.call("GET", target, sign=False)
    assert answer.status in {400, 404}
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


async def test_what_is_not_http_has_a_request_id(client: Client) -> None:
    """Even an unparsable request gets one."""
    reader, writer = await asyncio.open_connection(*client.url[7:].split(":"))
    writer.write(b"NONSENSE\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert f"X-Request-Id: {json.loads(body)['request_id']}".encode() in head


async def test_a_request_is_one_event_without_secrets(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names operation and outcome; neither query, credentials nor bodies."""
    caplog.set_level(logging.INFO, "tocsin.api")
    await client.call("GET", "/smn/subscription/confirm?token=t0k3n", sign=False)
    await client.call("POST", TOPICS, {"name": "news", "display_name": "pr1vate"})
    events = [vars(one) for one in caplog.records if one.getMessage() == "request.answered"]
    assert [(one["operation"], one["status"], one["code"]) for one in events] == [
        ("ConfirmPage", 403, "SMN.0022"),
        ("CreateTopic", 201, "-"),
    ]
    for event in events:
        assert not re.search("t0k3n|pr1vate|Signature=", str(event))


async def test_health_needs_no_credentials(client: Client, engine: FakeEngine) -> None:
    """Alive is not ready: a reason makes the second one 503."""
    assert (await client.call("GET", "/healthz", sign=False)).status == 200
    assert (await client.call("HEAD", "/readyz", sign=False)).status == 200
    engine.reason = "Redis is away"
    answer = await client.call("GET", "/readyz", sign=False)
    assert (answer.status, answer.json["reason"]) == (503, "Redis is away")


async def test_a_client_that_goes_away_is_no_trouble(
    client: Client, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body and a closed connection leave one quiet event and change nothing."""
    caplog.set_level(logging.INFO, "tocsin.api")
    headers = client.signed("POST", TOPICS, b'{"name": "demo"}')
    _, writer = await asyncio.open_connection(*client.url[7:].split(":"))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST {TOPICS} HTTP/1.1\r\n{head}Content-Length: 16\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    async with asyncio.timeout(5):
        while not caplog.records:
            await asyncio.sleep(0.01)
    assert [one.levelname for one in caplog.records] == ["INFO"]
    assert not engine.topics.known


async def test_a_forwarded_host_counts_only_from_a_trusted_proxy(settings: Settings) -> None:
    """Behind a trusted proxy the signature is checked for the host that the client saw."""
    for networks, status in (("127.0.0.0/8", 200), ("", 401)):
        chosen = settings.model_copy(update={"trusted_proxies": networks})
        async with serving(FakeEngine(), chosen) as (client, _):
            headers = client.signed("GET", TOPICS, headers={"Host": "smn.example"})
            del headers["Host"]
            headers["X-Forwarded-Host"] = "smn.example"
            answer = await client.call("GET", TOPICS, headers=headers, sign=False)
            assert answer.status == status
