"""Tokens: every way to get one, what it is good for, and what ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.iam.identities import State, Subject
from engine.iam.recent import LIFE_S
from tests.api_client import Answer
from tests.identities import (
    PASSWORD,
    TOKENS,
    auth,
    client_with,
    password_request,
    post_token,
    token_of,
    user_with,
)
from tests.worlds import World

REGION = {"project": {"name": "region01"}}


async def topics(world: World, headers: dict[str, str], project: str = "") -> Answer:
    """List a project's topics with a token."""
    target = f"/v2/{project or world.project}/notifications/topics"
    return await world.client.call("GET", target, headers=headers, sign=False)


def check_refused(answer: Answer, status: int) -> None:
    """The failure has Keystone's shape."""
    assert (answer.status, answer.json["error"]["code"]) == (status, status), answer.raw
    assert answer.json["error"]["title"]
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("form", ["bare", "object"])
async def test_a_temporary_key_gives_a_token(world: World, form: str) -> None:
    """With its security token as text or as an object; the token ends with the key."""
    headers = await token_of(world, _owner(world))
    made = await _temporary(world, headers)
    proof = made["securitytoken"] if form == "bare" else {"key": made["securitytoken"]}
    given = {"access": {"key": made["access"]}, "secret": {"key": made["secret"]}}
    answer = await post_token(world, auth("hw_ak_sk", given | {"security_token": proof}, REGION))
    assert answer.status == 201, answer.raw
    assert answer.json["token"]["expires_at"] == made["expires_at"]
    check_refused(await post_token(world, auth("hw_ak_sk", given, REGION)), 401)


def _owner(world: World, scope: Any = REGION) -> dict[str, Any]:
    return password_request(scope, name="tocsin", password=world.account.password)


async def _temporary(world: World, headers: dict[str, str], **more: Any) -> dict[str, str]:
    body = auth("token", {"id": headers["X-Auth-Token"], **more})
    target = "/v3.0/OS-CREDENTIAL/securitytokens"
    answer = await world.client.call("POST", target, body, sign=False)
    assert answer.status == 201, answer.raw
    found = answer.json["credential"]
    assert set(found) == {"access", "secret", "securitytoken", "expires_at"}
    return {name: str(value) for name, value in found.items()}


async def test_an_access_key_gives_a_token(world: World) -> None:
    """As many public programs log in."""
    account = world.account
    given = {"access": {"key": account.access_key}, "secret": {"key": account.secret_key}}
    answer = await post_token(world, auth("hw_ak_sk", given, REGION))
    assert answer.json["token"]["methods"] == ["hw_ak_sk"]
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    assert (await topics(world, headers)).status == 200
    wrong = given | {"secret": {"key": "x"}}
    check_refused(await post_token(world, auth("hw_ak_sk", wrong, REGION)), 401)


async def test_a_token_is_exchanged_for_another_scope(world: World) -> None:
    """It ends when the first one does: else it could prolong itself for ever."""
    first = await post_token(world, _owner(world, None))
    text = first.headers["X-Subject-Token"]
    assert "roles" not in first.json["token"]
    assert (await topics(world, {"X-Auth-Token": text})).status == 403
    second = await post_token(world, auth("token", {"id": text}, REGION))
    assert second.json["token"]["methods"] == ["password", "token"]
    assert second.json["token"]["expires_at"] == first.json["token"]["expires_at"]
    assert (await topics(world, {"X-Auth-Token": second.headers["X-Subject-Token"]})).status == 200
    check_refused(await post_token(world, auth("token", {"id": "x"}, REGION)), 401)


@pytest.mark.parametrize("method", ["assume_role", "hw_assume_role"])
@pytest.mark.parametrize("role_name", ["agency_name", "xrole_name"])
async def test_an_agency_lets_another_account_act(
    world: World, method: str, role_name: str
) -> None:
    """By token and by signature, by the account's name and id; only as far as was granted."""
    directory, own = world.engine.directory, world.account.domain_name
    acme = await directory.create_domain("acme", password=PASSWORD)
    await directory.access.create_agency("ops", domain="acme", trusted=own)
    await directory.access.grant("SMN ReadOnlyAccess", Subject.AGENCY, "ops", domain="acme")
    headers: dict[str, str] = {}
    ways: list[dict[str, Any]] = [
        {"sign": True},
        {"headers": await token_of(world, _owner(world))},
    ]
    for options in ways:
        for account in ({"domain_name": "acme"}, {"domain_id": acme.domain.id}):
            given = {role_name: "ops", "duration_seconds": 900, **account}
            answer = await post_token(world, auth(method, given, REGION), **options)
            assert answer.status == 201, answer.raw
            token = answer.json["token"]
            assert token["project"]["id"] == acme.project.id
            assert token["user"]["name"] == "acme/ops"
            assert token["assumed_by"]["user"]["id"] == world.account.user_id
            assert [one["name"] for one in token["roles"]] == ["SMN ReadOnlyAccess"]
            headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    assert (await topics(world, headers, acme.project.id)).status == 200
    assert (await topics(world, headers)).json["code"] == "SMN.0001"
    target = f"/v2/{acme.project.id}/notifications/topics"
    answer = await world.client.call("POST", target, {"name": "x"}, headers=headers, sign=False)
    assert (answer.status, answer.json["code"]) == (403, "SMN.00308")
    await directory.access.delete_agency("ops", domain="acme")
    assert (await topics(world, headers, acme.project.id)).status == 401


async def test_a_restricted_agency_token_can_less(world: World) -> None:
    """It keeps only the roles that were asked for."""
    directory, own = world.engine.directory, world.account.domain_name
    acme = await directory.create_domain("acme", password=PASSWORD)
    await directory.access.create_agency("ops", domain="acme", trusted=own)
    await directory.access.grant("Tenant Administrator", Subject.AGENCY, "ops", domain="acme")
    for asked, status in (("te_admin", 200), ("Tenant Guest", 403)):
        given = {"xrole_name": "ops", "domain_name": "acme", "restrict": {"roles": [asked]}}
        headers = await token_of(world, auth("hw_assume_role", given, REGION), sign=True)
        assert (await topics(world, headers, acme.project.id)).status == status


async def test_only_users_who_may_act_as_an_agency_do(world: World) -> None:
    """Not every user of the trusted account, nobody of another, and no agency in turn."""
    directory, own = world.engine.directory, world.account.domain_name
    await directory.create_domain("acme", password=PASSWORD)
    await directory.create_domain("other", password=PASSWORD)
    await directory.access.create_agency("ops", domain="acme", trusted=own)
    body = auth("assume_role", {"domain_name": "acme", "agency_name": "ops"})
    weak = await user_with(world, "SMN FullAccess", name="weak")
    operator = await user_with(world, "Agent Operator", name="operator")
    assert (await operator.call("POST", TOKENS, body)).status == 201
    check_refused(await weak.call("POST", TOKENS, body), 403)
    outside = await token_of(world, password_request(domain="other", name="other"))
    check_refused(await post_token(world, body, headers=outside), 403)
    inside = await token_of(world, body, sign=True)
    check_refused(await post_token(world, body, headers=inside), 403)
    check_refused(await post_token(world, body), 401)
    missing = auth("assume_role", {"domain_name": "acme", "agency_name": "x"})
    check_refused(await post_token(world, missing, sign=True), 403)


async def test_projects_beside_the_regions_own_are_scopes(world: World) -> None:
    """By name and id; each has its own topics, and a key opens all of its account's."""
    made = await world.engine.directory.create_project("region01_dev", domain="tocsin")
    for reference in ({"name": "region01_dev"}, {"id": made.id}):
        answer = await post_token(world, _owner(world, {"project": reference}))
        catalog = {one["type"]: one for one in answer.json["token"]["catalog"]}
        endpoint = catalog["smn"]["endpoints"][0]
        assert endpoint["url"] == f"{world.client.url}/v2/{made.id}"
        assert endpoint["region"] == "region01"
        headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
        assert (await topics(world, headers, made.id)).status == 200
        assert (await topics(world, headers)).status == 403
    target = f"/v2/{made.id}/notifications/topics"
    assert (await world.client.call("POST", target, {"name": "x"})).status == 201
    assert (await world.call("GET", "{base}/topics")).json["topic_count"] == 0
    listed = (await world.client.call("GET", "/v3/projects?name=region01_dev")).json["projects"]
    assert [(one["id"], one["parent_id"]) for one in listed] == [(made.id, world.project)]
    assert len((await world.client.call("GET", "/v3/auth/projects")).json["projects"]) == 2


async def test_another_accounts_project_is_no_scope(world: World) -> None:
    """Neither by id nor by name and account."""
    acme = await world.engine.directory.create_domain("acme", password=PASSWORD)
    scopes: list[dict[str, Any]] = [
        {"project": {"id": acme.project.id}},
        {"project": {"name": "region01", "domain": {"name": "acme"}}},
        {"domain": {"name": "acme"}},
        {"project": {}},
    ]
    for scope in scopes:
        check_refused(await post_token(world, _owner(world, scope)), 404)


@pytest.mark.parametrize("end", ["disable", "delete", "password", "account", "project"])
async def test_a_token_ends_with_what_it_rests_on(world: World, end: str) -> None:
    """Within a second, and it does not come back with a user that is let in again."""
    directory = world.engine.directory
    acme = await directory.create_domain("acme", password=PASSWORD)
    dev = await directory.create_project("region01_dev", domain="acme")
    await user_with(world, "Tenant Administrator", domain="acme")
    scope = {"project": {"name": "region01_dev"}}
    headers = await token_of(world, password_request(scope, domain="acme"))
    assert (await topics(world, headers, dev.id)).status == 200
    if end == "disable":
        await directory.enable_user("alice", domain="acme", enabled=False)
        assert (await topics(world, headers, dev.id)).status == 401
        await directory.enable_user("alice", domain="acme", enabled=True)
    elif end == "delete":
        await directory.delete_user("alice", domain="acme")
    elif end == "password":
        await directory.set_password("alice", domain="acme", password="another one")
    elif end == "account":
        await directory.set_state("acme", State.DISABLED)
    else:
        await directory.delete_project("region01_dev", domain="acme")
    assert acme.domain.id
    assert (await topics(world, headers, dev.id)).status == 401


async def test_a_revoked_token_is_gone_everywhere_within_a_second(world: World) -> None:
    """The process that revoked it refuses it at once."""
    headers = await token_of(world, _owner(world))
    subject = {"X-Subject-Token": headers["X-Auth-Token"]}
    assert (await world.client.call("HEAD", TOKENS, headers=subject)).status == 200
    assert (await world.client.call("DELETE", TOKENS, headers=subject)).status == 204
    assert (await topics(world, headers)).status == 401
    await asyncio.sleep(LIFE_S)
    assert (await topics(world, headers)).status == 401


async def test_others_tokens_are_their_own(world: World) -> None:
    """A user neither sees nor ends another's; who manages the account does."""
    alice = await user_with(world, "SMN FullAccess")
    text = (await token_of(world, _owner(world)))["X-Auth-Token"]
    subject = {"X-Subject-Token": text}
    check_refused(await alice.call("GET", TOKENS, headers=subject), 403)
    check_refused(await alice.call("DELETE", TOKENS, headers=subject), 403)
    hers = (await token_of(world, password_request(REGION)))["X-Auth-Token"]
    subject = {"X-Subject-Token": hers}
    assert (await alice.call("GET", TOKENS, headers=subject)).status == 200
    assert (await world.client.call("DELETE", TOKENS, headers=subject)).status == 204


async def test_users_are_listed_by_name_for_who_may(world: World) -> None:
    """The exact name; other users may not look."""
    alice = await user_with(world, "SMN FullAccess")
    found = await world.client.call("GET", "/v3/users?name=alice")
    assert [one["name"] for one in found.json["users"]] == ["alice"]
    assert len((await world.client.call("GET", "/v3/users")).json["users"]) == 2
    assert (await world.client.call("GET", "/v3/users?name=ali")).json["users"] == []
    check_refused(await alice.call("GET", "/v3/users?name=alice"), 403)


async def test_temporary_keys_need_their_security_token(world: World) -> None:
    """Signed with it or not; absent, wrong or another's it opens nothing."""
    made = await _temporary(world, await token_of(world, _owner(world)), duration_seconds=3600)
    client = client_with(world, made["access"], made["secret"])
    target = f"/v2/{world.project}/notifications/topics"
    right = {"X-Security-Token": made["securitytoken"]}
    assert (await client.call("GET", target, headers=right)).status == 200
    unsigned = client.signed("GET", target)
    found = await client.call("GET", target, headers=unsigned | right, sign=False)
    assert found.status == 200
    for headers in ({}, {"X-Security-Token": "x"}, {"X-Security-Token": ""}):
        answer = await client.call("GET", target, headers=headers)
        assert (answer.status, answer.json["code"]) == (401, "APIGW.0301")
    assert (await client.call("GET", target, headers=right, secret_key="x")).status == 401


async def test_temporary_keys_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At their time, with their user, and Redis lets go of them; they hold no secret there."""
    await user_with(world, "SMN FullAccess")
    made = await _temporary(world, await token_of(world, password_request(REGION)))
    key = world.engine.keys.temporary_key(made["access"])
    stored = await world.engine.store.call("GET", key)
    assert made["secret"].encode() not in stored
    assert made["securitytoken"].encode() not in stored
    assert 0 < await world.engine.store.call("PTTL", key) <= 900_000
    client = client_with(world, made["access"], made["secret"])
    target = f"/v2/{world.project}/notifications/topics"
    headers = {"X-Security-Token": made["securitytoken"]}
    assert (await client.call("GET", target, headers=headers)).status == 200
    await world.engine.directory.enable_user("alice", domain="tocsin", enabled=False)
    assert (await client.call("GET", target, headers=headers)).status == 401


@pytest.mark.parametrize(
    ("identity", "status", "code"),
    [
        ({"methods": ["password"]}, 400, "IAM.0004"),
        ({"methods": ["token"], "token": {"id": "x"}}, 401, "IAM.0001"),
        ({"methods": ["token"], "token": {"id": "x", "duration_seconds": 60}}, 400, "APIGW.0201"),
        (
            {"methods": ["token"], "token": {"id": "x", "duration_seconds": 86401}},
            400,
            "APIGW.0201",
        ),
        ({"methods": ["token"]}, 401, "IAM.0001"),
        ({"methods": []}, 400, "IAM.0004"),
        ({}, 400, "APIGW.0201"),
    ],
)
async def test_bad_requests_for_temporary_keys_make_none(
    world: World, identity: Any, status: int, code: str
) -> None:
    """Each is refused with its code in words, as is all under ``/v3.0``, and stores nothing."""
    before = await world.dump()
    target = "/v3.0/OS-CREDENTIAL/securitytokens"
    answer = await world.client.call("POST", target, {"auth": {"identity": identity}}, sign=False)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert set(answer.json["error"]) == {"code", "message"}
    assert await world.dump() == before


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        ({"methods": ["hw_ak_sk"]}, 400),
        ({"methods": ["hw_ak_sk"], "hw_ak_sk": {"access": {"key": 1}}}, 400),
        ({"methods": ["assume_role"]}, 400),
        ({"methods": ["assume_role"], "assume_role": {"duration_seconds": 1}}, 400),
        ({"methods": ["token"], "token": {"id": 7}}, 400),
        ({"methods": ["password", "token"]}, 401),
        ({"methods": ["totp"]}, 401),
        ({"methods": ["password", "totp"]}, 400),
        ({"methods": ["password", "totp"], "totp": {"user": {"passcode": "123456"}}}, 400),
        ({"methods": ["password", "totp"], "totp": {"user": {"id": "x", "passcode": 1}}}, 400),
        ({"methods": ["password", "totp"], "totp": {"user": {"id": "x", "passcode": "1"}}}, 400),
        ({"methods": ["\u0000"]}, 401),
        ({"methods": "password"}, 400),
    ],
)
async def test_bad_log_ins_store_nothing(world: World, identity: Any, status: int) -> None:
    """Unknown methods and missing parts, in Keystone's shape."""
    before = await world.dump()
    check_refused(await post_token(world, {"auth": {"identity": identity}}), status)
    assert await world.dump() == before


async def test_too_many_wrong_passwords_lock_a_user(world: World) -> None:
    """The right one is refused too, in words; who does not exist is locked alike."""
    await user_with(world)
    for name in ("alice", "nobody"):
        for _ in range(5):
            wrong = await post_token(world, password_request(name=name, password="wrong"))
            check_refused(wrong, 401)
        answer = await post_token(world, password_request(name=name))
        check_refused(answer, 403)
        assert "too many failed log-ins" in answer.json["error"]["message"]
        assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert (await post_token(world, _owner(world))).status == 201


async def test_a_right_password_starts_the_count_anew(world: World) -> None:
    """Four slips and a success are forgotten."""
    await user_with(world)
    for _ in range(2):
        for _ in range(4):
            await post_token(world, password_request(password="wrong"))
        assert (await post_token(world, password_request())).status == 201


async def test_an_address_that_guesses_is_locked_out(world: World) -> None:
    """Whatever names it tries; keys count as well."""
    for number in range(30):
        given = {"access": {"key": f"AK{number}"}, "secret": {"key": "x"}}
        check_refused(await post_token(world, auth("hw_ak_sk", given)), 401)
    check_refused(await post_token(world, _owner(world)), 403)
