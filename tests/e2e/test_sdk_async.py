"""The official SDK's other client, whose calls return at once and are awaited later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

from tests.sdk_client import build_async_client


@pytest.fixture
def client(credentials: dict[str, str]) -> Iterator[smn.SmnAsyncClient]:
    """The client, closed afterwards."""
    made = build_async_client(credentials)
    yield made
    made.close()


@pytest.fixture
def topic(client: smn.SmnAsyncClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URN of a topic with the test's name."""
    body = smn.CreateTopicRequestBody(name=f"async-{request.node.name}", display_name="")
    made = done(client.create_topic_async(smn.CreateTopicRequest(body=body)))
    yield str(made.topic_urn)
    done(client.delete_topic_async(smn.DeleteTopicRequest(topic_urn=made.topic_urn)))


def done(answer: Any) -> Any:
    """What a call has returned, or raises."""
    return answer.result()


def publication(topic: str, message: str) -> smn.PublishMessageRequest:
    """A request to publish."""
    body = smn.PublishMessageRequestBody(subject="Async", message=message)
    return smn.PublishMessageRequest(topic_urn=topic, body=body)


def test_topics_are_made_found_and_published_to(client: smn.SmnAsyncClient, topic: str) -> None:
    """Calls answer as those of the other client do."""
    listing = smn.ListTopicsRequest(fuzzy_name="async-", limit=10)
    listed = done(client.list_topics_async(listing))
    assert [one.topic_urn for one in listed.topics] == [topic]
    assert len(done(client.publish_message_async(publication(topic, "one"))).message_id) == 32


def test_calls_go_out_together(client: smn.SmnAsyncClient, topic: str) -> None:
    """Several are under way at once, and each gets the answer to itself."""
    calls = [client.publish_message_async(publication(topic, f"n {i}")) for i in range(3)]
    assert len({done(call).message_id for call in calls}) == 3


def test_a_refusal_is_raised_where_it_is_awaited(client: smn.SmnAsyncClient, topic: str) -> None:
    """Status, code and request id are those of the contract."""
    for request, status, code in (
        (publication(f"{topic}-gone", "one"), 404, "SMN.0006"),
        (publication(topic, ""), 403, "SMN.0009"),
    ):
        call = client.publish_message_async(request)
        with pytest.raises(ClientRequestException) as caught:
            done(call)
        assert (caught.value.status_code, caught.value.error_code) == (status, code)
        assert len(caught.value.request_id) == 32


def test_a_wrong_key_is_refused(credentials: dict[str, str]) -> None:
    """The signature is checked as that of the other client."""
    stranger = build_async_client(credentials, secret_key="x" * 40)
    call = stranger.list_topics_async(smn.ListTopicsRequest())
    with pytest.raises(ClientRequestException) as caught:
        done(call)
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
    stranger.close()
