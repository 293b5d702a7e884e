"""What an audit record shows, and what it never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.policy import audit

SECRETS = {
    "sign_secret": "s3cret",
    "client_secret": "s3cret",
    "app_secret": "s3cret",
    "keyword": "s3cret",
    "header": {"x-key": "s3cret", "name": "s3cret"},
}


def _shown(body: Any, names: audit.Names = audit.SHOWN) -> str:
    return audit.text(audit.parse(json.dumps(body).encode()), names)


@pytest.mark.parametrize(
    "body",
    [
        {"protocol": "feishu", "endpoint": "https://hook.example/s3cret", **SECRETS},
        {"protocol": "feishu", "endpoint": "hook.example/s3cret"},
        {"protocol": "dingding", "endpoint": "s3cret"},
        {"protocol": "http", "endpoint": "http:/hook.example/s3cret"},
        {"protocol": "http", "endpoint": "http://u:s3cret@hook.example/"},
        {"protocol": "http", "endpoint": "http://hook.example#s3cret"},
        {"protocol": "http", "endpoint": ["http://hook.example/s3cret"]},
        {"protocol": "email", "endpoint": "http://hook.example/s3cret"},
        {"protocol": "pigeon", "endpoint": "s3cret"},
        {"protocol": ["http"], "endpoint": "s3cret"},
        {"endpoint": "http://hook.example/s3cret"},
        {"subscriptions": [{"protocol": "feishu", "endpoint": "hook.example/s3cret"}]},
        {"subscriptions": ["s3cret", ["s3cret"]]},
        {"protocol": "feishu", "extension": SECRETS},
        {"subscriptions": [{"protocol": "feishu", "extension": SECRETS}]},
        {"extension": "s3cret"},
        {"extension": ["s3cret"]},
        {"name": ["s3cret"]},
        {"tag": {"key": {"name": "s3cret"}}},
        {"verification_code": "s3cret"},
        {"token": "s3cret", "user_data": "s3cret"},
        {"platform": "HMS", "platform_principal": "s3cret", "platform_credential": "s3cret"},
        {"message_template_name": "t", "content": "s3cret"},
        {"message": "s3cret", "message_structure": "s3cret"},
        {"auth": {"identity": {"password": {"user": {"password": "s3cret"}}}}},
        {"a new field": "s3cret"},
        "s3cret",
        ["s3cret"],
    ],
    ids=str,
)
def test_a_secret_is_not_shown(body: object) -> None:
    """Whatever is not named as harmless, or is not what belongs there, is masked at every depth."""
    shown = _shown(body)
    assert "s3cret" not in shown
    assert audit.MASK in shown


def test_harmless_members_are_shown() -> None:
    """A record is of use: names, policies, tags and plain addresses stand in it."""
    body = {
        "protocol": "email",
        "endpoint": "a@example.com",
        "remark": "on call",
        "extension": {"verification_code_enabled": True},
        "subscriptions": [{"protocol": "sms", "endpoint": "+8613600000000", "remark": None}],
        "tags": [{"key": "k", "value": "v"}, {"key": "k", "values": ["v", "w"]}],
        "subscription_urns": ["urn", {"subscription_urn": "urn"}],
        "polling": [{"order": 1, "subscription_urns": ["urn"]}],
    }
    assert json.loads(_shown(body)) == body


@pytest.mark.parametrize(
    "endpoint", ["http://a.example", "http://a.example?key=s3cret", "http://a.example/s3cret?key"]
)
def test_an_address_keeps_only_its_origin(endpoint: str) -> None:
    """Path and query may be the key to an endpoint."""
    body = {"protocol": "http", "endpoint": endpoint}
    assert json.loads(_shown(body))["endpoint"] == "http://a.example/***"


def test_a_body_that_is_not_read_is_told_of() -> None:
    """Its size stands in its place."""
    assert json.loads(audit.text(audit.parse(b"{"), audit.SHOWN)) == "1 bytes, not JSON"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[" * 100_000,
        b'{"name": "\\ud800"}',
        b"\xff",
        b'{"name": "' + b"a" * 5000 + b'"}',
        b'{"tags": [' + b'{"key": "k"},' * 5000 + b"1]}",
        b'{"tags": ' * 50 + b"1" + b"}" * 50,
        b'{"' + b"a" * 5000 + b'": 1}',
        b'"' + b"a" * 2_000_000 + b'"',
        b"9" * 10_000,
    ],
    ids=range(10),
)
def test_a_record_is_bounded_text(raw: bytes) -> None:
    """Whatever a client sends becomes a short text that UTF-8 can hold."""
    shown = audit.text(audit.parse(raw), audit.SHOWN)
    assert len(shown) <= audit.MAX_TEXT
    shown.encode()


def test_a_query_is_shown_as_an_object() -> None:
    """Lists have no body; what was asked stands in the query."""
    assert audit.query_text([]) == ""
    assert json.loads(audit.query_text([("limit", "5"), ("x", "y")])) == {"limit": "5", "x": "***"}


@pytest.mark.parametrize(
    ("status", "rating"),
    [(200, "normal"), (204, "normal"), (404, "warning"), (429, "warning"), (500, "incident")],
)
def test_a_rating_follows_the_status(status: int, rating: str) -> None:
    """A refusal is a warning, a fault of the service an incident."""
    assert audit.rating(status) == rating


@pytest.mark.parametrize(
    ("name", "deletion"),
    [
        ("deleteTopic", True),
        ("delsubscribe", True),
        ("batchDeleteFilterPolices", True),
        ("createTopic", False),
        ("listTopicDetails", False),
    ],
)
def test_deletions_are_known_by_name(name: str, deletion: bool) -> None:
    """They carry no request."""
    assert audit.is_deletion(name) is deletion


def test_tags_are_recorded_by_their_action() -> None:
    """One operation adds and removes tags; their traces differ."""
    assert audit.trace_name("batchCreateTag", {"action": "delete"}) == "deleteTag"
    others: tuple[object, ...] = ({"action": "create"}, {"action": ["delete"]}, [], None)
    for body in others:
        assert audit.trace_name("batchCreateTag", body) == "batchCreateTag"


TOPIC = "urn:smn:region01:p:news"


@pytest.mark.parametrize(
    ("kind", "path", "request_", "answer", "found"),
    [
        ("topic", {"topic_urn": TOPIC}, None, None, (TOPIC, "news")),
        ("topic", {}, {"name": "news"}, {"topic_urn": TOPIC}, (TOPIC, "news")),
        ("topic", {}, {"name": "-"}, {"code": "SMN.0002"}, ("", "-")),
        ("topic", {}, ["x"], "x", ("", "")),
        (
            "subscription",
            {"topic_urn": TOPIC},
            {"remark": "x"},
            {"subscription_urn": f"{TOPIC}:1"},
            (f"{TOPIC}:1", "news"),
        ),
        (
            "message_template",
            {},
            {"message_template_name": "t"},
            {"message_template_id": "7"},
            ("7", "t"),
        ),
        ("logtank", {"topic_urn": TOPIC}, {}, {"id": "7", "request_id": "8"}, ("7", "news")),
    ],
)
def test_a_resource_is_named(
    kind: str, path: dict[str, str], request_: object, answer: object, found: tuple[str, str]
) -> None:
    """Id and name come from path, answer and request, as far as they tell."""
    assert audit.resource(kind, path, request_, answer) == found
