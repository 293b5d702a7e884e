"""The lookup of operations by method and raw path."""

from __future__ import annotations

import pytest

from engine.api.answers import Failure
from engine.api.routes import Auth, Route, Router
from engine.api.table import ROUTES

ROUTER = Router(ROUTES)
PROJECT = "a" * 32
TOPIC = f"urn:smn:region01:{PROJECT}:demo"
ENCODED = TOPIC.replace(":", "%3A")


async def _handler(call: object) -> dict[str, object]:
    return {}


@pytest.mark.parametrize("urn", [TOPIC, ENCODED, ENCODED.lower()])
def test_a_urn_matches_encoded_or_plain(urn: str) -> None:
    """Both ways of sending colons lead to the same operation and value."""
    route, path = ROUTER.find("POST", f"/v2/{PROJECT}/notifications/topics/{urn}/publish")
    assert route.operation == "PublishMessage"
    assert path == {"project_id": PROJECT, "topic_urn": TOPIC}


def test_an_encoded_slash_stays_inside_its_segment() -> None:
    """Segments are split at literal slashes only, and decoded once."""
    route, path = ROUTER.find("GET", f"/v2/{PROJECT}/notifications/topics/a%2Fb%252F")
    assert route.operation == "ListTopicDetails"
    assert path["topic_urn"] == "a/b%2F"


def test_a_literal_goes_before_a_parameter() -> None:
    """`/v2/notifications/…` is never taken for a project."""
    route, _ = ROUTER.find("GET", "/v2/notifications/subscriptions/subscribe")
    assert route.operation == "SubscribeTopic"


def test_a_parameter_is_tried_where_the_literal_leads_nowhere() -> None:
    """A literal that matches a prefix does not hide a longer path with parameters."""
    router = Router(
        [
            Route("One", "GET", "/a/b/c", _handler),
            Route("Other", "GET", "/a/{x}/d", _handler),
        ]
    )
    route, path = router.find("GET", "/a/b/d")
    assert (route.operation, path) == ("Other", {"x": "b"})


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/nowhere", "has not been published"),
        ("GET", f"/v2/{PROJECT}/notifications/topics/", "has not been published"),
        ("GET", f"/v2/{PROJECT}/notifications//topics", "has not been published"),
        ("GET", "", "has not been published"),
        ("PATCH", f"/v2/{PROJECT}/notifications/topics", "The API does not exist."),
    ],
)
def test_what_is_not_there_is_a_404(method: str, path: str, text: str) -> None:
    """An unknown path and a wrong method differ in their text only."""
    with pytest.raises(Failure, match=text) as caught:
        ROUTER.find(method, path)
    assert (caught.value.status, caught.value.code) == (404, "APIGW.0101")


@pytest.mark.parametrize("path", ["/v2/%ff", "/v2/\udcff", "/v2/é"])
def test_a_path_that_is_not_encoded_utf8_is_a_400(path: str) -> None:
    """Nothing undecodable reaches a handler."""
    with pytest.raises(Failure) as caught:
        ROUTER.find("GET", path)
    assert caught.value.status == 400


def test_head_is_get() -> None:
    """It reads what GET reads; handlers of links that cancel or confirm see to it themselves."""
    assert ROUTER.find("HEAD", "/healthz")[0].operation == "CheckAlive"
    assert ROUTER.find("HEAD", "/smn/subscription/confirm")[0].changes
    assert all(route.method == "GET" for route in ROUTES if route.changes)


def test_no_two_operations_claim_one_path() -> None:
    """A row that repeats another one is an error at start."""
    with pytest.raises(ValueError, match="Two operations"):
        Router([Route("One", "GET", "/{a}", _handler), Route("Two", "GET", "/{b}", _handler)])


def test_every_project_operation_demands_a_caller() -> None:
    """No row below a project is public by accident."""
    assert all(
        route.auth is Auth.CALLER for route in ROUTES if route.path.startswith("/v2/{project_id}")
    )
