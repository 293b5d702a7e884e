"""Logging in as OpenStack clients do: version document, token, catalog, project."""

from __future__ import annotations

from typing import Any

import pytest
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session


def password(credentials: dict[str, str], **changes: Any) -> v3.Password:
    """A password, as ``clouds.yaml`` gives it."""
    given = {
        "username": credentials["user_name"],
        "password": credentials["password"],
        "user_domain_name": credentials["domain_name"],
        "project_name": credentials["region"],
        "project_domain_name": credentials["domain_name"],
    }
    return v3.Password(f"{credentials['iam_endpoint']}/v3", **(given | changes))


def log_in(credentials: dict[str, str], **changes: Any) -> Session:
    """A session that logs in with it."""
    return Session(password(credentials, **changes), timeout=10)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"project_domain_name": None},
        {"user_domain_name": None, "user_domain_id": "{domain_id}"},
        {"project_name": None, "project_domain_name": None, "project_id": "{project_id}"},
    ],
    ids=["names", "project-alone", "domain-id", "project-id"],
)
def test_a_password_finds_the_service_in_the_catalog(
    credentials: dict[str, str], changes: dict[str, str | None]
) -> None:
    """All forms; the endpoint that the catalog names answers with the token."""
    given = {name: text and text.format(**credentials) for name, text in changes.items()}
    session = log_in(credentials, **given)
    assert session.get_project_id() == credentials["project_id"]
    endpoint = session.get_endpoint(
        service_type="smn", interface="public", region_name=credentials["region"]
    )
    assert endpoint == f"{credentials['endpoint']}/v2/{credentials['project_id']}"
    answer = session.get(f"{endpoint}/notifications/topics")
    assert answer.json()["topic_count"] >= 0


@pytest.mark.parametrize("kind", ["identity", "cts", "ces", "lts"])
def test_the_catalog_lists_the_other_services(credentials: dict[str, str], kind: str) -> None:
    """On the same origin."""
    endpoint = log_in(credentials).get_endpoint(service_type=kind, interface="public")
    assert endpoint is not None
    assert endpoint.startswith(credentials["endpoint"])


def test_the_version_document_leads_to_the_service(credentials: dict[str, str]) -> None:
    """Discovery without credentials finds version 3, as a client does before it logs in."""
    (found,) = (
        one
        for one in Session(timeout=10)
        .get(f"{credentials['iam_endpoint']}/v3", authenticated=False)
        .json()
        .values()
    )
    assert found["id"].startswith("v3")
    session = Session(timeout=10)
    url = f"{credentials['iam_endpoint']}/v3"
    discovered = password(credentials).get_discovery(session, url)
    assert discovered.url_for("v3") == f"{credentials['iam_endpoint']}/v3/"


def test_a_token_gives_a_token_and_ends_when_it_is_revoked(credentials: dict[str, str]) -> None:
    """The client's own token method and invalidation."""
    first = log_in(credentials)
    token = first.get_token()
    assert token is not None

    def exchange() -> Session:
        auth = v3.Token(
            f"{credentials['iam_endpoint']}/v3",
            token,
            project_name=credentials["region"],
            project_domain_name=credentials["domain_name"],
        )
        return Session(auth, timeout=10)

    assert exchange().get_project_id() == credentials["project_id"]
    url = f"{credentials['iam_endpoint']}/v3/auth/tokens"
    assert first.delete(url, headers={"X-Subject-Token": token}).status_code == 204
    with pytest.raises(exceptions.Unauthorized):
        exchange().get_token()


def test_a_wrong_password_is_an_unauthorized(credentials: dict[str, str]) -> None:
    """The client raises what it is made to; an unknown project is not found."""
    with pytest.raises(exceptions.Unauthorized) as caught:
        log_in(credentials, password="wrong").get_token()
    assert "username or password is wrong" in str(caught.value)
    with pytest.raises(exceptions.NotFound):
        log_in(credentials, project_name="elsewhere").get_token()
