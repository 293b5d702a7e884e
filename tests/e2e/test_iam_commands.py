"""``tocsin iam``: what an operator does there, clients see."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdksmn import v2 as smn
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.iam.recent import LIFE_S
from tests.sdk_client import build_client
from tests.serving import Serve


def tocsin(service: Serve, *arguments: str, given: str | None = None) -> Result:
    """Run a command on the service's data directory, in this process."""
    command = ["iam", *arguments, "--data", str(service.data)]
    return CliRunner().invoke(app, command, prog_name="tocsin", input=given)


def printed(service: Serve, *arguments: str, given: str | None = None) -> list[dict[str, Any]]:
    """What a command that succeeds prints with ``--json``."""
    done = tocsin(service, *arguments, "--json", given=given)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def sdk_for(service: Serve, credentials: dict[str, str], user: str) -> smn.SmnClient:
    """The SDK with a new key of a user."""
    (key,) = printed(service, "key", "create", "--user", user)
    shown = printed(service, "key", "list")
    assert key["secret_key"] not in json.dumps(shown)
    keys = {name: key[name] for name in ("access_key", "secret_key")}
    return build_client(credentials, **keys)


def comes_to(code: str, call: Any, request: Any) -> None:
    """Wait until a call is refused with this code, '' for not at all: a second is promised."""
    deadline = time.monotonic() + LIFE_S + 1
    while (found := _code(call, request)) != code:
        assert time.monotonic() < deadline, f"{found!r} and not {code!r}"


def _code(call: Any, request: Any) -> str:
    try:
        call(request)
    except ClientRequestException as error:
        return str(error.error_code)
    return ""


def test_what_is_granted_opens_and_what_is_revoked_closes(
    service: Serve, credentials: dict[str, str], tmp_path: Path
) -> None:
    """A user, a group, a role and a policy of one's own, all by command."""
    (user,) = printed(service, "user", "create", "grace")
    assert len(user["password"]) >= 20
    sdk = sdk_for(service, credentials, "grace")
    listing, request = sdk.list_topics, smn.ListTopicsRequest()
    comes_to("SMN.00308", listing, request)
    printed(service, "group", "create", "readers")
    printed(service, "group", "add", "readers", "grace")
    printed(service, "grant", "SMN ReadOnlyAccess", "--group", "readers")
    comes_to("", listing, request)
    body = smn.CreateTopicRequestBody(name="graces", display_name="")
    comes_to("SMN.00308", sdk.create_topic, smn.CreateTopicRequest(body=body))
    document = {"Effect": "Deny", "Action": ["smn:topic:list*"]}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"Version": "1.1", "Statement": [document]}))
    printed(service, "policy", "create", "blind", str(path))
    printed(service, "grant", "blind", "--user", "grace", "--project", "region01")
    roles = {(one["role"], one["project"]) for one in printed(service, "grants")}
    assert {("blind", "region01"), ("SMN ReadOnlyAccess", "*")} <= roles
    comes_to("SMN.00308", listing, request)
    printed(service, "revoke", "blind", "--user", "grace", "--project", "region01")
    comes_to("", listing, request)
    printed(service, "user", "disable", "grace")
    comes_to("APIGW.0301", listing, request)
    printed(service, "user", "delete", "grace")
    assert "grace" not in {one["name"] for one in printed(service, "user", "list")}


def test_another_account_is_made_suspended_and_deleted(
    service: Serve, credentials: dict[str, str]
) -> None:
    """With a password of the operator's choice, which is not printed; the region finds it."""
    (made,) = printed(
        service, "domain", "create", "acme", "--password-stdin", given="correct horse\n"
    )
    assert "password" not in made
    (key,) = printed(service, "key", "create", "--user", "acme", "--domain", "acme")
    basic = BasicCredentials(key["access_key"], key["secret_key"])
    basic = basic.with_iam_endpoint(credentials["iam_endpoint"])
    region = Region(credentials["region"], credentials["endpoint"])
    sdk = smn.SmnClient.new_builder().with_credentials(basic).with_region(region).build()
    body = smn.CreateTopicRequestBody(name="theirs", display_name="")
    urn = sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn
    assert made["project_id"] in urn
    printed(service, "domain", "suspend", "acme")
    comes_to("SMN.0071", sdk.list_topics, smn.ListTopicsRequest())
    printed(service, "domain", "enable", "acme")
    refused = tocsin(service, "domain", "delete", "acme")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "still has topics" in refused.stderr
    comes_to("", sdk.list_topics, smn.ListTopicsRequest())
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=urn))
    printed(service, "domain", "delete", "acme")
    comes_to("APIGW.0301", sdk.list_topics, smn.ListTopicsRequest())


def test_a_second_factor_is_turned_on_and_off(service: Serve, credentials: dict[str, str]) -> None:
    """What the command prints is what an OpenStack client logs in with; either ends tokens."""
    (user,) = printed(service, "user", "create", "heidi")
    url = f"{credentials['iam_endpoint']}/v3"
    given: dict[str, Any] = {"username": "heidi", "password": user["password"]}
    given["user_domain_name"] = credentials["domain_name"]
    alone = v3.Password(url, unscoped=True, **given)
    token = alone.get_auth_ref(Session(timeout=10)).auth_token
    (made,) = printed(service, "user", "mfa", "heidi")
    assert (made["name"], made["mfa"]) == ("heidi", True)
    assert made["secret"] in made["uri"]
    shown = printed(service, "user", "list")
    assert [one["name"] for one in shown if one["mfa"]] == ["heidi"]
    assert made["secret"] not in json.dumps(shown)
    comes_to_an_end(url, token)
    with pytest.raises(exceptions.Unauthorized):
        alone.get_auth_ref(Session(timeout=10))
    device = TOTP(base64.b32decode(made["secret"]), 6, SHA1(), 30)
    given["passcode"] = device.generate(time.time()).decode()
    both = v3.MultiFactor(url, ["v3password", "v3totp"], unscoped=True, **given)
    token = both.get_auth_ref(Session(timeout=10)).auth_token
    assert printed(service, "user", "mfa", "heidi", "--off") == [{"name": "heidi", "mfa": False}]
    comes_to_an_end(url, token)
    assert alone.get_auth_ref(Session(timeout=10)).username == "heidi"
    printed(service, "user", "delete", "heidi")


def comes_to_an_end(url: str, token: str | None) -> None:
    """Wait until a token is refused: a second is promised."""
    deadline = time.monotonic() + LIFE_S + 1
    session = Session(timeout=10)
    headers = {"X-Auth-Token": token}
    while session.get(f"{url}/auth/projects", headers=headers, raise_exc=False).ok:
        assert time.monotonic() < deadline


def test_what_cannot_be_done_is_said_in_one_sentence(service: Serve) -> None:
    """With status 1, and nothing on standard output."""
    for arguments in (
        ["user", "delete", "nobody"],
        ["grant", "No Role", "--user", "tocsin"],
        ["project", "create", "elsewhere"],
    ):
        done = tocsin(service, *arguments)
        assert (done.exit_code, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
    for line in tocsin(service, "project", "list").stdout.splitlines():
        assert line.startswith("id=")
