"""The operations themselves: shapes, statuses, lists."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_client import PROJECT, TOPIC, Client, FakeEngine

TOPICS = f"/v2/{PROJECT}/notifications/topics"
SUBSCRIPTIONS = f"/v2/{PROJECT}/notifications/subscriptions"
TOPIC_SUBSCRIPTIONS = f"{TOPICS}/{TOPIC}/subscriptions"


async def subscribe(client: Client, *endpoints: str, **fields: Any) -> list[str]:
    """Add subscriptions; returns their URNs."""
    urns = []
    for endpoint in endpoints:
        body = {"protocol": "http", "endpoint": endpoint, **fields}
        urns.append((await client.call("POST", TOPIC_SUBSCRIPTIONS, body)).json["subscription_urn"])
    return urns


async def test_versions_are_public(client: Client) -> None:
    """Both documents, with the link that the client can follow."""
    every = (await client.call("GET", "/", sign=False)).json
    one = (await client.call("GET", "/v2/", sign=False)).json
    assert every["versions"] == [one["version"]]
    assert one["version"]["links"] == [{"href": f"{client.url}/v2", "rel": "self"}]


async def test_creating_a_topic_again_is_a_200(client: Client) -> None:
    """The same name gives the same URN; the status tells the difference."""
    first = await client.call("POST", TOPICS, {"name": "demo", "display_name": None})
    second = await client.call("POST", TOPICS, {"name": "demo"})
    assert (first.status, second.status) == (201, 200)
    assert first.json["topic_urn"] == second.json["topic_urn"] == TOPIC


async def test_topic_details_are_a_list_item_with_a_request_id(client: Client) -> None:
    """All members and types as the contract has them."""
    await client.call("POST", TOPICS, {"name": "demo", "display_name": "Demo"})
    details = (await client.call("GET", f"{TOPICS}/{TOPIC}")).json
    del details["request_id"]
    assert details == {
        "topic_urn": TOPIC,
        "name": "demo",
        "display_name": "Demo",
        "push_policy": 0,
        "enterprise_project_id": "0",
        "topic_id": "0" * 32,
        "create_time": "2026-01-02T03:04:05Z",
        "update_time": "2026-01-02T03:04:05Z",
    }
    assert (await client.call("GET", TOPICS)).json["topics"] == [details]


async def test_a_topic_that_is_no_urn_is_a_400(client: Client) -> None:
    """Clients that look by name first need a 400 or 404."""
    answer = await client.call("GET", f"{TOPICS}/demo")
    assert (answer.status, answer.json["code"]) == (400, "SMN.0005")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=1.5", "offset=%D9%A1"]
)
async def test_a_bad_window_is_a_400(client: Client, query: str) -> None:
    """Offset and limit are decimal numbers within their bounds."""
    answer = await client.call("GET", f"{TOPICS}?{query}")
    assert (answer.status, answer.json["code"]) == (400, "SMN.0015")


async def test_a_subscription_is_listed_as_the_contract_has_it(client: Client) -> None:
    """Created once, found the second time, shown with all members."""
    body = {
        "protocol": "sms",
        "endpoint": "13600000000",
        "remark": "O&M",
        "extension": {"verification_code_enabled": True, "unknown": "x" * 5000},
    }
    first = await client.call("POST", TOPIC_SUBSCRIPTIONS, body)
    second = await client.call("POST", TOPIC_SUBSCRIPTIONS, body)
    assert (first.status, second.status) == (201, 200)
    urn = first.json["subscription_urn"]
    for target in (SUBSCRIPTIONS, TOPIC_SUBSCRIPTIONS):
        answer = (await client.call("GET", target)).json
        assert answer["subscription_count"] == 1
        assert answer["subscriptions"] == [
            {
                "topic_urn": TOPIC,
                "protocol": "sms",
                "subscription_urn": urn,
                "owner": PROJECT,
                "endpoint": "13600000000",
                "remark": "O&M",
                "status": 0,
                "filter_polices": [],
                "extension": {"verification_code_enabled": True},
            }
        ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"subscriptions": [{"protocol": "http"}]}, "SMN.0043"),
        ({"protocol": 1, "endpoint": "x"}, "SMN.0011"),
        ({"protocol": "http", "endpoint": None}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://a\r\nb"}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://" + "a" * 2048}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "x", "remark": []}, "SMN.0017"),
        ({"protocol": "http", "endpoint": "x", "remark": "\x00"}, "SMN.0017"),
        ({"protocol": "http", "endpoint": "x", "extension": []}, "SMN.0043"),
        ({"protocol": "http", "endpoint": "x", "extension": {"header": {"a": 1}}}, "SMN.0043"),
    ],
)
async def test_bad_subscriptions_answer_their_code(
    client: Client, engine: FakeEngine, body: dict[str, Any], code: str
) -> None:
    """Wrong types and control characters; a batch is refused with a sentence."""
    answer = await client.call("POST", TOPIC_SUBSCRIPTIONS, body)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert not engine.subscriptions.known


async def test_malformed_json_for_a_subscription_has_its_own_code(client: Client) -> None:
    """The contract has a code for an invalid subscription body."""
    answer = await client.call("POST", TOPIC_SUBSCRIPTIONS, b"{")
    assert (answer.status, answer.json["code"]) == (400, "SMN.0043")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("protocol=http", [0, 1]),
        ("protocol=sms", []),
        ("status=0&limit=1&offset=1", [1]),
        ("status=3", []),
        ("endpoint=://b", [1]),
        ("fuzzy_remark=OPS", [0, 1]),
    ],
)
async def test_subscriptions_are_filtered(client: Client, query: str, found: list[int]) -> None:
    """Every filter of the contract; names and remarks by part."""
    urns = await subscribe(client, "http://a", "http://b", remark="all ops")
    answer = (await client.call("GET", f"{SUBSCRIPTIONS}?{query}")).json
    assert [one["subscription_urn"] for one in answer["subscriptions"]] == [
        urns[place] for place in found
    ]


async def test_a_bad_status_filter_is_a_400(client: Client) -> None:
    """The filter knows 0 to 4."""
    answer = await client.call("GET", f"{SUBSCRIPTIONS}?status=5")
    assert (answer.status, answer.json["code"]) == (400, "SMN.0077")


async def test_a_subscription_is_deleted_by_either_path(client: Client) -> None:
    """Under a topic it must be that topic's; the second time it is gone."""
    one, two = await subscribe(client, "http://a", "http://b")
    other = f"{TOPICS}/{TOPIC}2/subscriptions/{one}"
    assert (await client.call("DELETE", other)).json["code"] == "SMN.0013"
    assert (await client.call("DELETE", f"{TOPIC_SUBSCRIPTIONS}/{one}")).status == 200
    assert (await client.call("DELETE", f"{SUBSCRIPTIONS}/{two}")).status == 200
    answer = await client.call("DELETE", f"{SUBSCRIPTIONS}/{two}")
    assert (answer.status, answer.json["code"]) == (404, "SMN.0013")
    answer = await client.call("DELETE", f"{SUBSCRIPTIONS}/nonsense")
    assert (answer.status, answer.json["code"]) == (400, "SMN.0014")
