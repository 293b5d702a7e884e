"""Webhooks: what is posted, what an endpoint may be, and what its answer means."""

import base64
import datetime as dt
import hashlib
import json
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.webhook import WebhookAdapter, string_to_sign
from engine.models import (
    Delivered,
    Kind,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
    Window,
)
from engine.ports import AddressRefused, Answer, TransportError
from engine.signing import CertificateSigner, make_certificate
from engine.testing import EPOCH_MS, InstantTransport, Request, fake_ports
from tests import sending
from tests.sending import LINK, TOPIC_URN, subscription

SUBSCRIPTION = subscription("https", "https://example.com/hook")
MESSAGE = sending.MESSAGE._replace(
    content={"default": 'disk "full"\n93 %', "http": "short"},
    created_ms=1_720_604_700_999,
    subject="disk alarm",
)
INVITATION = MESSAGE._replace(kind=Kind.CONFIRMATION, link=LINK, subject=None)
FAREWELL = INVITATION._replace(kind=Kind.CANCELLATION)
USER_INVITATION = INVITATION._replace(kind=Kind.USER_CONFIRMATION, topic_name="ops")
USER_WELCOME = USER_INVITATION._replace(kind=Kind.USER_CANCELLATION)


async def sent(
    message: Message,
    subscription: Subscription = SUBSCRIPTION,
    protocol: str = "https",
    **given: Any,
) -> tuple[Request, dict[str, str]]:
    """The request for a message, and its body as a receiver parses it."""
    transport = InstantTransport()
    adapter = WebhookAdapter(fake_ports(transport=transport, **given))
    outcome = await adapter.send(adapter.render(message, protocol), adapter.prepare(subscription))
    assert outcome == Delivered(200)
    request = transport.requests[0]
    body = json.loads(request.body.decode())
    assert isinstance(body, dict)
    return request, body


async def outcome_of(answer: Answer | TransportError) -> Outcome:
    """What an endpoint's answer is judged to be."""
    adapter = WebhookAdapter(fake_ports(transport=InstantTransport(answer)))
    return await adapter.send(adapter.render(MESSAGE, "https"), adapter.prepare(SUBSCRIPTION))


async def test_notification_has_the_contracts_fields() -> None:
    """Exactly these, all strings."""
    _, body = await sent(MESSAGE)
    assert set(body) == {
        "type",
        "signature",
        "subject",
        "topic_urn",
        "message_id",
        "signature_version",
        "message",
        "unsubscribe_url",
        "signing_cert_url",
        "timestamp",
    }
    assert body["type"] == "Notification"
    assert body["signature_version"] == "v1"
    assert body["topic_urn"] == TOPIC_URN
    assert body["message_id"] == MESSAGE.id
    assert body["subject"] == "disk alarm"
    assert body["message"] == 'disk "full"\n93 %'
    assert all(isinstance(value, str) for value in body.values())


async def test_timestamp_is_the_time_of_acceptance_without_fraction() -> None:
    """Retries carry the same, because it is the message's and not the attempt's."""
    _, body = await sent(MESSAGE)
    assert body["timestamp"] == "2024-07-10T09:45:00Z"


async def test_each_protocol_receives_its_own_content() -> None:
    """Content for ``http`` goes to http endpoints, the default to https."""
    _, body = await sent(MESSAGE, protocol="http")
    assert body["message"] == "short"


@pytest.mark.parametrize("subject", [None, ""])
async def test_missing_subject_is_left_out(subject: str | None) -> None:
    """Receivers treat a missing subject as absent; an empty one would break their signature."""
    _, body = await sent(MESSAGE._replace(subject=subject))
    assert "subject" not in body


async def test_notification_has_the_contracts_headers() -> None:
    """Type, ids and URNs as headers, and JSON in UTF-8."""
    request, _ = await sent(MESSAGE)
    assert request.headers == {
        "Content-Type": "application/json;charset=UTF-8",
        "X-SMN-MESSAGE-TYPE": "Notification",
        "X-SMN-MESSAGE-ID": MESSAGE.id,
        "X-SMN-TOPIC-URN": TOPIC_URN,
        "X-SMN-SUBSCRIPTION-URN": SUBSCRIPTION.urn,
    }
    assert request.url == SUBSCRIPTION.endpoint


@pytest.mark.parametrize(
    ("message", "kind"),
    [(INVITATION, "SubscriptionConfirmation"), (FAREWELL, "UnsubscribeConfirmation")],
)
async def test_confirmations_have_the_contracts_fields(message: Message, kind: str) -> None:
    """A link to subscribe, no subject, nothing to unsubscribe from."""
    request, body = await sent(message)
    assert set(body) == {
        "type",
        "signature",
        "topic_urn",
        "message_id",
        "signature_version",
        "message",
        "subscribe_url",
        "signing_cert_url",
        "timestamp",
    }
    assert body["type"] == request.headers["X-SMN-MESSAGE-TYPE"] == kind
    assert body["subscribe_url"] == LINK
    assert TOPIC_URN in body["message"]
    assert "48" in body["message"]


@pytest.mark.parametrize(
    ("message", "kind", "link"),
    [
        (USER_INVITATION, "HttpSubscriptionUserConfirm", "subscribe_url"),
        (USER_WELCOME, "HttpSubscriptionUserUnsubscribe", "unsubscribe_url"),
    ],
)
async def test_subscription_users_are_told_of_no_topic(
    message: Message, kind: str, link: str
) -> None:
    """The same bodies without the topic, with the link by which they agree or leave."""
    request, body = await sent(message)
    assert set(body) == {
        "type",
        "signature",
        "message_id",
        "signature_version",
        "message",
        link,
        "signing_cert_url",
        "timestamp",
    }
    assert body["type"] == request.headers["X-SMN-MESSAGE-TYPE"] == kind
    assert body[link] == LINK
    assert "ops" in body["message"]
    assert "X-SMN-TOPIC-URN" not in request.headers


async def test_subscription_is_named_only_after_it_was_confirmed() -> None:
    """An invitation does not give the URN away; a farewell does."""
    request, _ = await sent(INVITATION)
    assert "X-SMN-SUBSCRIPTION-URN" not in request.headers
    request, _ = await sent(FAREWELL)
    assert request.headers["X-SMN-SUBSCRIPTION-URN"] == SUBSCRIPTION.urn


async def test_text_of_our_own_speaks_the_messages_language() -> None:
    """Chinese where the locale says so, English elsewhere."""
    _, body = await sent(INVITATION._replace(locale="zh-cn"))
    assert "订阅" in body["message"]


async def test_custom_headers_go_with_notifications_only() -> None:
    """They are for confirmed subscriptions: an invitation might go to somebody else."""
    subscription = SUBSCRIPTION._replace(extension={"header": {"X-Token": "secret value"}})
    request, _ = await sent(MESSAGE, subscription)
    assert request.headers["X-Token"] == "secret value"
    for message in (INVITATION, FAREWELL):
        request, _ = await sent(message, subscription)
        assert "X-Token" not in request.headers


async def test_each_subscriber_has_a_link_of_its_own() -> None:
    """Only the unsubscribe link differs between two subscribers of a message."""
    _, one = await sent(MESSAGE)
    _, two = await sent(MESSAGE, SUBSCRIPTION._replace(id="c" * 32))
    assert one.pop("unsubscribe_url") == two.pop("unsubscribe_url").replace("c" * 32, "b" * 32)
    assert one == two


@pytest.mark.parametrize(
    "text",
    [
        "",
        'quotes " and \\ backslashes',
        "line\r\nbreaks\x00 \x1f controls",
        "中文 🙂 \u2028",
        '{"k": [1, null]}',
        "</script>",
        '","unsubscribe_url":"https://evil.example',
    ],
)
async def test_any_text_survives_the_journey(text: str) -> None:
    """What was published is what the receiver parses, whatever it is."""
    _, body = await sent(MESSAGE._replace(content={"default": text}, subject=text or None))
    assert body["message"] == text
    assert body.get("subject", "") == text
    assert "evil" not in body["unsubscribe_url"]


def test_string_to_sign_is_the_contracts() -> None:
    """The vendor's documented example gives its published length and digest."""
    fields = {
        "type": "Notification",
        "topic_urn": "urn:smn:regionId:74dc9e44d0cc4573adfce91cdfdd3ba9:xxxx",
        "timestamp": "2016-08-15T07:29:16Z",
        "subject": "demo",
        "message_id": "88c726942175432bac921eafd0036163",
        "message": "My test message",
    }
    text = string_to_sign(sorted(fields.items()))
    assert len(text) == 195
    assert hashlib.sha256(text).hexdigest() == (
        "00909757b05b77bf4a76a42f5f8dbfcda9010627623dc28b0659a3d7c7e9caec"
    )


SIGNED: dict[str, tuple[str, ...]] = {
    "Notification": ("message", "message_id", "subject", "timestamp", "topic_urn", "type"),
    "SubscriptionConfirmation": (
        "message",
        "message_id",
        "subscribe_url",
        "timestamp",
        "topic_urn",
        "type",
    ),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]
SIGNED["HttpSubscriptionUserConfirm"] = (
    "message",
    "message_id",
    "subscribe_url",
    "timestamp",
    "type",
)
SIGNED["HttpSubscriptionUserUnsubscribe"] = ("message", "message_id", "timestamp", "type")


@pytest.fixture(scope="module")
def certificate() -> tuple[bytes, bytes, str]:
    """Key, certificate and id, made once: it takes a while."""
    return make_certificate("region01")


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        MESSAGE._replace(subject=None),
        MESSAGE._replace(content={"default": '中文\n\t"\\ 🙂\x01'}),
        INVITATION,
        FAREWELL,
        USER_INVITATION,
        USER_WELCOME,
    ],
)
async def test_receiver_verifies_with_the_certificate_alone(
    certificate: tuple[bytes, bytes, str], message: Message
) -> None:
    """As the contract's samples do it: parsed values, key list of the type, trailing newline."""
    _, body = await sent(message, signer=CertificateSigner(*certificate, "https://x"))
    text = "".join(f"{key}\n{body[key]}\n" for key in SIGNED[body["type"]] if body.get(key))
    loaded = x509.load_pem_x509_certificate(certificate[1])
    key, algorithm = loaded.public_key(), loaded.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey)
    assert algorithm is not None
    signature = base64.b64decode(body["signature"], validate=True)
    key.verify(signature, text.encode(), padding.PKCS1v15(), algorithm)


async def test_one_signature_serves_all_recipients() -> None:
    """Signing is paid once per message and worker, never per delivery."""
    signed: list[bytes] = []

    class Counting:
        certificate_url = "https://x"

        def sign(self, text: bytes) -> str:
            signed.append(text)
            return ""

    adapter = WebhookAdapter(fake_ports(signer=Counting()))
    content = adapter.render(MESSAGE, "https")
    for digit in "0123456789abcdef":
        target = adapter.prepare(SUBSCRIPTION._replace(id=digit * 32))
        await adapter.send(content, target)
    assert len(signed) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_delivered(status: int) -> None:
    """Whatever the success is called."""
    assert await outcome_of(Answer(status, "5", b"ignored")) == Delivered(status)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_5xx_is_tried_again(status: int) -> None:
    """Their trouble may pass."""
    assert await outcome_of(Answer(status, None, b"oops")) == Retry(
        f"HTTP {status}", status, answer="oops"
    )


@pytest.mark.parametrize("status", [101, 301, 302, 304, 307, 308, 400, 401, 404, 410, 429, 499])
async def test_everything_else_is_rejected(status: int) -> None:
    """Redirects, errors of the request, and 429 that does not say how long."""
    assert await outcome_of(Answer(status, None, b"no")) == Rejected(f"HTTP {status}", status, "no")


@pytest.mark.parametrize("reason", ["timed out", "connection refused", "TLS failed"])
async def test_no_answer_is_tried_again(reason: str) -> None:
    """The reason is kept for the operator."""
    assert await outcome_of(TransportError(reason)) == Retry(reason)


async def test_internal_address_is_rejected() -> None:
    """An address that may not be connected to does not become public by waiting."""
    assert await outcome_of(AddressRefused("address refused")) == Rejected("address refused")


def test_invitations_are_limited_as_the_contract_says() -> None:
    """200 to one endpoint in 10 minutes, and more when the window has passed."""
    assert WebhookAdapter.limits.confirmations == (Window(200, 600, 0),)


def in_seconds(seconds: float) -> str:
    """An HTTP date."""
    moment = dt.datetime.fromtimestamp(EPOCH_MS / 1000 + seconds, dt.UTC)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "wait_ms"),
    [
        ("7", 7_000),
        (" 120 ", 120_000),
        (in_seconds(90), 90_000),
        ("0", 1_000),
        (in_seconds(-3600), 1_000),
        ("999999999", 604_800_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 604_800_000),
        ("Tue, 14 Nov 2023 22:14:50 -0000", 90_000),
    ],
)
async def test_retry_after_is_a_wait_without_a_try(
    status: int, retry_after: str, wait_ms: int
) -> None:
    """Seconds or a date, kept between a second and the longest time to live."""
    assert await outcome_of(Answer(status, retry_after)) == Throttled(
        EPOCH_MS + wait_ms, f"HTTP {status}", status
    )


@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-5", "1e3", "9" * 400, "\uff11\uff12", "\x00"]
)
async def test_unreadable_retry_after_is_none(retry_after: str) -> None:
    """A wait that cannot be read is as good as no wait."""
    assert await outcome_of(Answer(429, retry_after)) == Rejected("HTTP 429", 429)
    assert await outcome_of(Answer(503, retry_after)) == Retry("HTTP 503", 503)


async def test_retry_after_counts_only_where_it_means_a_wait() -> None:
    """On other answers the header says nothing about this message."""
    assert await outcome_of(Answer(500, "7")) == Retry("HTTP 500", 500)
    assert await outcome_of(Answer(404, "7")) == Rejected("HTTP 404", 404)


async def test_answer_is_kept_as_one_short_printable_line() -> None:
    """Hostile bytes cannot forge log lines or terminal sequences."""
    body = b"a\r\n\x1b[31mred\x00\xff \xe2\x80\xae" + b"x" * 10_000
    outcome = await outcome_of(Answer(400, None, body))
    assert isinstance(outcome, Rejected)
    assert outcome.answer.startswith("a [31mred")
    assert outcome.answer.isprintable()
    assert len(outcome.answer) == 200
