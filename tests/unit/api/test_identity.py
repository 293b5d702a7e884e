"""The identity slice: log-in, tokens, catalog, projects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_client import ACCOUNT, PASSWORD, PROJECT, Answer, Client, FakeEngine

TOKENS = "/v3/auth/tokens"
PROJECT_SCOPE = {"project": {"name": "region01"}}


def request(scope: Any = PROJECT_SCOPE, **user: Any) -> dict[str, Any]:
    """A password log-in."""
    given = {"password": PASSWORD, "name": "alice", "domain": {"name": "acme"}} | user
    given = {name: value for name, value in given.items() if value is not None}
    identity = {"methods": ["password"], "password": {"user": given}}
    return {"auth": {"identity": identity} | ({} if scope is None else {"scope": scope})}


async def log_in(client: Client, body: Any, query: str = "") -> Answer:
    """POST /v3/auth/tokens."""
    return await client.call("POST", f"{TOKENS}{query}", body, sign=False)


@pytest.mark.parametrize(
    "body",
    [
        request(),
        request(domain={"id": ACCOUNT.domain_id}),
        request(name=None, domain=None, id=ACCOUNT.user_id),
        request({"project": {"id": PROJECT}}),
        request({"project": {"name": "region01", "domain": {"name": "acme"}}}),
        request({"project": {"name": "region01", "domain": {"id": ACCOUNT.domain_id}}}),
    ],
)
async def test_a_password_gives_a_token_for_the_project(client: Client, body: Any) -> None:
    """All forms of user and scope; the token then opens the project."""
    answer = await log_in(client, body)
    assert answer.status == 201
    described = answer.json["token"]
    assert described["project"]["id"] == PROJECT
    assert described["user"]["domain"] == {"id": ACCOUNT.domain_id, "name": "acme"}
    smn = next(one for one in described["catalog"] if one["type"] == "smn")
    assert smn["endpoints"][0]["url"] == f"{client.url}/v2/{PROJECT}"
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    target = f"/v2/{PROJECT}/notifications/topics"
    assert (await client.call("GET", target, headers=headers, sign=False)).status == 200


@pytest.mark.parametrize("query", ["?nocatalog", "?nocatalog=true"])
async def test_the_catalog_can_be_left_out(client: Client, query: str) -> None:
    """Bare or with a value."""
    assert "catalog" not in (await log_in(client, request(), query)).json["token"]


@pytest.mark.parametrize("scope", [None, "unscoped", {"domain": {"name": "acme"}}])
async def test_a_token_without_a_project_opens_none(client: Client, scope: Any) -> None:
    """It is a token, but not for topics."""
    answer = await log_in(client, request(scope))
    assert answer.status == 201
    assert "project" not in answer.json["token"]
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    target = f"/v2/{PROJECT}/notifications/topics"
    answer = await client.call("GET", target, headers=headers, sign=False)
    assert (answer.status, answer.json["code"]) == (403, "SMN.0001")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (request(password="wrong"), 401),
        (request(password="x" * 2000), 401),
        (request(name="mallory"), 401),
        (request(domain={"name": "other"}), 401),
        (request(domain=None), 401),
        (request(name=None), 400),
        (request({"project": {"name": "region02"}}), 404),
        (request({"project": {"name": "region01", "domain": {"name": "other"}}}), 404),
        ({"auth": {"identity": {"methods": ["hmac"]}}}, 401),
        ({"auth": {"identity": {"methods": ["password"]}}}, 400),
        ({"auth": []}, 400),
        ({}, 400),
        (b"{", 400),
    ],
)
async def test_a_bad_log_in_has_keystones_shape(
    client: Client, engine: FakeEngine, body: Any, status: int
) -> None:
    """Wrong user and wrong password look alike; nothing is stored."""
    answer = await log_in(client, body)
    assert answer.status == status
    assert set(answer.json["error"]) == {"code", "message", "title"}
    assert answer.json["error"]["code"] == status
    assert "X-Request-Id" in answer.headers
    assert PASSWORD not in answer.raw.decode()
    assert not engine.store.values


async def test_tokens_are_kept_as_hashes(client: Client, engine: FakeEngine) -> None:
    """Who reads the database has no token."""
    text = (await log_in(client, request())).headers["X-Subject-Token"]
    assert engine.store.values
    assert text not in str(engine.store.values)


async def test_a_token_is_shown_and_revoked(client: Client) -> None:
    """Validation returns what log-in returned; afterwards it is unknown."""
    answer = await log_in(client, request())
    headers = {"X-Subject-Token": answer.headers["X-Subject-Token"]}
    shown = await client.call("GET", TOKENS, headers=headers)
    assert (shown.status, shown.json) == (200, answer.json)
    assert (await client.call("HEAD", TOKENS, headers=headers)).status == 200
    assert (await client.call("DELETE", TOKENS, headers=headers)).status == 204
    gone = await client.call("GET", TOKENS, headers=headers)
    assert (gone.status, gone.json["error"]["title"]) == (404, "Not Found")


@pytest.mark.parametrize(("query", "count"), [("?name=region01", 1), ("?name=region", 0), ("", 1)])
async def test_projects_are_found_by_exact_name(client: Client, query: str, count: int) -> None:
    """The SDK fails unless exactly one project fits its region."""
    projects = (await client.call("GET", f"/v3/projects{query}")).json["projects"]
    assert [one["id"] for one in projects] == [PROJECT] * count


async def test_domains_and_catalog_are_listed(client: Client) -> None:
    """What Terraform and global credentials ask for."""
    domains = (await client.call("GET", "/v3/auth/domains")).json["domains"]
    assert [one["id"] for one in domains] == [ACCOUNT.domain_id]
    catalog = (await client.call("GET", "/v3/auth/catalog")).json["catalog"]
    assert [one["type"] for one in catalog] == ["smn", "cts", "ces", "lts", "identity"]


async def test_the_version_document_lets_keystone_clients_proceed(client: Client) -> None:
    """With and without the slash, without credentials."""
    for target in ("/v3", "/v3/"):
        version = (await client.call("GET", target, sign=False)).json["version"]
        assert (version["id"], version["status"]) == ("v3.6", "stable")
        assert version["links"] == [{"rel": "self", "href": f"{client.url}/v3/"}]


async def test_failures_under_v3_have_keystones_shape(client: Client) -> None:
    """Unknown paths and missing credentials too."""
    for target, status in (("/v3/nowhere", 404), ("/v3/projects", 401)):
        answer = await client.call("GET", target, sign=False)
        assert (answer.status, answer.json["error"]["code"]) == (status, status)
