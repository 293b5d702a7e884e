"""Who may do what: every operation for every role, in one's own project and in others'."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import pytest

from engine.api.answers import Shape
from engine.api.bodies import Body
from engine.api.call import Call
from engine.api.routes import Auth, Route
from engine.api.table import ROUTES
from engine.control.subscriptions import Request
from engine.iam.identities import State, Subject
from engine.policy.permissions import ROLES as SYSTEM_ROLES
from engine.settings import Settings
from tests.action_table import FREE, NEEDED, READING
from tests.api_client import Answer, Client
from tests.identities import PASSWORD, auth, client_with, key_of, post_token, token_of, user_with
from tests.identities import password_request as log_in
from tests.worlds import World, open_world

GUARDED: Final = [
    route for route in ROUTES if route.auth is Auth.CALLER and route.shape is Shape.SMN
]
"""Operations that a permission is needed for, or at least an account."""
TAG: Final = {"key": "a", "value": "b"}
BODIES: Final[Mapping[tuple[str, str], Any]] = {
    ("CreateResourceTag", "smn:tag:create"): {"tag": TAG},
    ("BatchCreateOrDeleteResourceTags", "smn:tag:create"): {"action": "create", "tags": [TAG]},
    ("BatchCreateOrDeleteResourceTags", "smn:tag:delete"): {"action": "delete", "tags": [TAG]},
}
"""What is asked for, where that decides which action is needed."""
ROLES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("te_admin",),
    ("Security Administrator",),
    ("Agent Operator",),
    ("Tenant Administrator",),
    ("Tenant Guest",),
    ("SMN FullAccess",),
    ("SMN ReadOnlyAccess",),
    ("SMN Administrator",),
    ("SMN Administrator", "Tenant Guest"),
)
OTHER: Final = "urn:smn:region01:{project}:{name}"


def grants(roles: tuple[str, ...], action: str) -> bool:
    """What the contract says of the system roles, in other words than the engine's."""
    ours, reads = action.startswith("smn:"), action in READING
    return (
        action in FREE
        or "te_admin" in roles
        or "Tenant Administrator" in roles
        or ("Tenant Guest" in roles and reads)
        or ("SMN FullAccess" in roles and ours)
        or ("SMN ReadOnlyAccess" in roles and ours and reads)
        or ({"SMN Administrator", "Tenant Guest"} <= set(roles) and ours)
    )


@dataclass
class Two:
    """An account with users, and another one with topics that let the first in, or do not."""

    world: World
    project: str
    topics: dict[str, str]


async def _done(call: Any) -> dict[str, Any]:
    return {}


@pytest.fixture
async def two(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[Two]:
    """Both accounts."""
    async with open_world(redis_url, tmp_path, settings) as world:
        engine = world.engine
        acme = await engine.directory.create_domain("acme", password=PASSWORD)
        topics = {}
        for name in ("closed", "allowing", "denying"):
            topic = await engine.create_topic(name, project_id=acme.project.id)
            topics[name] = topic.urn
            if name != "closed":
                text = access_policy(topic.urn, world.account.domain_id, deny=name == "denying")
                await engine.attributes.set(topic.urn, "access_policy", text)
        yield Two(world, acme.project.id, topics)


class Switch(Body):
    """A body on which the permission depends."""

    action: Literal["create", "delete"]


def _switched(call: Call) -> str:
    return f"smn:tag:{cast('Switch', call.body).action}"


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that do nothing, so that only permission decides the answer."""
    quiet = [
        replace(
            one,
            handler=_done,
            body=one.body if callable(one.action) else None,
            query=None,
            success=200,
        )
        for one in ROUTES
    ]
    switch = Route("Switch", "POST", "/switch", _done, body=Switch, action=_switched)
    monkeypatch.setattr("engine.api.gateway.ROUTES", [*quiet, switch])


def access_policy(topic: str, domain_id: str, *, deny: bool = False, **principal: Any) -> str:
    """A policy that lets an account do everything, unless it also denies it."""
    statement = {
        "Sid": "a",
        "Effect": "Allow",
        "Principal": principal or {"CSP": [f"urn:csp:iam::{domain_id}:root"]},
        "Action": "*",
        "Resource": topic,
    }
    statements = [statement, statement | {"Sid": "d", "Effect": "Deny"}] if deny else [statement]
    return json.dumps({"Version": "2016-09-07", "Id": "x", "Statement": statements})


def target(route: Route, *, project: str, domain: str, topic: str) -> str:
    """A path of the route."""
    values = {
        "project_id": project,
        "domain_id": domain,
        "topic_urn": topic,
        "subscription_urn": f"{topic}:{'0' * 32}",
    }
    return "/".join(
        values.get(part[1:-1], "x") if part.startswith("{") else part
        for part in route.path.split("/")
    )


def verdict(answer: Answer) -> str:
    """'' if it was let through, else the code of the refusal."""
    if answer.status == 200:
        return ""
    assert answer.status == 403, answer.raw
    return str(answer.json["code"])


def test_the_table_is_complete() -> None:
    """It has every operation that a caller is asked for, and the roles are all that there are."""
    listed = [operation for operations in NEEDED.values() for operation in operations]
    assert sorted({*listed}) == sorted({route.operation for route in GUARDED})
    decided = {route.operation for route in GUARDED if callable(route.action)}
    assert decided == {operation for operation, _ in BODIES}
    assert {role for roles in ROLES for role in roles} == set(SYSTEM_ROLES)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("roles", ROLES, ids=lambda roles: "+".join(roles) or "none")
async def test_every_operation_is_for_those_who_hold_its_action(
    two: Two, roles: tuple[str, ...]
) -> None:
    """Own project: the role decides. Others': the topic's policy decides as well."""
    world, account = two.world, two.world.account
    client = await user_with(world, *roles)
    own = OTHER.format(project=world.project, name="own")
    asked = [
        (route, action)
        for route in GUARDED
        for action, operations in NEEDED.items()
        if route.operation in operations
    ]
    for route, action in asked:

        async def ask(
            topic: str, project: str = world.project, route: Route = route, action: str = action
        ) -> str:
            path = target(route, project=project, domain=account.domain_id, topic=topic)
            body = BODIES.get((route.operation, action))
            answer = await client.call(route.method, path, body)
            code = verdict(answer)
            if code == "SMN.00308":
                sentence = f"Policy doesn't allow {action} to be performed."
                assert answer.json["message"] == sentence, route.operation
            return code

        may = grants(roles, action)
        missing = "" if may else "SMN.00308"
        where = f"{action} by {route.operation} for {roles}"
        assert await ask(own) == missing, where
        if "{project_id}" in route.path:
            assert await ask(own, two.project) == "SMN.0001", where
        if "_urn}" not in route.path:
            continue
        for name, topic in two.topics.items():
            entered = bool(route.topic_action) and name == "allowing"
            expected = ("" if entered else "SMN.0001") if may or not route.topic_action else missing
            if "{topic_urn}" in route.path or "{subscription_urn}" in route.path:
                assert await ask(topic) == expected, f"{where}, {name}"


@pytest.mark.usefixtures("idle")
async def test_a_grant_in_one_project_says_nothing_of_another(two: Two) -> None:
    """Also when a group holds it; an account-wide grant holds in all."""
    world, directory = two.world, two.world.engine.directory
    own = world.account.domain_name
    dev = await directory.create_project("region01_dev", domain=own)
    client = await user_with(world)
    await directory.access.create_group("devs", domain=own)
    await directory.access.set_member("devs", "alice", domain=own, member=True)

    async def sees() -> tuple[bool, bool]:
        paths = [f"/v2/{one}/notifications/topics" for one in (world.project, dev.id)]
        first, second = [verdict(await client.call("GET", path)) == "" for path in paths]
        return first, second

    assert await sees() == (False, False)
    await directory.access.grant(
        "SMN FullAccess", Subject.GROUP, "devs", domain=own, project="region01_dev"
    )
    assert await sees() == (False, True)
    await directory.access.revoke(
        "SMN FullAccess", Subject.GROUP, "devs", domain=own, project="region01_dev"
    )
    await directory.access.grant("SMN FullAccess", Subject.GROUP, "devs", domain=own)
    assert await sees() == (True, True)
    await directory.access.set_member("devs", "alice", domain=own, member=False)
    assert await sees() == (False, False)


@pytest.mark.usefixtures("idle")
async def test_an_operations_action_may_depend_on_its_body(two: Two) -> None:
    """It is checked once the body is known to be one."""
    world, access = two.world, two.world.engine.directory.access
    own = world.account.domain_name
    client = await user_with(world)
    statement = {"Effect": "Allow", "Action": ["smn:tag:create"]}
    text = json.dumps({"Version": "1.1", "Statement": [statement]})
    await access.create_policy("taggers", text, domain=own)
    await access.grant("taggers", Subject.USER, "alice", domain=own)
    assert verdict(await client.call("POST", "/switch", {"action": "create"})) == ""
    assert verdict(await client.call("POST", "/switch", {"action": "delete"})) == "SMN.00308"
    assert (await client.call("POST", "/switch", {"action": "x"})).status == 400


async def test_custom_policies_narrow_what_a_role_allows(two: Two) -> None:
    """A Deny on one topic leaves the others; by whichever of the actions' names."""
    world, directory = two.world, two.world.engine.directory
    own = world.account.domain_name
    client = await user_with(world, "SMN FullAccess")
    for name in ("kept", "open"):
        await world.topic(name)
    statement = {
        "Effect": "Deny",
        "Action": ["smn:topic:updateTopic", "smn:topic:delete"],
        "Resource": ["smn:*:*:topic:kept"],
    }
    text = json.dumps({"Version": "1.1", "Statement": [statement]})
    await directory.access.create_policy("careful", text, domain=own)
    await directory.access.grant("careful", Subject.USER, "alice", domain=own)
    for name, code in (("kept", "SMN.00308"), ("open", "")):
        path = f"{world.base}/topics/{OTHER.format(project=world.project, name=name)}"
        answer = await client.call("PUT", path, {"display_name": "x"})
        assert verdict(answer) == code
        if code:
            message = "Policy doesn't allow smn:topic:update to be performed."
            assert answer.json["message"] == message
        assert verdict(await client.call("GET", path)) == ""
        assert verdict(await client.call("DELETE", path)) == code


async def test_another_account_publishes_where_a_policy_lets_it(two: Two) -> None:
    """With its own project in the path, by key and by token; nothing tells what else exists."""
    world = two.world
    publisher = await user_with(world, "SMN FullAccess")
    headers = await token_of(world, log_in({"project": {"name": "region01"}}))
    for name, code in (("allowing", ""), ("denying", "SMN.0001"), ("closed", "SMN.0001")):
        path = f"{world.base}/topics/{two.topics[name]}/publish"
        body = {"message": "hello"}
        assert verdict(await publisher.call("POST", path, body)) == code
        answer = await world.client.call("POST", path, body, headers=headers, sign=False)
        assert verdict(answer) == code
    missing = OTHER.format(project=two.project, name="missing")
    answer = await publisher.call(
        "POST", f"{world.base}/topics/{missing}/publish", {"message": "x"}
    )
    assert verdict(answer) == "SMN.0001"


async def test_many_subscriptions_are_removed_from_topics_that_let_one_in(two: Two) -> None:
    """Named in the body, with one's own project in the path; as each is by itself."""
    world, topics = two.world, two.topics
    urns = [
        (await world.engine.subscribe(topics[name], "sms", "13600000000", confirmed=True)).urn
        for name in ("allowing", "denying", "closed")
    ]
    body = {"subscription_urns": [{"subscription_urn": urn} for urn in urns]}
    results = []
    for client in (world.client, await user_with(world, "SMN ReadOnlyAccess")):
        answer = await client.call("DELETE", f"{world.base}/subscriptions", body)
        results.append(
            [one.get("code") for one in answer.json.get("subscriptions_result", [answer.json])]
        )
    assert results == [[None, "SMN.0001", "SMN.0001"], ["SMN.00308"]]


async def test_a_cloud_service_does_what_a_policy_lets_it(two: Two) -> None:
    """And nothing else, not even in the account whose key it is; monitoring may always publish."""
    world, topic = two.world, two.topics["closed"]
    obs = await key_of(world, "tocsin", service="obs")
    ces = await key_of(world, "tocsin", service="ces")
    own = await world.topic("own")
    body = {"message": "hello"}

    async def publish(client: Client, urn: str, project: str = world.project) -> str:
        path = f"/v2/{project}/notifications/topics/{urn}/publish"
        return verdict(await client.call("POST", path, body))

    assert [await publish(obs, topic), await publish(obs, own)] == ["SMN.0001", "SMN.0001"]
    assert [await publish(ces, topic), await publish(ces, own)] == ["", ""]
    policy = access_policy(topic, "", Service=["OBS"])
    await world.engine.attributes.set(topic, "access_policy", policy)
    assert await publish(obs, topic) == ""
    assert await publish(obs, topic, two.project) == ""
    assert verdict(await obs.call("GET", f"{world.base}/topics")) == "SMN.00308"
    assert verdict(await ces.call("DELETE", f"{world.base}/topics/{topic}")) == "SMN.0001"
    # As the SDK asks for its project's id: a service is told its own account's, and no other's.
    (found,) = (await obs.call("GET", "/v3/projects?name=region01")).json["projects"]
    assert found["id"] == world.project
    given = {"access": {"key": obs.account.access_key}, "secret": {"key": obs.account.secret_key}}
    assert (await post_token(world, auth("hw_ak_sk", given))).status == 403


async def test_a_subscription_users_topic_stays_hidden_from_services(two: Two) -> None:
    """It is nobody's to publish to, not even those who may always."""
    world = two.world
    domain = world.account.domain_id
    request = Request("http", world.receiver.url("one"))
    await world.engine.subscription_users.create(domain, "someone", (), [request])
    (user,) = (await world.engine.subscription_users.list(domain)).items
    ces = await key_of(world, "tocsin", service="ces")
    path = f"{world.base}/topics/{user.topic.urn}/publish"
    answer = await ces.call("POST", path, {"message": "hello"})
    assert (answer.status, answer.json["code"]) == (404, "SMN.0006")


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.RESTRICTED, "SMN.0070"), (State.SUSPENDED, "SMN.0071"), (State.ACTIVE, "")],
)
async def test_an_accounts_state_goes_before_its_rights(two: Two, state: State, code: str) -> None:
    """Restricted and suspended accounts log in, and are told why they can do no more."""
    world, directory = two.world, two.world.engine.directory
    await directory.set_state("acme", state)
    headers = await token_of(
        world, log_in({"project": {"name": "region01"}}, domain="acme", name="acme")
    )
    path = f"/v2/{two.project}/notifications/topics"
    answer = await world.client.call("GET", path, headers=headers, sign=False)
    assert verdict(answer) == code
    assert verdict(await world.call("GET", "{base}/topics")) == ""


async def test_a_disabled_account_is_nobody(two: Two) -> None:
    """Its keys and passwords open nothing until it is let in again."""
    world, directory = two.world, two.world.engine.directory
    client = await key_of(world, "acme", domain="acme")
    path = f"/v2/{two.project}/notifications/topics"
    assert (await client.call("GET", path)).status == 200
    await directory.set_state("acme", State.DISABLED)
    assert (await client.call("GET", path)).status == 401
    request = log_in(domain="acme", name="acme")
    assert (await world.client.call("POST", "/v3/auth/tokens", request, sign=False)).status == 401
    await directory.set_state("acme", State.ACTIVE)
    assert (await client.call("GET", path)).status == 200


async def test_a_signed_request_may_name_its_accounts_projects(two: Two) -> None:
    """``X-Project-Id`` of another account is refused, with or without a project in the path."""
    world = two.world
    dev = await world.engine.directory.create_project("region01_dev", domain="tocsin")
    for project, status in ((world.project, 200), (dev.id, 200), (two.project, 403), ("x", 403)):
        headers = {"X-Project-Id": project}
        for path in (f"{world.base}/topics", "/v3/projects"):
            assert (await world.client.call("GET", path, headers=headers)).status == status
    found = await world.client.call("GET", "/v3/auth/catalog", headers={"X-Project-Id": dev.id})
    (smn,) = (one for one in found.json["catalog"] if one["type"] == "smn")
    assert smn["endpoints"][0]["url"].endswith(dev.id)


async def test_a_disabled_key_or_project_opens_nothing(two: Two) -> None:
    """A key is unknown from then on; a project lets nobody in."""
    world, directory = two.world, two.world.engine.directory
    made = await directory.create_key("tocsin", domain="tocsin")
    client = client_with(world, made.key.id, made.secret)
    assert (await client.call("GET", f"{world.base}/topics")).status == 200
    await directory.enable_key(made.key.id, enabled=False)
    answer = await client.call("GET", f"{world.base}/topics")
    assert (answer.status, answer.json["code"]) == (401, "APIGW.0301")
    await directory.enable_key(made.key.id, enabled=True)
    await directory.enable_project("region01", domain="tocsin", enabled=False)
    assert verdict(await client.call("GET", f"{world.base}/topics")) == "SMN.0001"


async def test_permission_goes_before_syntax_and_changes_nothing(two: Two) -> None:
    """Who may not update learns nothing of the URN's form, nor of what is there."""
    world = two.world
    client = await user_with(world, "SMN ReadOnlyAccess")
    before = await world.dump()
    for urn, code in (("nonsense", "SMN.00308"), (two.topics["closed"], "SMN.00308")):
        path = f"{world.base}/topics/{urn}"
        assert verdict(await client.call("PUT", path, {"display_name": "x"})) == code
    for path in ("topics", "topics/" + OTHER.format(project=world.project, name="x") + "/publish"):
        assert verdict(await client.call("POST", f"{world.base}/{path}", {})) == "SMN.00308"
    assert await world.dump() == before
