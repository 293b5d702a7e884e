"""The configured HTTP gateway: requests carry texts intact, answers become outcomes."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters._http_gateway import FORM, HttpGateway, HttpGatewaySettings
from engine.adapter_settings import read
from engine.errors import ConfigurationError
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, TransportError
from engine.testing import InstantTransport, ManualClock
from tests import sending

URL = "https://gateway.example/send"
MESSAGE = sending.MESSAGE._replace(subject="a subject")
TEXTS = st.text(st.characters(codec="utf-8")) | st.text('"\\{}&=%+ \x00\r\n中🙂', max_size=50)


def gateway(
    transport: InstantTransport | None = None, clock: ManualClock | None = None, **settings: Any
) -> HttpGateway:
    """A gateway by its settings in the file."""
    found = read("sms", HttpGatewaySettings, {"url": URL} | settings)
    return HttpGateway(found, transport or InstantTransport(), clock or ManualClock())


async def sent(text: str, number: str = "+8613600000000", **settings: Any) -> InstantTransport:
    """What one message looks like to the gateway."""
    transport = InstantTransport()
    asked = gateway(transport, **settings)
    form = asked.render(MESSAGE, text)
    assert await asked.send(form, number) == Delivered(200)
    (request,) = transport.requests
    length = len(request.url) + len(request.body)
    assert length <= form.size <= length + 64
    return transport


@given(TEXTS)
async def test_json_carries_any_text(text: str) -> None:
    """Quotes, controls and placeholders in it are its own."""
    (request,) = (await sent(text)).requests
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(request.body) == {"to": "+8613600000000", "text": text, "id": "d" * 32}


@given(TEXTS)
async def test_a_form_carries_any_text(text: str) -> None:
    """Its separators, too."""
    body = "mobile={digits}&content={text}&key={key}"
    secrets = {"key": "a&b=c d"}
    (request,) = (await sent(text, content_type=FORM, body=body, secrets=secrets)).requests
    assert parse_qs(request.body.decode(), keep_blank_values=True) == {
        "mobile": ["8613600000000"],
        "content": [text],
        "key": ["a&b=c d"],
    }


@given(TEXTS)
async def test_a_url_carries_any_text(text: str) -> None:
    """A GET has no body."""
    (request,) = (await sent(text, method="GET", url=f"{URL}?to={{number}}&t={{text}}")).requests
    assert (request.method, request.body) == ("GET", b"")
    query = parse_qs(urlsplit(request.url).query, keep_blank_values=True)
    assert query == {"to": ["+8613600000000"], "t": [text]}


async def test_headers_hold_secrets_and_what_tells_repeats() -> None:
    """A gateway that knows an idempotency key sends nothing twice."""
    headers = {"X-Key": "Bearer {key}", "Idempotency-Key": "{message_id}-{digits}"}
    (request,) = (await sent("x", headers=headers, secrets={"key": "hidden"})).requests
    assert request.headers["X-Key"] == "Bearer hidden"
    assert request.headers["Idempotency-Key"] == f"{'d' * 32}-8613600000000"


async def judged(answer: Answer | TransportError, **settings: Any) -> Outcome:
    """What one answer means."""
    asked = gateway(InstantTransport(answer), **settings)
    return await asked.send(asked.render(MESSAGE, "x"), "10086")


NOW = ManualClock().now_ms()
OF_CODE = {
    "success_json": {"data.0.code": [0, "OK"]},
    "throttled_json": {"data.0.code": "BUSY"},
    "retry_json": {"data.0.code": "AGAIN"},
}


def coded(code: object, status: int = 200) -> Answer:
    """An answer with a code within."""
    return Answer(status, None, json.dumps({"data": [{"code": code}]}).encode())


@pytest.mark.parametrize(
    ("answer", "settings", "outcome"),
    [
        (Answer(200), {}, Delivered(200)),
        (Answer(202), {}, Delivered(202)),
        (Answer(202), {"success_statuses": [200]}, Rejected("HTTP 202", 202)),
        (Answer(301), {}, Rejected("HTTP 301", 301)),
        (Answer(400, None, b"bad\x00number"), {}, Rejected("HTTP 400", 400, "bad number")),
        (Answer(500), {}, Retry("HTTP 500", 500)),
        (Answer(503), {}, Retry("HTTP 503", 503)),
        (Answer(503, "7"), {}, Throttled(NOW + 7_000, "HTTP 503", 503)),
        (Answer(429, "7"), {}, Throttled(NOW + 7_000, "HTTP 429", 429)),
        (Answer(429), {"throttle_seconds": 9}, Throttled(NOW + 9_000, "HTTP 429", 429)),
        (TransportError("timed out"), {}, Retry("timed out")),
        (coded(0), OF_CODE, Delivered(200)),
        (coded("OK"), OF_CODE, Delivered(200)),
        (coded("BUSY"), OF_CODE, Throttled(NOW + 60_000, "HTTP 200", 200)),
        (coded("BUSY", 400), OF_CODE, Throttled(NOW + 60_000, "HTTP 400", 400)),
        (Answer(200, None, b"ok 17"), {"success_pattern": "^ok [0-9]+$"}, Delivered(200)),
    ],
    ids=repr,
)
async def test_answers_become_outcomes(
    answer: Answer | TransportError, settings: dict[str, Any], outcome: Outcome
) -> None:
    """By status, then by what the configured rules find in the answer."""
    assert await judged(answer, **settings) == outcome


@pytest.mark.parametrize(
    ("answer", "settings", "kind"),
    [
        (coded("AGAIN"), OF_CODE, Retry),
        (coded("no such number"), OF_CODE, Rejected),
        (coded(False), OF_CODE, Rejected),
        (Answer(200, None, b"{}"), OF_CODE, Rejected),
        # a page of something on the way: nobody knows
        (Answer(200, None, b"<html>"), OF_CODE, Retry),
        (Answer(200, None, b"[" * 60_000), OF_CODE, Retry),
        (Answer(200, None, b"error 3"), {"success_pattern": "^ok"}, Rejected),
    ],
    ids=repr,
)
async def test_an_answer_that_is_no_success_says_why(
    answer: Answer, settings: dict[str, Any], kind: type
) -> None:
    """The reason tells that the status alone was fine."""
    outcome = await judged(answer, **settings)
    assert isinstance(outcome, kind)
    assert isinstance(outcome, Retry | Rejected)
    assert "not that of a success" in outcome.reason


@pytest.mark.parametrize(
    ("answer", "unanswered"),
    [
        (coded("AGAIN"), True),
        (coded("AGAIN", 500), True),
        (coded("what?", 500), False),
        (Answer(200, None, b"<html>"), False),
        (TransportError("timed out"), False),
    ],
    ids=repr,
)
async def test_a_gateway_tells_that_nobody_took_a_call(
    answer: Answer | TransportError, *, unanswered: bool
) -> None:
    """By its own words alone: one that is down, or says nothing sensible, has called nobody."""
    outcome = await judged(answer, **OF_CODE)
    assert isinstance(outcome, Retry)
    assert outcome.unanswered is unanswered


async def test_secrets_are_not_repeated() -> None:
    """A gateway that echoes the request must not bring its keys into log and dead letters."""
    echo = b'{"you sent": "Bearer s3cret\\"quoted", "url": "?key=very%20hidden"}'
    outcome = await judged(
        Answer(400, None, echo),
        headers={"Authorization": 'Bearer s3cret"quoted'},
        secrets={"key": "very hidden"},
    )
    assert isinstance(outcome, Rejected)
    assert outcome.answer == '{"you sent": "***", "url": "?key=***"}'


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "https:///send"}, "no host"),
        ({"url": "https://{digits}.example/"}, "no host"),
        ({"body": '{"to": "{number}", "text": "{txt}"}'}, "{txt}"),
        ({"body": '{"to": "{number}", "text": {text}}'}, "not JSON"),
        ({"body": '{"to": "{number}"}'}, "{text}"),
        ({"body": '{"text": "{text}"}'}, "{number}"),
        ({"headers": {"X-Text": "{text}"}}, "{message_id}"),
        ({"headers": {"X Text": "a"}}, "header"),
        ({"headers": {"X-Text": "a\nb"}}, "X-Text"),
        ({"headers": {"X-Text": "{key}"}, "secrets": {"key": "a\nb"}}, "key"),
        ({"secrets": {"text": "a"}}, "secrets"),
        ({"success_pattern": "("}, "regular expression"),
        ({"method": "DELETE"}, "POST"),
    ],
)
def test_what_would_fail_with_every_message_is_found_at_start(
    settings: dict[str, Any], said: str
) -> None:
    """One sentence, without the values."""
    with pytest.raises(ConfigurationError) as failed:
        gateway(**settings)
    assert said in str(failed.value)
    assert "a\nb" not in str(failed.value)


def test_settings_show_no_secrets() -> None:
    """Neither a log nor a trace of them holds any."""
    settings = HttpGatewaySettings(
        headers={"Authorization": SecretStr("hidden-1")}, secrets={"key": SecretStr("hidden-2")}
    )
    assert "hidden" not in repr(settings)
