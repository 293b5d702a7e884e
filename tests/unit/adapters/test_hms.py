"""HMS: what Push Kit is sent, tokens, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.push import PushAdapter, PushSettings
from engine.errors import Refused, StoreUnavailable
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, MobileDevice, TransportError
from engine.testing import EPOCH_MS, InstantTransport, fake_ports
from tests.push_kit import APP_ID, APP_SECRET, DEVICE, PushKit
from tests.pushing import PushPhone, subscribed

SUBSCRIPTION = subscribed("HMS")
URN = SUBSCRIPTION.endpoint
HMS_DEVICE = MobileDevice("HMS", DEVICE, True, APP_ID, APP_SECRET)
NOTIFICATION = {
    "hps": {
        "msg": {
            "type": 3,
            "body": {"content": "Push message content", "title": "Push message title"},
            "action": {"type": 1, "param": {"intent": "#Intent;compo=com.rvr/.Activity;S.W=U;end"}},
        },
        "ext": {"biTag": "Trump", "icon": "http://upload.w.org/00/150pxsvg.png"},
    }
}
AGAIN = "HMS refuses the application's credentials: authenticate it again"


class Phone(PushPhone):
    """An adapter, the service it speaks to, and one device."""

    def __init__(self, device: MobileDevice | None = HMS_DEVICE, **ports: Any) -> None:
        self.kit = PushKit()
        self.gateway = InstantTransport(self.kit)
        settings = PushSettings(enabled=True)
        super().__init__(SUBSCRIPTION, device, settings, gateway=self.gateway, **ports)


async def test_a_notification_is_said_as_push_kit_takes_it() -> None:
    """Title, text, action, tag and picture of the contract's example."""
    phone = Phone()
    assert await phone.push(NOTIFICATION) == Delivered(200)
    assert phone.kit.messages == [
        {
            "notification": {
                "title": "Push message title",
                "body": "Push message content",
                "image": "http://upload.w.org/00/150pxsvg.png",
            },
            "android": {
                "bi_tag": "Trump",
                "notification": {
                    "click_action": {
                        "type": 1,
                        "intent": "#Intent;compo=com.rvr/.Activity;S.W=U;end",
                    }
                },
                "ttl": "3600s",
            },
            "token": [DEVICE],
        }
    ]


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ({"hps": {"msg": {"type": 1, "body": {"key": "wért"}}}}, '{"key":"wért"}'),
        ({"hps": {"msg": {"type": 1, "body": "text"}}}, "text"),
        ("plain text", "plain text"),
        ('{"other": 1}', '{"other": 1}'),
        ("{broken", "{broken"),
    ],
)
async def test_data_goes_to_the_application_as_it_is(content: object, data: str) -> None:
    """A pass-through message, and any text that is not in the contract's form."""
    phone = Phone()
    assert await phone.push(content) == Delivered(200)
    (message,) = phone.kit.messages
    assert message["data"] == data
    assert "notification" not in message


@pytest.mark.parametrize(
    ("action", "click"),
    [
        (None, {"type": 3}),
        ({"type": 3, "param": {"appPkgName": "x"}}, {"type": 3}),
        ({"type": 2, "param": {"url": "https://x/"}}, {"type": 2, "url": "https://x/"}),
        ({"type": 2, "param": {}}, {"type": 3}),
        ({"type": 1, "param": {"intent": 7}}, {"type": 3}),
        ("nonsense", {"type": 3}),
    ],
)
async def test_a_tap_does_what_the_action_says_or_opens_the_application(
    action: object, click: dict[str, Any]
) -> None:
    """What cannot be said otherwise opens the application."""
    phone = Phone()
    message = {"type": 3, "body": {"content": "c", "title": "t"}, "action": action}
    assert await phone.push({"hps": {"msg": message}}) == Delivered(200)
    assert phone.kit.messages[0]["android"]["notification"]["click_action"] == click


@pytest.mark.parametrize(
    "hps",
    [
        None,
        {},
        {"msg": 1},
        {"msg": {"type": 2, "body": "x"}},
        {"msg": {"type": 1}},
        {"msg": {"type": 3, "body": "x"}},
        {"msg": {"type": 3, "body": {"title": "t"}}},
        {"msg": {"type": 3, "body": {"title": "t", "content": 1}}},
    ],
)
async def test_a_message_of_no_known_form_is_rejected(hps: object) -> None:
    """With a reason, and without asking the service."""
    phone = Phone()
    outcome = await phone.push({"hps": hps})
    assert isinstance(outcome, Rejected)
    assert "HMS" in outcome.reason
    assert len(phone.gateway.requests) == 0


@pytest.mark.parametrize(
    "body", ["\ud800", {"\udc00": 1}, {"title": "t", "content": "\ud800"}], ids=repr
)
async def test_a_message_with_half_a_surrogate_pair_is_rejected(body: object) -> None:
    """JSON can say it, and no UTF-8 can: with a reason, and without asking the service."""
    phone = Phone()
    kind = 3 if isinstance(body, dict) and "title" in body else 1
    text = json.dumps({"hps": {"msg": {"type": kind, "body": body}}})
    assert await phone.push(text) == Rejected("an HMS message holds half a surrogate pair")
    assert not phone.gateway.requests


_TEXT = st.text(max_size=80)


@given(title=_TEXT, text=_TEXT, url=_TEXT, custom=_TEXT)
async def test_any_text_arrives_intact(title: str, text: str, url: str, custom: str) -> None:
    """Whatever Unicode it is of."""
    phone = Phone()
    message = {
        "type": 3,
        "body": {"content": text, "title": title},
        "action": {"type": 2, "param": {"url": url}},
    }
    content = {"hps": {"msg": message, "ext": {"customize": [{"k": custom}]}}}
    assert await phone.push(content) == Delivered(200)
    (arrived,) = phone.kit.messages
    assert arrived["notification"] == {"title": title, "body": text}
    assert arrived["android"]["notification"]["click_action"]["url"] == url
    assert json.loads(arrived["data"]) == [{"k": custom}]


@given(text=st.text(max_size=80))
async def test_any_plain_text_arrives_intact(text: str) -> None:
    """As the application's data."""
    phone = Phone()
    assert await phone.push(text) == Delivered(200)
    assert phone.kit.messages[0]["data"] == text


# Time to live


async def test_the_platform_keeps_a_message_for_what_is_left() -> None:
    """The time already spent counts, rounded up to a second."""
    for spent_ms, left in ((0, "3600s"), (600_000, "3000s"), (3_599_001, "1s")):
        phone = Phone()
        phone.clock.advance(spent_ms)
        assert await phone.push() == Delivered(200)
        assert phone.kit.messages[0]["android"]["ttl"] == left


async def test_a_message_whose_time_has_passed_is_not_sent() -> None:
    """The engine, which is asked again, ends it as expired."""
    phone = Phone()
    phone.clock.advance(3_600_000)
    outcome = await phone.push()
    assert outcome == Throttled(phone.clock.now_ms() + 1000, "time_to_live passed")
    assert len(phone.gateway.requests) == 0


async def test_a_redriven_message_lives_as_long_anew() -> None:
    """Its own time is long past, and still it is to be sent."""
    phone = Phone()
    phone.clock.advance(86_400_000)
    assert await phone.push() == Delivered(200)
    assert phone.kit.messages[0]["android"]["ttl"] == "3600s"


# Tokens


async def test_a_token_serves_until_shortly_before_it_expires() -> None:
    """One request for it, however many messages; then a new one."""
    phone = Phone()
    for _ in range(3):
        assert await phone.push() == Delivered(200)
    assert len(phone.kit.tokens) == 1
    phone.clock.advance(3_500_000)
    await phone.push(deadline_ms=EPOCH_MS + 86_400_000)
    assert len(phone.kit.tokens) == 1
    phone.clock.advance(60_000)
    await phone.push(deadline_ms=EPOCH_MS + 86_400_000)
    assert len(phone.kit.tokens) == 2


async def test_many_at_once_ask_for_one_token() -> None:
    """Who comes while it is asked for waits for it."""
    phone = Phone()
    outcomes = await asyncio.gather(*(phone.push() for _ in range(50)))
    assert set(outcomes) == {Delivered(200)}
    assert len(phone.kit.tokens) == 1


async def test_a_token_that_is_refused_is_replaced_at_once() -> None:
    """The message goes out with the new one: no try is lost."""
    phone = Phone()
    await phone.push()
    phone.kit.valid.clear()
    assert await phone.push() == Delivered(200)
    assert len(phone.kit.tokens) == 2


@pytest.mark.parametrize("code", ["80200001", "80200003"])
async def test_a_new_token_that_is_refused_too_is_the_end(code: str) -> None:
    """Nothing but new credentials helps, and the reason says so."""
    phone = Phone()
    refusal = Answer(401, body=json.dumps({"code": code}).encode())
    phone.kit.answers = [refusal, refusal]
    assert await phone.push() == Rejected(f"{AGAIN} (HMS {code})", 401)
    assert len(phone.kit.tokens) == 2


async def test_wrong_credentials_are_rejected_and_not_tried_by_each_message() -> None:
    """Asked again after half a minute, in case it was an error."""
    phone = Phone(replace(HMS_DEVICE, credential="x" * 32))
    for _ in range(3):
        assert await phone.push() == Rejected(f"{AGAIN} (HTTP 400)", 400)
    assert len(phone.gateway.requests) == 1
    phone.clock.advance(30_000)
    await phone.push()
    assert len(phone.gateway.requests) == 2


async def test_new_credentials_are_believed_at_once() -> None:
    """Re-authentication is the cure that the reason names."""
    phone = Phone(replace(HMS_DEVICE, credential="x" * 32))
    assert isinstance(await phone.push(), Rejected)
    phone.devices.known[URN] = HMS_DEVICE
    assert await phone.push() == Delivered(200)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(503, "9"), Throttled(EPOCH_MS + 9000, "HTTP 503", 503)),
        (Answer(429), Retry("HTTP 429", 429)),
        (Answer(500), Retry("HTTP 500", 500)),
        (Answer(200, body=b"<html>"), Retry("HMS answers without a token", 200)),
        (Answer(200, body=b'{"access_token": "a\\nb", "expires_in": 9}'),
         Retry("HMS answers without a token", 200)),
        (Answer(200, body=b'{"access_token": "a", "expires_in": "x"}'),
         Retry("HMS answers without a token", 200)),
    ],
    ids=repr,
)  # fmt: skip
async def test_trouble_with_tokens_passes(answer: Answer, expected: Outcome) -> None:
    """It says nothing about the credentials: the next try asks again."""
    phone = Phone()
    phone.kit.token_answers = [answer]
    assert await phone.push() == expected
    assert await phone.push() == Delivered(200)


# Answers


def said(status: int, code: str, retry_after: str | None = None) -> Answer:
    """An answer of the service."""
    return Answer(status, retry_after, json.dumps({"code": code, "msg": "m"}).encode())


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (said(200, "80000000"), Delivered, ""),
        (said(200, "80100000"), Rejected, "the device token is not valid (HMS 80100000)"),
        (said(200, "80300007"), Rejected, "the device token is not valid (HMS 80300007)"),
        (said(400, "80100003"), Rejected, "the message is malformed (HMS 80100003)"),
        (said(200, "80300002"), Rejected, "the application may not send (HMS 80300002)"),
        (said(200, "89999999"), Rejected, "HMS 89999999"),
        (said(200, "81000001"), Retry, "HMS 81000001"),
        (said(500, "81000001"), Retry, "HMS 81000001"),
        (said(200, "80600003"), Retry, "HMS 80600003"),
        (said(503, "80300020"), Retry, "HMS 80300020"),
        (said(503, "80300020", "60"), Throttled, "HTTP 503"),
        (Answer(429), Retry, "HTTP 429"),
        (Answer(502, body=b"<html>"), Retry, "HTTP 502"),
        (Answer(404), Rejected, "HTTP 404"),
        (Answer(200), Retry, "the answer is none of HMS"),
        (Answer(200, body=b'{"code": null}'), Retry, "the answer is none of HMS"),
        (Answer(204, body=b"[]"), Retry, "the answer is none of HMS"),
    ],
    ids=repr,
)
async def test_an_answer_means(answer: Answer, kind: type[Outcome], reason: str) -> None:
    """The code in the body decides: a 200 alone is no success."""
    phone = Phone()
    phone.kit.answers = [answer]
    outcome = await phone.push()
    assert isinstance(outcome, kind)
    assert getattr(outcome, "reason", "") == reason


async def test_no_answer_is_tried_again() -> None:
    """Whether it was the token or the message that could not be sent."""
    phone = Phone()
    phone.gateway.answer = TransportError("timed out")
    assert await phone.push() == Retry("timed out")


async def test_secrets_are_in_no_outcome() -> None:
    """Even if the service repeats what it was sent."""
    phone = Phone()
    await phone.push()
    (token,) = phone.kit.tokens
    body = f"{token} {DEVICE} {APP_SECRET}".encode()
    for status in (200, 400, 500):
        phone.kit.answers = [Answer(status, body=body)]
        outcome = await phone.push()
        assert "*** *** ***" in getattr(outcome, "answer", "")
        assert not any(secret in repr(outcome) for secret in (token, DEVICE, APP_SECRET))
    wrong = Phone(replace(HMS_DEVICE, credential="h" * 32))
    assert "hhhh" not in repr(await wrong.push())
    assert "5ecre7" not in repr(HMS_DEVICE)


# Devices


async def test_a_disabled_device_gets_nothing() -> None:
    """From the next attempt on."""
    phone = Phone()
    assert await phone.push() == Delivered(200)
    phone.devices.known[URN] = replace(HMS_DEVICE, enabled=False)
    assert await phone.push() == Rejected("the endpoint is disabled")
    assert len(phone.kit.messages) == 1


async def test_a_device_that_is_gone_gets_nothing() -> None:
    """It was deleted while the message waited."""
    assert await Phone(None).push() == Rejected("the endpoint is gone")


async def test_a_device_of_another_project_gets_nothing() -> None:
    """A URN that somebody has seen is no permission to send to it."""
    foreign = SUBSCRIPTION._replace(topic_urn=f"urn:smn:region01:{'0' * 32}:orders")
    outcome = await Phone().push(subscription=foreign)
    assert outcome == Rejected("the endpoint belongs to another project")


async def test_a_failing_store_is_no_rejection() -> None:
    """It is ours: the device may well be there."""

    class Broken:
        async def find(self, urn: str) -> MobileDevice | None:
            raise StoreUnavailable("no Redis")

    assert await Phone(devices=Broken()).push() == Retry("the endpoint could not be looked up")


async def test_only_known_endpoints_can_be_subscribed() -> None:
    """Others are refused with the contract's code."""
    await Phone().adapter.check("application", URN, {})
    with pytest.raises(Refused) as refused:
        await Phone(None).adapter.check("application", URN, {})
    assert refused.value.code == "SMN.0012"


async def test_what_is_longer_than_the_platform_takes_is_rejected() -> None:
    """2 KB of UTF-8."""
    phone = Phone()
    assert await phone.push("é" * 1024) == Delivered(200)
    assert await phone.push("é" * 1025) == Rejected("HMS takes at most 2048 bytes")


async def test_a_topics_message_has_a_text_for_the_platform() -> None:
    """Then one for all applications, then the default."""
    for content, expected in (
        ({"default": "d", "application": "a", "HMS": "h", "APNS": "x"}, "h"),
        ({"default": "d", "application": "a", "APNS": "x"}, "a"),
        ({"default": "d", "APNS": "x"}, "d"),
    ):
        phone = Phone()
        await phone.push_texts(content)
        assert phone.kit.messages[0]["data"] == expected


def test_push_is_spoken_only_where_it_is_enabled() -> None:
    """Application operations are refused elsewhere."""
    assert PushAdapter(fake_ports(settings=PushSettings())).protocols == ()
    assert PushAdapter(fake_ports(settings=PushSettings(enabled=True))).protocols == (
        "application",
    )
