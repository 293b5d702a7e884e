"""What Terraform and OpenStack clients send for topics, in their order and with their headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.api_client import Answer
from tests.worlds import World, token_headers

GO = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "terraform-provider-huaweicloud/1.80.0",
    "X-Language": "en-us",
}
BY_NAME = GO | {"X-SMN-RESOURCEID-TYPE": "name"}
TOPICS = "{base}/topics"
TAGS = "/v2/{project}/smn_topic/tf_topic/tags"


async def go(
    world: World, method: str, target: str, body: Any = None, headers: Mapping[str, str] = GO
) -> Answer:
    """A call of the Go SDK, which takes the success statuses of the method for granted."""
    answer = await world.call(method, target, body, headers=headers)
    good = {"GET": {200}, "POST": {200, 201, 202, 204}, "PUT": {200, 201, 202}}
    assert answer.status in good.get(method, {200, 202, 204}), answer.raw
    return answer


async def refreshed(world: World, urn: str) -> tuple[str, str, str, dict[str, str]]:
    """What Terraform reads of a topic: display name, both attributes, tags."""
    topic = (await go(world, "GET", f"{TOPICS}/{urn}")).json
    texts = []
    for name in ("access_policy", "introduction"):
        found = (await go(world, "GET", f"{TOPICS}/{urn}/attributes?name={name}")).json
        texts.append(found["attributes"][name])
    tags = (await go(world, "GET", TAGS, headers=BY_NAME)).json["tags"]
    return topic["display_name"], texts[0], texts[1], {one["key"]: one["value"] for one in tags}


async def test_terraforms_life_of_a_topic(world: World) -> None:
    """Create, tag, refresh, change, clear, destroy until it is gone."""
    body = {"name": "tf_topic", "display_name": "shown", "enterprise_project_id": "0"}
    urn = (await go(world, "POST", TOPICS, body)).json["topic_urn"]
    policy = (
        '{"Version": "2016-09-07", "Id": "__default_policy_ID", "Statement": [{"Sid":'
        ' "__user_pub_0", "Effect": "Allow", "Principal": {"CSP": "*"}, "Action":'
        ' ["SMN:Publish", "SMN:QueryTopicDetail"], "Resource": "' + urn + '"}]}'
    )
    await go(world, "PUT", f"{TOPICS}/{urn}/attributes/access_policy", {"value": policy})
    create = {"action": "create", "tags": [{"key": "foo", "value": "bar"}, {"key": "bare"}]}
    await go(world, "POST", f"{TAGS}/action", create, BY_NAME)
    assert await refreshed(world, urn) == ("shown", policy, "", {"foo": "bar", "bare": ""})

    await go(world, "PUT", f"{TOPICS}/{urn}", {"display_name": "other"})
    await go(world, "PUT", f"{TOPICS}/{urn}/attributes/access_policy", {"value": ""})
    await go(world, "PUT", f"{TOPICS}/{urn}/attributes/introduction", {"value": "for tests"})
    delete = {"action": "delete", "tags": [{"key": "bare"}, {"key": "foo", "value": "bar"}]}
    await go(world, "POST", f"{TAGS}/action", delete, BY_NAME)
    create = {"action": "create", "tags": [{"key": "foo", "value": "new"}]}
    await go(world, "POST", f"{TAGS}/action", create, BY_NAME)
    assert await refreshed(world, urn) == ("other", "", "for tests", {"foo": "new"})

    await go(world, "PUT", f"{TOPICS}/{urn}", {})
    assert (await refreshed(world, urn))[0] == ""
    await go(world, "DELETE", f"{TOPICS}/{urn}")
    assert (await world.call("GET", f"{TOPICS}/{urn}", headers=GO)).status == 404


async def test_terraform_pages_until_a_list_is_empty(world: World) -> None:
    """Topics by offset without a limit, resources in steps of a thousand, both as texts."""
    names = [f"t-{number:03d}" for number in range(103)]
    made = [(await world.engine.topics.create(world.project, name))[0] for name in names]
    await world.engine.tags.add(made[-1], [("env", "prod")])
    found: list[str] = []
    while part := (await go(world, "GET", f"{TOPICS}?offset={len(found)}")).json["topics"]:
        found += [one["name"] for one in part]
    assert sorted(found) == names

    query: dict[str, Any] = {
        "action": "filter",
        "limit": "1000",
        "offset": "0",
        "tags": [{"key": "env", "values": ["prod"]}],
        "matches": [{"key": "resource_name", "value": "t-1"}],
    }
    target = "/v2/{project}/smn_topic/resource_instances/action"
    first = (await go(world, "POST", target, query)).json
    assert [one["resource_name"] for one in first["resources"]] == ["t-102"]
    assert first["resources"][0]["resource_detail"]["detailId"]
    assert (await go(world, "POST", target, query | {"offset": "1000"})).json["resources"] == []


async def test_terraform_tells_a_logtank_of_a_deleted_topic_by_its_code(world: World) -> None:
    """400 SMN.00010008 in ``error_code`` is what it takes for gone."""
    urn = await world.topic()
    logtanks = f"{TOPICS}/{urn}/logtanks"
    body = {"log_group_id": "8ba7eea4-0cfe", "log_stream_id": "b9a8-11ed"}
    made = await go(world, "POST", logtanks, body)
    assert made.status == 201
    (read,) = (await go(world, "GET", logtanks)).json["logtanks"]
    assert read["id"] == made.json["id"]
    body["log_stream_id"] = "another"
    changed = (await go(world, "PUT", f"{logtanks}/{read['id']}", body)).json["logtank"]
    assert changed["log_stream_id"] == "another"
    await go(world, "DELETE", f"{TOPICS}/{urn}")
    gone = await world.call("GET", logtanks, headers=GO)
    assert (gone.status, gone.json["error_code"]) == (400, "SMN.00010008")


class OpenStack:
    """What openstacksdk does with a service: a token, plain paths, JSON."""

    def __init__(self, world: World, token: Mapping[str, str]) -> None:
        self._world = world
        self._headers = {
            "Accept": "application/json",
            "User-Agent": "openstacksdk/4.22.0 keystoneauth1/5.9.1 python-requests/2.32.3",
            **token,
        }

    @classmethod
    async def log_in(cls, world: World) -> OpenStack:
        """By password, scoped to the project by its name and domain."""
        account = world.account
        user = {
            "password": account.password,
            "name": account.user_name,
            "domain": {"name": account.domain_name},
        }
        project = {"name": account.project_name, "domain": {"name": account.domain_name}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": project},
            }
        }
        assert (await world.call("GET", "/v3", sign=False)).status == 200
        answer = await world.call("POST", "/v3/auth/tokens", body, sign=False)
        assert answer.status == 201, answer.raw
        return cls(world, token_headers(answer))

    async def call(self, method: str, target: str, body: Any = None) -> Answer:
        """A call with the token."""
        return await self._world.call(method, target, body, headers=self._headers, sign=False)

    async def find(self, name: str) -> str | None:
        """A topic's URN: by what could be its id first, then by comparing the names of all."""
        answer = await self.call("GET", f"{TOPICS}/{name}")
        assert answer.status in {400, 404}
        listed = (await self.call("GET", TOPICS)).json["topics"]
        return next((one["topic_urn"] for one in listed if one["name"] == name), None)

    async def pages(self, limit: int) -> list[str]:
        """Names of all topics, a page after the other by marker, until one is short of topics."""
        found: list[str] = []
        seen: set[str] = set()
        target = f"{TOPICS}?limit={limit}"
        while part := (await self.call("GET", target)).json["topics"]:
            found += [one["name"] for one in part]
            marker = part[-1]["topic_urn"]
            assert marker not in seen, "Endless pagination loop"
            seen.add(marker)
            target = f"{TOPICS}?limit={limit}&marker={marker}"
        return found


async def test_openstack_clients_find_list_and_change_topics(world: World) -> None:
    """With a token; bodies repeat the URN, which is ignored."""
    client = await OpenStack.log_in(world)
    assert await client.find("os_topic") is None
    for name in ("os_topic", "b", "c", "d", "e"):
        made = await client.call("POST", TOPICS, {"name": name, "display_name": "shown"})
        assert made.status == 201
    urn = await client.find("os_topic")
    assert urn is not None
    assert sorted(await client.pages(2)) == ["b", "c", "d", "e", "os_topic"]

    body = {"topic_urn": urn, "display_name": "other"}
    assert (await client.call("PUT", f"{TOPICS}/{urn}", body)).status == 200
    assert (await client.call("GET", f"{TOPICS}/{urn}")).json["display_name"] == "other"

    body = {"topic_urn": urn, "value": "words"}
    target = f"{TOPICS}/{urn}/attributes"
    assert (await client.call("PUT", f"{target}/introduction", body)).status == 200
    attributes = (await client.call("GET", target)).json["attributes"]
    assert attributes == {"access_policy": "", "introduction": "words"}
    assert (await client.call("DELETE", f"{target}/introduction")).status == 200
    assert (await client.call("GET", target)).json["attributes"]["introduction"] == ""

    assert (await client.call("DELETE", f"{TOPICS}/{urn}")).status == 200
    assert await client.find("os_topic") is None
