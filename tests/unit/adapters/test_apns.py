"""APNS: what Apple is sent, with which certificate, and what its answers mean."""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from adapters.push import PushSettings
from engine.errors import ConfigurationError
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, CertificateRefused, MobileDevice, TransportError, Unsent
from engine.testing import EPOCH_MS, InstantTransport
from tests.apple import BUNDLE, apple, push_certificate
from tests.apple_push import DEVICE
from tests.pushing import PushPhone, subscribed

SUBSCRIPTION = subscribed("APNS")
URN = SUBSCRIPTION.endpoint
AGAIN = "authenticate the application again"
EXPIRES = dt.datetime.fromtimestamp(EPOCH_MS / 1000, dt.UTC) + dt.timedelta(days=1)
CERTIFICATE, KEY = push_certificate(EXPIRES)
ALERT = {"aps": {"alert": "hello"}}


def device(
    certificate: str = CERTIFICATE, key: str = KEY, *, platform: str = "APNS", token: str = DEVICE
) -> MobileDevice:
    """One of an application."""
    return MobileDevice(platform, token, True, certificate, key)


class Phone(PushPhone):
    """An adapter, what it sends, and one device."""

    usual = ALERT

    def __init__(self, known: MobileDevice | None = None, **given: Any) -> None:
        self.http2 = InstantTransport()
        settings = PushSettings(enabled=True, **given)
        super().__init__(SUBSCRIPTION, known or device(), settings, http2=self.http2)

    @property
    def headers(self) -> dict[str, str]:
        """Of the last request."""
        return dict(self.http2.requests[-1].headers)


# What is sent


async def test_a_push_is_a_request_for_the_device() -> None:
    """The payload is the message as it was written; headers say what Apple asks for."""
    phone = Phone()
    text = '{ "aps": {"alert": {"title": "é"}}, "order": 7 }'
    assert await phone.push(text) == Delivered(200)
    (request,) = phone.http2.requests
    assert request.method == "POST"
    assert request.url == f"https://api.push.apple.com/3/device/{DEVICE}"
    assert request.body == text.encode()
    headers = dict(request.headers)
    assert headers.pop("apns-id") == headers.pop("apns-collapse-id")
    assert headers == {
        "content-type": "application/json",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(EPOCH_MS // 1000 + 3600),
        "apns-topic": BUNDLE,
    }


async def test_the_certificate_is_the_applications(tmp_path: Path) -> None:
    """With its key, and the authorities that settings name."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(apple().pem)
    phone = Phone(apns_ca_file=authorities)
    await phone.push()
    shown = phone.http2.requests[0].certificate
    assert shown is not None
    assert base64.b64encode(shown.chain).decode() == CERTIFICATE
    assert base64.b64encode(shown.key).decode() == KEY
    assert shown.ca_file == authorities
    assert KEY not in repr(shown)
    assert repr(shown.key) not in repr(shown)


async def test_the_sandbox_is_another_server() -> None:
    """Both can be elsewhere."""
    phone = Phone(device(platform="APNS_SANDBOX"))
    await phone.push()
    assert phone.http2.requests[0].url.startswith("https://api.sandbox.push.apple.com/3/device/")
    phone = Phone(device(platform="APNS_SANDBOX"), apns_sandbox_url="https://localhost:2197")
    await phone.push()
    assert phone.http2.requests[0].url.startswith("https://localhost:2197/3/device/")


async def test_each_attempt_has_the_same_id_and_each_delivery_its_own() -> None:
    """A UUID in its canonical form, of message and subscription."""
    phone = Phone()
    other = SUBSCRIPTION._replace(id="c" * 32)
    for subscription, message_id in ((SUBSCRIPTION, "1"), (other, "1"), (SUBSCRIPTION, "2")):
        for _ in range(2):
            await phone.push(subscription=subscription, id=message_id * 32)
    ids = [dict(request.headers)["apns-id"] for request in phone.http2.requests]
    assert ids[0::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert all(str(uuid.UUID(one)) == one for one in ids)


@pytest.mark.parametrize(
    ("aps", "kind", "priority"),
    [
        ({"alert": "a"}, "alert", "10"),
        ({"badge": 0}, "alert", "10"),
        ({"sound": "default"}, "alert", "10"),
        ({"alert": "a", "content-available": 1}, "alert", "10"),
        ({"content-available": 1}, "background", "5"),
        ({"content-available": 1, "alert": None}, "background", "5"),
        ({}, "alert", "10"),
    ],
)
async def test_type_and_priority_follow_from_the_payload(
    aps: dict[str, Any], kind: str, priority: str
) -> None:
    """Apple refuses 10 for what only wakes the application up."""
    phone = Phone()
    await phone.push({"aps": aps})
    assert phone.headers["apns-push-type"] == kind
    assert phone.headers["apns-priority"] == priority


@pytest.mark.parametrize("kind", ["voip", "complication"])
async def test_a_certificate_for_a_service_of_its_own_says_the_type(kind: str) -> None:
    """By the end of its bundle id."""
    phone = Phone(device(*push_certificate(EXPIRES, bundle=f"{BUNDLE}.{kind}")))
    await phone.push({"aps": {"content-available": 1}})
    assert phone.headers["apns-push-type"] == kind
    assert phone.headers["apns-topic"] == f"{BUNDLE}.{kind}"
    assert phone.headers["apns-priority"] == "10"


async def test_apple_keeps_a_message_until_its_deadline() -> None:
    """Whenever the attempt is; a redriven one lives as long anew."""
    for passed_ms, until_s in ((0, 3600), (600_000, 3600), (86_400_000, 86_400 + 3600)):
        phone = Phone()
        phone.clock.advance(passed_ms)
        known = device(*push_certificate(EXPIRES + dt.timedelta(days=3)))
        phone.devices.known[URN] = known
        assert await phone.push() == Delivered(200)
        assert phone.headers["apns-expiration"] == str(EPOCH_MS // 1000 + until_s)


async def test_a_message_whose_time_has_passed_is_not_sent() -> None:
    """The engine, which is asked again, ends it as expired."""
    phone = Phone()
    phone.clock.advance(3_600_000)
    assert isinstance(await phone.push(), Throttled)
    assert phone.http2.requests == []


# What is no message


@pytest.mark.parametrize(
    "text", ["hello", "{", "[]", "{}", '{"aps": "x"}', '{"APS": {}}', "[" * 4000]
)
async def test_what_is_not_in_apples_form_is_not_sent(text: str) -> None:
    """The application would get nothing, as the contract says."""
    phone = Phone()
    assert await phone.push(text) == Rejected("a message of APNS is a JSON object with aps")
    assert phone.http2.requests == []


async def test_what_is_longer_than_apple_takes_is_not_sent() -> None:
    """4 KB of UTF-8."""
    around = len(json.dumps({"aps": {"alert": ""}}))
    phone = Phone()
    assert await phone.push({"aps": {"alert": "x" * (4096 - around)}}) == Delivered(200)
    outcome = await phone.push({"aps": {"alert": "x" * (4097 - around)}})
    assert outcome == Rejected("APNS takes at most 4096 bytes")


async def test_a_topics_message_has_a_text_for_the_platform() -> None:
    """Then one for all applications, then the default."""
    apns, sandbox, whole, default = (json.dumps({"aps": {"alert": one}}) for one in "aswd")
    texts = {"default": default, "application": whole, "APNS": apns, "APNS_SANDBOX": sandbox}
    for platform, content, expected in (
        ("APNS", texts, apns),
        ("APNS_SANDBOX", texts, sandbox),
        ("APNS", {"default": default, "application": whole, "HMS": "h"}, whole),
        ("APNS", {"default": default, "HMS": "h"}, default),
    ):
        phone = Phone(device(platform=platform))
        await phone.push_texts(content)
        assert phone.http2.requests[0].body.decode() == expected


@given(text=st.text(max_size=80))
async def test_any_text_arrives_intact(text: str) -> None:
    """Whatever Unicode it is of."""
    phone = Phone()
    assert await phone.push({"aps": {"alert": text}}) == Delivered(200)
    assert json.loads(phone.http2.requests[0].body)["aps"]["alert"] == text


@pytest.mark.parametrize("token", ["", "xyz", "ab/../cd", "ab?c", f"{DEVICE} ", "é"])
async def test_a_token_that_is_none_of_apples_leads_nowhere(token: str) -> None:
    """It would be part of the path."""
    phone = Phone(device(token=token))
    assert await phone.push() == Rejected("the device token is none of APNS")
    assert phone.http2.requests == []


# Certificates


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
async def test_certificates_come_in_either_form(encoding: Encoding) -> None:
    """Also with the words that OpenSSL puts before them, and with line breaks."""
    certificate, key = push_certificate(EXPIRES, encoding)
    pem, _ = push_certificate(EXPIRES)
    words = base64.b64encode(b"Bag Attributes\n    x: y\n" + base64.b64decode(pem)).decode()
    for form in (certificate, f"{certificate[:64]}\n{certificate[64:]}\n", words):
        phone = Phone(device(form, key))
        assert await phone.push() == Delivered(200)
        assert phone.headers["apns-topic"] == BUNDLE


def test_authorities_that_are_none_stop_the_start(tmp_path: Path) -> None:
    """A push would find out too late."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (empty, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match="apns_ca_file"):
            Phone(apns_ca_file=file)


async def test_an_expired_certificate_is_not_shown() -> None:
    """The reason names the cure."""
    phone = Phone(device(*push_certificate(EXPIRES)))
    phone.clock.advance(86_400_000)
    outcome = await phone.push()
    assert outcome == Rejected(f"the certificate of APNS has expired: {AGAIN}")
    assert phone.http2.requests == []


async def test_new_credentials_are_believed_at_once() -> None:
    """Re-authentication is the cure that the reason names."""
    phone = Phone(device(base64.b64encode(b"no certificate").decode()))
    assert await phone.push() == Rejected(f"the certificate of APNS cannot be read: {AGAIN}")
    phone.devices.known[URN] = device()
    assert await phone.push() == Delivered(200)


@given(raw=st.binary(max_size=100), pem=st.booleans())
async def test_whatever_a_certificate_is_it_is_an_outcome(raw: bytes, pem: bool) -> None:
    """It is a caller's: nothing in it is an error of ours."""
    whole = b"-----BEGIN CERTIFICATE-----\n" + raw if pem else raw
    phone = Phone(device(base64.b64encode(whole).decode()))
    assert isinstance(await phone.push(), Rejected)


# Answers


def said(status: int, reason: str, retry_after: str | None = None) -> Answer:
    """An answer of Apple's."""
    return Answer(status, retry_after, json.dumps({"reason": reason}).encode())


_BAD = (
    *("BadCollapseId", "BadDeviceToken", "BadExpirationDate", "BadMessageId", "BadPriority"),
    *("BadTopic", "DeviceTokenNotForTopic", "DuplicateHeaders", "InvalidPushType"),
    *("MissingDeviceToken", "MissingTopic", "PayloadEmpty", "TopicDisallowed"),
)
_CREDENTIALS = (
    *("BadCertificate", "BadCertificateEnvironment", "ExpiredProviderToken", "Forbidden"),
    *("InvalidProviderToken", "MissingProviderToken", "UnrelatedKeyIdInToken"),
)
_CASES: list[tuple[Answer, Outcome]] = [
    (Answer(200), Delivered(200)),
    *((said(400, one), Rejected(f"APNS: {one}", 400)) for one in _BAD),
    *((said(403, one), Rejected(f"APNS: {one}: {AGAIN}", 403)) for one in _CREDENTIALS),
    (said(400, "IdleTimeout"), Retry("APNS: IdleTimeout", 400)),
    (said(404, "BadPath"), Rejected("APNS: BadPath", 404)),
    (said(405, "MethodNotAllowed"), Rejected("APNS: MethodNotAllowed", 405)),
    (said(410, "ExpiredToken"), Rejected("APNS: ExpiredToken", 410)),
    (said(410, "Unregistered"), Rejected("APNS: Unregistered", 410)),
    (said(413, "PayloadTooLarge"), Rejected("APNS: PayloadTooLarge", 413)),
    *(
        (said(429, one), Throttled(EPOCH_MS + 30_000, f"APNS: {one}", 429))
        for one in ("TooManyProviderTokenUpdates", "TooManyRequests")
    ),
    (said(500, "InternalServerError"), Retry("APNS: InternalServerError", 500)),
    (said(503, "ServiceUnavailable"), Retry("APNS: ServiceUnavailable", 503)),
    (said(503, "ServiceUnavailable", "9"), Throttled(EPOCH_MS + 9_000, "HTTP 503", 503)),
    (said(503, "Shutdown"), Throttled(EPOCH_MS + 1_000, "APNS: Shutdown", 503)),
    # What is documented nowhere.
    (said(400, "NewReason"), Rejected("APNS: NewReason", 400)),
    (said(400, "not a name"), Rejected("APNS: HTTP 400", 400)),
    (Answer(502, body=b"<html>"), Retry("APNS: HTTP 502", 502)),
    (Answer(400, body=b'{"reason": 7}'), Rejected("APNS: HTTP 400", 400)),
    (Answer(429), Throttled(EPOCH_MS + 30_000, "APNS: HTTP 429", 429)),
    (Answer(204), Rejected("APNS: HTTP 204", 204)),
]


@pytest.mark.parametrize(("answer", "outcome"), _CASES, ids=repr)
async def test_an_answer_means(answer: Answer, outcome: Outcome) -> None:
    """Every reason that is documented, and what is not."""
    phone = Phone()
    phone.http2.answer = answer
    assert await phone.push() == outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TransportError("timed out"), Retry("APNS: timed out")),
        (Unsent("no connection", 2.5), Throttled(EPOCH_MS + 2501, "APNS: no connection")),
        (CertificateRefused("not accepted"), Rejected(f"APNS: not accepted: {AGAIN}")),
    ],
    ids=repr,
)
async def test_no_answer_means(error: TransportError, outcome: Outcome) -> None:
    """What was certainly not sent spends no try; what may have been is tried again."""
    phone = Phone()
    phone.http2.answer = error
    assert await phone.push() == outcome


async def test_secrets_are_in_no_outcome() -> None:
    """Even if the service repeats what it was sent."""
    phone = Phone()
    for status in (200, 400, 403, 410, 429, 500):
        phone.http2.answer = said(status, f"{DEVICE} {KEY}")
        outcome = await phone.push()
        assert not any(secret in repr(outcome) for secret in (DEVICE, KEY, KEY[:40]))
