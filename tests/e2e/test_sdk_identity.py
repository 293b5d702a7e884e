"""Who may call, and what the SDK makes of refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcore.signer import signer
from huaweicloudsdksmn import v2 as smn

from tests.sdk_client import build_client


def refusal(call: Callable[[Any], object], request: object) -> ClientRequestException:
    """What the SDK raises."""
    with pytest.raises(ClientRequestException) as caught:
        call(request)
    return caught.value


def listing_refused(credentials: dict[str, str], **changes: str) -> ClientRequestException:
    """What it raises for listing topics with changed credentials."""
    call = build_client(credentials, **changes).list_topics
    return refusal(call, smn.ListTopicsRequest())


def test_a_wrong_secret_is_a_401(credentials: dict[str, str]) -> None:
    """The SDK reads code, sentence and request id."""
    error = listing_refused(credentials, secret_key="wrong")
    assert (error.status_code, error.error_code) == (401, "APIGW.0301")
    assert "verify aksk signature fail" in error.error_msg
    assert len(error.request_id) == 32


def test_an_unknown_access_key_is_a_401(credentials: dict[str, str]) -> None:
    """A key that nobody holds."""
    error = listing_refused(credentials, access_key="AK")
    assert (error.status_code, error.error_code) == (401, "APIGW.0301")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_skewed_clock_is_a_401(
    credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """A client whose clock is more than 15 minutes off is told so."""

    class Skewed(datetime):
        @classmethod
        def utcnow(cls) -> Self:
            return cls.now(UTC) + timedelta(minutes=minutes)

    monkeypatch.setattr(signer, "datetime", Skewed)
    error = listing_refused(credentials)
    assert (error.status_code, error.error_code) == (401, "APIGW.0301")
    assert "signature expired" in error.error_msg


def test_another_project_is_a_403(credentials: dict[str, str]) -> None:
    """Valid credentials open their own project only."""
    error = listing_refused(credentials, project_id="0" * 32)
    assert (error.status_code, error.error_code) == (403, "SMN.0001")


@pytest.mark.parametrize(
    ("urn", "status", "code"),
    [("nonsense", 400, "SMN.0005"), ("urn:smn:region01:{}:missing", 404, "SMN.0006")],
)
def test_errors_arrive_with_code_and_request_id(
    sdk: smn.SmnClient, credentials: dict[str, str], urn: str, status: int, code: str
) -> None:
    """The SDK finds both in what the service answers."""
    urn = urn.format(credentials["project_id"])
    error = refusal(sdk.list_topic_details, smn.ListTopicDetailsRequest(topic_urn=urn))
    assert (error.status_code, error.error_code) == (status, code)
    assert len(error.request_id) == 32


def test_a_region_is_enough_to_find_the_project(credentials: dict[str, str]) -> None:
    """Without a project id the SDK asks the identity service for its region's project."""
    basic = BasicCredentials(credentials["access_key"], credentials["secret_key"])
    basic = basic.with_iam_endpoint(credentials["iam_endpoint"])
    region = Region(credentials["region"], credentials["endpoint"])
    sdk = smn.SmnClient.new_builder().with_credentials(basic).with_region(region).build()
    assert sdk.list_topics(smn.ListTopicsRequest()).topic_count >= 0
    assert basic.project_id == credentials["project_id"]


def test_a_password_gives_a_token_that_opens_the_project(credentials: dict[str, str]) -> None:
    """The other way in, as OpenStack clients and Terraform take it."""
    user = {
        "name": credentials["user_name"],
        "password": credentials["password"],
        "domain": {"name": credentials["domain_name"]},
    }
    identity: dict[str, Any] = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": credentials["region"]}}
    url = f"{credentials['iam_endpoint']}/v3/auth/tokens"
    answer = requests.post(url, json={"auth": {"identity": identity, "scope": scope}}, timeout=10)
    assert answer.status_code == 201
    (smn_endpoint,) = (
        one["endpoints"][0]["url"]
        for one in answer.json()["token"]["catalog"]
        if one["type"] == "smn"
    )
    topics = f"{smn_endpoint}/notifications/topics"
    token = answer.headers["X-Subject-Token"]
    headers = {"X-Auth-Token": token}
    assert requests.get(topics, headers=headers, timeout=10).status_code == 200
    headers = {"X-Auth-Token": token + "x"}
    assert requests.get(topics, headers=headers, timeout=10).status_code == 401
    identity["password"]["user"] = user | {"password": "wrong"}
    answer = requests.post(url, json={"auth": {"identity": identity}}, timeout=10)
    assert (answer.status_code, answer.json()["error"]["title"]) == (401, "Unauthorized")
