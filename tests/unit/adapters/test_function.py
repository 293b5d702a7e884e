"""Functions: the event, where it goes, how it is signed, and what a gateway's answer means."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters._aksk import signed
from adapters.function import FunctionAdapter, FunctionSettings
from engine import adapter_settings
from engine.errors import ConfigurationError, Refused
from engine.iam import signature
from engine.models import (
    Delivered,
    Message,
    Outcome,
    Rejected,
    Retry,
    Subscription,
    Throttled,
)
from engine.ports import AddressRefused, Answer, TransportError
from engine.testing import EPOCH_MS, InstantTransport, Request, fake_ports
from tests import sending
from tests.sending import TOPIC_URN, subscription

PROJECT = "762bdb3251034f268af0e395c53ea09b"
URN = "urn:fss:region01:7aad83af3e8d42e99ac194e8419e2c9b:function:default:resize:v1"
SUBSCRIPTION = subscription("functionstage", URN)
WORKFLOW = SUBSCRIPTION._replace(protocol="functiongraph", endpoint="48aff955-dd1b")
MESSAGE = sending.MESSAGE._replace(
    content={"default": "Hello", "functiongraph": "for workflows"},
    created_ms=1_502_964_434_999,
    subject="Welcome",
)
GRAPH = {
    "url": "https://fg.example/v2/{project}/fgs/functions/{urn}/invocations-async",
    "workflow_url": "https://fg.example/v2/{project}/fgs/workflows/{id}/executions",
}


def settings(**table: Any) -> FunctionSettings:
    """The settings as they are read from the file."""
    return adapter_settings.read("function", FunctionSettings, table)


async def sent(
    message: Message = MESSAGE, subscription: Subscription = SUBSCRIPTION, **table: Any
) -> Request:
    """The one request for a message."""
    gateway = InstantTransport(Answer(202))
    adapter = FunctionAdapter(fake_ports(gateway=gateway, settings=settings(**(GRAPH | table))))
    content = adapter.render(message, subscription.protocol)
    assert await adapter.send(content, adapter.prepare(subscription)) == Delivered(202)
    (request,) = gateway.requests
    return request


async def url(template: str, endpoint: str = URN) -> str:
    """Where an event for the function goes."""
    return (await sent(subscription=SUBSCRIPTION._replace(endpoint=endpoint), url=template)).url


async def outcome_of(answer: Answer | TransportError) -> Outcome:
    """What a gateway's answer is judged to be."""
    gateway = InstantTransport(answer)
    adapter = FunctionAdapter(fake_ports(gateway=gateway, settings=settings(**GRAPH)))
    content = adapter.render(MESSAGE, "functionstage")
    return await adapter.send(content, adapter.prepare(SUBSCRIPTION))


async def test_a_function_receives_the_documented_event() -> None:
    """Every field of the contract's example, and no other."""
    request = await sent()
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "record": [
            {
                "event_version": "1.0",
                "event_source": "smn",
                "event_subscription_urn": URN,
                "smn": {
                    "type": "notification",
                    "message_id": MESSAGE.id,
                    "topic_urn": TOPIC_URN,
                    "subject": "Welcome",
                    "message": "Hello",
                    "message_attributes": "",
                    "timestamp": "2017-08-17T10:07:14Z",
                },
            }
        ]
    }


async def test_attributes_are_json_in_a_string() -> None:
    """The field is a string in the contract."""
    attributes: tuple[dict[str, object], ...] = (
        {"name": "colour", "type": "STRING", "value": "röd"},
        {"name": "sizes", "type": "STRING_ARRAY", "value": ["s", "m"]},
    )
    request = await sent(MESSAGE._replace(attributes=attributes))
    text = json.loads(request.body)["record"][0]["smn"]["message_attributes"]
    assert json.loads(text) == list(attributes)


async def test_a_message_without_subject_has_an_empty_one() -> None:
    """Functions need not ask whether the field is there."""
    request = await sent(MESSAGE._replace(subject=None))
    assert json.loads(request.body)["record"][0]["smn"]["subject"] == ""


async def test_a_workflow_is_started_with_the_event_as_its_input() -> None:
    """As FunctionGraph's StartWorkflowExecution wants it, in the topic's project."""
    request = await sent(subscription=WORKFLOW)
    assert request.url == f"https://fg.example/v2/{PROJECT}/fgs/workflows/48aff955-dd1b/executions"
    body = json.loads(request.body)
    assert set(body) == {"input"}
    (record,) = body["input"]["record"]
    assert record["event_subscription_urn"] == WORKFLOW.endpoint
    assert record["smn"]["message"] == "for workflows"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (GRAPH["url"], f"https://fg.example/v2/{URN[17:49]}/fgs/functions/{URN}/invocations-async"),
        ("http://gw:8080/async-function/{name}", "http://gw:8080/async-function/resize"),
        ("http://gw/async-function/{name}.{package}?v={version}",
         "http://gw/async-function/resize.default?v=v1"),
        ("http://{name}.{package}.svc.cluster.local:8080/",
         "http://resize.default.svc.cluster.local:8080/"),
        ("https://gw/{region}/{name}", "https://gw/region01/resize"),
    ],
)  # fmt: skip
async def test_the_url_follows_from_the_functions_urn(template: str, expected: str) -> None:
    """FunctionGraph, OpenFaaS, Knative, or anything that can be written as a template."""
    assert await url(template) == expected


async def test_a_urn_without_a_version_means_the_latest() -> None:
    """As FunctionGraph reads it; the URN itself goes out as it was given."""
    endpoint = URN.removesuffix(":v1")
    assert await url("http://gw/{name}/{version}", endpoint) == "http://gw/resize/latest"
    assert await url("http://gw/{urn}", endpoint) == f"http://gw/{endpoint}"


@pytest.mark.parametrize("version", [".", "..", "..."])
async def test_a_version_of_dots_is_none(version: str) -> None:
    """Whoever normalises the path would leave the place that the operator chose."""
    adapter = FunctionAdapter(fake_ports(settings=settings(**GRAPH)))
    with pytest.raises(Refused) as refused:
        await adapter.check("functionstage", URN.removesuffix("v1") + version, {})
    assert refused.value.code == "SMN.0012"


async def test_functions_may_be_limited_to_projects() -> None:
    """The gateway acts with the operator's rights, so the operator says for whom."""
    own = URN.split(":")[3]
    for projects, refuses in (((own,), False), (("other",), True), ((), False)):
        adapter = FunctionAdapter(fake_ports(settings=settings(**GRAPH, projects=projects)))
        if refuses:
            with pytest.raises(Refused):
                await adapter.check("functionstage", URN, {})
        else:
            await adapter.check("functionstage", URN, {})


def test_only_what_has_a_gateway_is_spoken() -> None:
    """Nobody can subscribe a function where nothing would invoke it."""
    for table, expected in (
        ({}, ()),
        ({"url": "http://gw/{name}"}, ("functionstage",)),
        ({"workflow_url": "http://gw/{id}"}, ("functiongraph",)),
        (GRAPH, ("functionstage", "functiongraph")),
    ):
        assert FunctionAdapter(fake_ports(settings=settings(**table))).protocols == expected


@pytest.mark.parametrize(
    "table",
    [
        {"url": "ftp://gw/{name}"},
        {"url": "gw/{name}"},
        {"url": "http:///{name}"},
        {"url": "http://gw:port/{name}"},
        {"url": "http://user:secret@gw/{name}"},
        {"url": "http://gw/{name}#part"},
        {"url": "http://gw/{name} x"},
        {"url": "http://gw/{nome}"},
        {"url": "http://gw/{id}"},
        {"url": "http://gw/{name!r}"},
        {"url": "http://gw/{name:>9}"},
        {"url": "http://gw/{name.__class__}"},
        {"url": "http://gw/{}"},
        {"url": "http://gw/{name"},
        {"url": "http://{urn}.example/"},
        {"url": "http://{version}.example/"},
        {"url": "http://{name}/"},
        {"url": "http://{name}.{package}/"},
        {"url": "http://x.{name}/"},
        {"url": "http://{name}.example:{project}/"},
        {"url": "http://{name}.1/"},
        {"workflow_url": "http://gw/{name}"},
        {"workflow_url": "http://{id}.example/"},
        {"access_key": "AK"},
        {"secret_key": "SK"},
        {"access_key": "A K", "secret_key": "SK"},
        {"access_key": "AK", "secret_key": "SK", "headers": {"authorization": "Basic x"}},
        {"headers": {"Host": "x"}},
        {"headers": {"content-length": "1"}},
        {"headers": {"a b": "1"}},
        {"headers": {"A": "1\r\nB: 2"}},
        {"max_bytes": 0},
        {"unknown": 1},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_at_start(table: dict[str, Any]) -> None:
    """In one sentence, and without showing a value that may be secret."""
    with pytest.raises(ConfigurationError) as refused:
        settings(**table)
    assert "\n" not in str(refused.value)
    assert "secret@" not in str(refused.value)


async def test_headers_of_the_operator_go_with_every_request() -> None:
    """A token for FunctionGraph, a callback for OpenFaaS."""
    headers = {"X-Auth-Token": "t", "X-Callback-Url": "http://cb/"}
    request = await sent(headers=headers)
    assert {name: request.headers[name] for name in headers} == headers


async def test_the_signature_verifies() -> None:
    """What the service's own verification accepts; each header and the body are covered."""
    keys: dict[str, Any] = {"access_key": "AKEXAMPLE", "secret_key": "SKEXAMPLE"}
    request = await sent(**keys, headers={"X-Project-Id": PROJECT})
    _verify(request, b"SKEXAMPLE", EPOCH_MS)
    parsed = signature.parse_authorization(request.headers["Authorization"])
    assert parsed.access_key == "AKEXAMPLE"
    assert parsed.names == ["content-type", "host", "x-project-id", "x-sdk-date"]
    with pytest.raises(Refused):
        _verify(replace(request, body=request.body + b" "), b"SKEXAMPLE", EPOCH_MS)


def test_the_signature_is_the_documented_one() -> None:
    """A worked example of which the value was made with the official SDK's signer."""
    project = "762bdb3251034f268af0e395c53ea09b"
    headers = signed(
        "POST",
        f"https://smn.example.test/v2/{project}/notifications/topics",
        {"Content-Type": "application/json;charset=utf-8", "X-Project-Id": project},
        b'{"name": "demo", "display_name": "Demo"}',
        access_key="AKEXAMPLE00000000001",
        secret_key="SKEXAMPLE0000000000000000000000000000001",
        now_ms=1_767_323_045_000,
    )
    assert headers["Authorization"].endswith(
        "Signature=8a4eddbe35328b48e2e1cec46a73986b21ea33d9cf53c2b443e489801d5bc5e3"
    )


@given(
    path=st.text(max_size=20),
    query=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    body=st.binary(max_size=50),
)
def test_any_request_that_is_signed_verifies(path: str, query: dict[str, str], body: bytes) -> None:
    """Signer and verification were written apart and agree."""
    url = f"https://gw.example/{quote(path)}?{urlencode(query)}"
    headers = signed("POST", url, {}, body, access_key="A", secret_key="S", now_ms=EPOCH_MS)
    _verify(Request(url, headers, body), b"S", EPOCH_MS)


def _verify(request: Request, secret: bytes, now_ms: int) -> None:
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["host"] == parts.netloc

    def values(name: str) -> list[str]:
        return [headers[name]] if name in headers else []

    signature.verify(
        signature.parse_authorization(headers["authorization"]),
        secret,
        signature.check_date(values, now_ms),
        signature.SignedRequest(
            request.method,
            parts.path,
            parse_qsl(parts.query, keep_blank_values=True),
            values,
            request.body,
            lambda: hashlib.sha256(request.body).hexdigest(),
        ),
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200), Delivered(200)),
        (Answer(202, body=b'{"request_id":"x"}'), Delivered(202)),
        (Answer(429, "7"), Throttled(EPOCH_MS + 7000, "HTTP 429", 429)),
        (Answer(503, "7"), Throttled(EPOCH_MS + 7000, "HTTP 503", 503)),
        (Answer(429, body=b"FSS.0429"), Retry("HTTP 429", 429, answer="FSS.0429")),
        (Answer(500, body=b"down"), Retry("HTTP 500", 500, answer="down")),
        (Answer(503), Retry("HTTP 503", 503)),
        (Answer(404, body=b"no function"), Rejected("HTTP 404", 404, "no function")),
        (Answer(401), Rejected("HTTP 401", 401)),
        (Answer(302), Rejected("HTTP 302", 302)),
        (TransportError("connection refused"), Retry("connection refused")),
        (AddressRefused("address refused"), Rejected("address refused")),
    ],
    ids=repr,
)
async def test_an_answer_means(answer: Answer | TransportError, expected: Outcome) -> None:
    """Taken, busy, failing for now, or failing for good."""
    assert await outcome_of(answer) == expected


@pytest.mark.parametrize("protocol", ["functionstage", "functiongraph"])
async def test_an_event_as_long_as_allowed_is_sent_and_no_longer_one(protocol: str) -> None:
    """The bound is of the whole body, as FunctionGraph counts."""
    subscription = SUBSCRIPTION if protocol == "functionstage" else WORKFLOW
    empty = MESSAGE._replace(content={"default": ""})
    room = 262_144 - len((await sent(empty, subscription)).body)
    full = MESSAGE._replace(content={"default": "x" * room})
    assert len((await sent(full, subscription)).body) == 262_144
    gateway = InstantTransport(Answer(202))
    adapter = FunctionAdapter(fake_ports(gateway=gateway, settings=settings(**GRAPH)))
    longer = MESSAGE._replace(content={"default": "x" * (room + 1)})
    outcome = await adapter.send(adapter.render(longer, protocol), adapter.prepare(subscription))
    assert outcome == Rejected("the event is longer than 262144 bytes")
    assert not gateway.requests


_TEXT = st.text(max_size=60)


@given(subject=st.none() | _TEXT, text=_TEXT, value=_TEXT, workflow=st.booleans())
async def test_any_text_arrives_intact(
    subject: str | None, text: str, value: str, workflow: bool
) -> None:
    """Subject, message and attributes, whatever Unicode they are of."""
    attributes = ({"name": "n", "type": "STRING", "value": value},)
    message = MESSAGE._replace(subject=subject, content={"default": text}, attributes=attributes)
    request = await sent(message, WORKFLOW if workflow else SUBSCRIPTION)
    body = json.loads(request.body.decode())
    smn = (body["input"] if workflow else body)["record"][0]["smn"]
    assert smn["subject"] == (subject or "")
    assert smn["message"] == text
    assert json.loads(smn["message_attributes"]) == list(attributes)


async def test_secrets_show_nowhere() -> None:
    """Neither in what settings look like nor in what a delivery's end says."""
    table = GRAPH | {
        "access_key": "AK", "secret_key": "hush", "headers": {"X-Auth-Token": "hush"}
    }  # fmt: skip
    found = settings(**table)
    gateway = InstantTransport(Answer(500, body=b"down"))
    adapter = FunctionAdapter(fake_ports(gateway=gateway, settings=found))
    content, target = adapter.render(MESSAGE, "functionstage"), adapter.prepare(SUBSCRIPTION)
    shown = f"{found!r} {content!r} {target!r} {await adapter.send(content, target)!r}"
    assert "hush" not in shown
