"""Permissions that depend on what is acted upon: enterprise projects, tags, endpoints, topics."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DirectoryError
from engine.iam.identities import Subject
from engine.models import Topic
from engine.settings import Settings
from tests.api_client import Answer, Client
from tests.identities import password_request, post_token, user_with
from tests.worlds import World, open_world

REFUSED = (403, "SMN.00308")
NAME = {"X-SMN-RESOURCEID-TYPE": "name"}


@dataclass
class Mixed:
    """A project with a topic of each of two enterprise projects, tagged, with a subscription."""

    world: World
    ours: Topic
    theirs: Topic
    subscriptions: dict[str, str]
    client: Client

    async def ask(self, method: str, target: str, body: Any = None, **options: Any) -> Answer:
        """Ask as the user whose permission is limited."""
        target = target.replace("{base}", self.world.base).replace("{project}", self.world.project)
        for name, topic in (("ours", self.ours), ("theirs", self.theirs)):
            target = target.replace(f"{{{name}}}", topic.urn)
        return await self.client.call(method, target, body, **options)

    async def verdict(self, *request: Any, **options: Any) -> tuple[int, str]:
        """The status of an answer and its code."""
        answer = await self.ask(*request, **options)
        return answer.status, str(answer.json.get("code", "")) if answer.raw else ""

    async def hold(self, *statements: dict[str, Any]) -> None:
        """Give the user a custom policy."""
        access, own = self.world.engine.directory.access, self.world.account.domain_name
        text = json.dumps({"Version": "1.1", "Statement": list(statements)})
        await access.create_policy("own", text, domain=own)
        await access.grant("own", Subject.USER, "alice", domain=own)


@pytest.fixture
async def mixed(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[Mixed]:
    """The topics are ``ours`` in e1 and ``theirs`` in e2; the user may do nothing yet."""
    async with open_world(redis_url, tmp_path, settings) as world:
        engine, topics, subscriptions = world.engine, [], {}
        for name, enterprise in (("ours", "e1"), ("theirs", "e2")):
            topic, _ = await engine.topics.create(
                world.project, name, enterprise_project_id=enterprise
            )
            await engine.tags.add(topic, [("owner", name)])
            found = await engine.subscribe(
                topic.urn, "http", f"http://127.0.0.1:9/{name}", confirmed=True
            )
            topics.append(topic)
            subscriptions[name] = found.urn
        yield Mixed(world, topics[0], topics[1], subscriptions, await user_with(world))


async def grant_in(mixed: Mixed, role: str, enterprise: str) -> None:
    """Let the user hold a role in one enterprise project."""
    await mixed.world.engine.directory.access.grant(
        role,
        Subject.USER,
        "alice",
        domain=mixed.world.account.domain_name,
        enterprise_project_id=enterprise,
    )


async def test_a_grant_in_an_enterprise_project_shows_its_topics_alone(mixed: Mixed) -> None:
    """In every list, with its counts."""
    for path in ("{base}/topics", "{base}/subscriptions"):
        assert await mixed.verdict("GET", path) == REFUSED
    await grant_in(mixed, "SMN ReadOnlyAccess", "e1")
    topics = (await mixed.ask("GET", "{base}/topics")).json
    assert (topics["topic_count"], [one["name"] for one in topics["topics"]]) == (1, ["ours"])
    for query, count in (("name=ours", 1), ("name=theirs", 0), (f"topic_id={mixed.theirs.id}", 0)):
        assert (await mixed.ask("GET", f"{{base}}/topics?{query}")).json["topic_count"] == count
    whole = (await mixed.ask("GET", "{base}/topics-with-associated-resources")).json
    assert [one["name"] for one in whole["topics"]] == ["ours"]
    listed = (await mixed.ask("GET", "{base}/subscriptions")).json
    assert [one["subscription_urn"] for one in listed["subscriptions"]] == [
        mixed.subscriptions["ours"]
    ]
    assert listed["subscription_count"] == 1
    tags = (await mixed.ask("GET", "/v2/{project}/smn_topic/tags")).json
    assert tags == {"tags": [{"key": "owner", "values": ["ours"]}]}
    query = "/v2/{project}/smn_topic/resource_instances/action"
    found = (await mixed.ask("POST", query, {"action": "filter"})).json
    assert [one["resource_name"] for one in found["resources"]] == ["ours"]
    assert (await mixed.ask("POST", query, {"action": "count"})).json == {"total_count": 1}


async def test_a_grant_in_an_enterprise_project_ends_at_it(mixed: Mixed) -> None:
    """What is done to topics is allowed for its own, what belongs to none is not; nor publishing.

    Not even whether another one's topic exists is told.
    """
    await grant_in(mixed, "te_admin", "e1")
    change, message = {"display_name": "x"}, {"message": "x"}
    text = {"value": "x"}
    for method, target, body in (
        ("GET", "{base}/topics/{X}", None),
        ("PUT", "{base}/topics/{X}", change),
        ("PUT", "{base}/topics/{X}/attributes/introduction", text),
        ("GET", "{base}/topics/{X}/subscriptions", None),
        ("DELETE", "{base}/topics/{X}", None),
    ):
        own, other, none = [
            await mixed.verdict(method, target.replace("{X}", name), body)
            for name in ("{ours}", "{theirs}", f"{mixed.theirs.urn}x")
        ]
        assert (own, other, none) == ((200, ""), REFUSED, REFUSED), (method, target)
    made = {"name": "new", "display_name": ""}
    assert await mixed.verdict("POST", "{base}/topics", made) == REFUSED
    for enterprise, verdict in (("e1", (201, "")), ("e2", REFUSED)):
        body = made | {"enterprise_project_id": enterprise}
        assert await mixed.verdict("POST", "{base}/topics", body) == verdict
    path = f"{{base}}/topics/{mixed.ours.urn[:-4]}new/publish"
    assert await mixed.verdict("POST", path, message) == REFUSED
    assert await mixed.verdict("GET", "{base}/message_template") == REFUSED


async def test_such_a_grant_is_taken_back_alone_and_stands_in_no_token(mixed: Mixed) -> None:
    """A token's roles are those of the whole project."""
    access, own = mixed.world.engine.directory.access, mixed.world.account.domain_name
    await grant_in(mixed, "SMN FullAccess", "e1")
    scope = {"project": {"name": "region01"}}
    token = (await post_token(mixed.world, password_request(scope))).json["token"]
    assert token["roles"] == []
    with pytest.raises(DirectoryError):
        await access.revoke("SMN FullAccess", Subject.USER, "alice", domain=own)
    await access.revoke(
        "SMN FullAccess", Subject.USER, "alice", domain=own, enterprise_project_id="e1"
    )
    assert await mixed.verdict("GET", "{base}/topics") == REFUSED
    with pytest.raises(DirectoryError):
        await grant_in(mixed, "SMN FullAccess", "e" * 65)


async def test_subscriptions_named_in_a_body_are_looked_at_one_by_one(mixed: Mixed) -> None:
    """One that may not be touched stops all; its topic counts, whatever the path is.

    Beside one of the same name that another region would have, too.
    """
    await mixed.hold(
        {"Effect": "Allow", "Action": ["smn:topic:*"]},
        {
            "Effect": "Deny",
            "Action": ["smn:topic:update"],
            "Resource": ["smn:region01:*:topic:theirs"],
        },
    )
    ours, theirs = mixed.subscriptions["ours"], mixed.subscriptions["theirs"]
    elsewhere = theirs.replace("region01", "region02")
    polices = [{"name": "a", "string_equals": ["b"]}]
    filters = "{base}/subscriptions/filter_polices"
    for urns, verdict in (
        ([ours], (200, "")),
        ([ours, theirs], REFUSED),
        ([theirs], REFUSED),
        ([theirs, elsewhere], REFUSED),
    ):
        named = [{"subscription_urn": urn} for urn in urns]
        sets = [one | {"filter_polices": polices} for one in named]
        assert await mixed.verdict("POST", filters, {"polices": sets}) == verdict
        assert await mixed.verdict("DELETE", filters, {"subscription_urns": urns}) == verdict
        body = {"subscription_urns": named}
        if verdict == REFUSED:
            assert await mixed.verdict("DELETE", "{base}/subscriptions", body) == REFUSED
    body = {"subscription_urns": [{"subscription_urn": ours}, {"subscription_urn": "nonsense"}]}
    answer = await mixed.ask("DELETE", "{base}/subscriptions", body)
    assert [one["http_code"] for one in answer.json["subscriptions_result"]] == [200, 400]


async def test_a_policy_about_one_topic_is_about_its_tags_too(mixed: Mixed) -> None:
    """By id and by name."""
    await mixed.hold(
        {"Effect": "Allow", "Action": ["smn:tag:*"], "Resource": ["smn:*:*:topic:ours"]}
    )
    body = {"tag": {"key": "new", "value": "x"}}
    for topic, verdict in ((mixed.ours, 204), (mixed.theirs, 403)):
        for resource, headers in ((topic.id, {}), (topic.name, NAME)):
            path = f"/v2/{{project}}/smn_topic/{resource}/tags"
            assert (await mixed.ask("POST", path, body, headers=headers)).status == verdict
            assert (await mixed.ask("GET", path, headers=headers)).status == (
                200 if verdict == 204 else 403
            )
    listed = (await mixed.ask("GET", "/v2/{project}/smn_topic/tags")).json["tags"]
    assert {one["key"]: one["values"] for one in listed} == {"new": ["x"], "owner": ["ours"]}


async def test_new_tags_and_new_values_are_permitted_apart(mixed: Mixed) -> None:
    """Whoever may create overwrites nothing, whoever may update adds nothing."""
    path = f"/v2/{{project}}/smn_topic/{mixed.ours.id}/tags"

    async def put(**tags: str) -> list[tuple[int, str]]:
        given = [{"key": key, "value": value} for key, value in tags.items()]
        body = {"action": "create", "tags": given}
        found = [await mixed.verdict("POST", f"{path}/action", body)]
        if len(given) == 1:
            found.append(await mixed.verdict("POST", path, {"tag": given[0]}))
        return found

    assert await put(new="x") == [REFUSED] * 2
    await mixed.hold({"Effect": "Allow", "Action": ["smn:tag:create"]})
    assert await put(new="x") == [(204, "")] * 2
    assert await put(owner="x") == [REFUSED] * 2
    assert await put(newer="x", owner="x") == [REFUSED]
    access, own = mixed.world.engine.directory.access, mixed.world.account.domain_name
    await access.delete_policy("own", domain=own)
    await mixed.hold({"Effect": "Allow", "Action": ["smn:tag:update"]})
    assert await put(owner="x") == [(204, "")] * 2
    assert await put(newest="x") == [REFUSED] * 2
    assert await mixed.world.engine.tags.of([mixed.ours]) == [{"new": "x", "owner": "x"}]


async def test_tags_decide(mixed: Mixed) -> None:
    """Those that a topic has, and those that it shall have."""
    await mixed.hold(
        {
            "Effect": "Allow",
            "Action": ["smn:topic:*", "smn:tag:*"],
            "Condition": {"StringEquals": {"g:ResourceTag/owner": ["ours"]}},
        },
        {
            "Effect": "Deny",
            "Action": ["smn:tag:*"],
            "Condition": {"ForAnyValue:StringLike": {"g:TagKeys": ["own*"]}},
        },
        {
            "Effect": "Deny",
            "Action": ["smn:tag:create"],
            "Condition": {"StringNotEquals": {"g:RequestTag/env": ["dev"]}},
        },
    )
    assert await mixed.verdict("GET", "{base}/topics/{ours}") == (200, "")
    assert await mixed.verdict("GET", "{base}/topics/{theirs}") == REFUSED
    path = f"/v2/{{project}}/smn_topic/{mixed.ours.id}/tags"
    for key, value, verdict in (
        ("env", "dev", (204, "")),
        ("cost", "1", REFUSED),
        ("owner", "me", REFUSED),
    ):
        body = {"tag": {"key": key, "value": value}}
        assert await mixed.verdict("POST", path, body) == verdict


async def test_protocol_and_endpoint_decide_about_every_new_subscription(mixed: Mixed) -> None:
    """Of a batch, of the part beside the batch, and of users that are taken over."""
    await mixed.hold(
        {"Effect": "Allow", "Action": ["smn:*:*"]},
        {
            "Effect": "Deny",
            "Action": ["smn:topic:subscribe"],
            "Condition": {
                "StringEquals": {"smn:Protocol": ["http", "https"]},
                "StringNotStartWith": {"smn:Endpoint": ["http://127.0.0.1:9/good"]},
            },
        },
    )
    good, bad = (
        {"protocol": "http", "endpoint": f"http://127.0.0.1:9/{name}"} for name in ("good", "bad")
    )
    path = "{base}/topics/{ours}/subscriptions"
    for body, verdict in (
        (good, 201),
        (bad, 403),
        ({"subscriptions": [good]}, 200),
        ({"subscriptions": [good, bad]}, 403),
        ({**bad, "subscriptions": [good]}, 403),
    ):
        assert (await mixed.ask("POST", path, body)).status == verdict
    ids = {}
    users = f"/v2/{mixed.world.account.domain_id}/subscription-users"
    for name, one in (("good", good), ("bad", bad)):
        user = {"name": name, "http": {"endpoint": one["endpoint"]}}
        ids[name] = (await mixed.world.call("POST", users, user)).json["id"]
    unknown = "0" * 32
    for taken, status in (([ids["good"], unknown], 200), ([ids["good"], ids["bad"]], 403)):
        answer = await mixed.ask("POST", f"{path}/from-subscription-users", {"ids": taken})
        assert answer.status == status
