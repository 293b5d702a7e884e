"""Topics and what belongs to them through the official SDK: each operation, and each failing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

from tests.sdk_client import build_client

UNKNOWN = "0" * 32


@pytest.fixture
def topic(sdk: smn.SmnClient) -> Iterator[str]:
    """The URN of a topic of the test's own."""
    body = smn.CreateTopicRequestBody(name=f"sdk-{uuid4().hex[:12]}", display_name="A test's own")
    urn = str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)
    yield urn
    if details(sdk, urn) is not None:
        sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=urn))


@pytest.fixture
def gone(topic: str) -> str:
    """The URN of a topic that there is not."""
    return f"{topic}-gone"


def details(sdk: smn.SmnClient, urn: str) -> Any:
    """The details of a topic, None if it is unknown."""
    try:
        return sdk.list_topic_details(smn.ListTopicDetailsRequest(topic_urn=urn))
    except ClientRequestException as error:
        if (error.status_code, error.error_code) != (404, "SMN.0006"):
            raise
        return None


def refused(call: Callable[[Any], Any], request: Any, status: int, code: str) -> None:
    """The call fails with this status and code, and tells the request's id."""
    with pytest.raises(ClientRequestException) as error:
        call(request)
    assert (error.value.status_code, error.value.error_code) == (status, code)
    assert len(error.value.request_id) == 32


def test_topics(sdk: smn.SmnClient, topic: str, gone: str) -> None:
    """Created, shown, listed, renamed, deleted."""
    name = topic.rpartition(":")[2]
    found = details(sdk, topic)
    assert (found.name, found.display_name, found.push_policy) == (name, "A test's own", 0)
    listed = sdk.list_topics(smn.ListTopicsRequest(name=name, limit=1, offset=0))
    assert [one.topic_urn for one in listed.topics] == [topic]
    assert listed.topic_count == 1
    by_id = sdk.list_topics(smn.ListTopicsRequest(topic_id=found.topic_id, fuzzy_name="SDK-"))
    assert [one.topic_urn for one in by_id.topics] == [topic]
    body = smn.UpdateTopicRequestBody(display_name="Other")
    sdk.update_topic(smn.UpdateTopicRequest(topic_urn=topic, body=body))
    assert details(sdk, topic).display_name == "Other"

    bad = smn.CreateTopicRequestBody(name="no name", display_name="")
    refused(sdk.create_topic, smn.CreateTopicRequest(body=bad), 400, "SMN.0002")
    refused(sdk.list_topics, smn.ListTopicsRequest(limit=101), 400, "SMN.0015")
    request = smn.UpdateTopicRequest(topic_urn=gone, body=body)
    refused(sdk.update_topic, request, 404, "SMN.0006")
    assert sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic)).request_id
    assert details(sdk, topic) is None
    refused(sdk.delete_topic, smn.DeleteTopicRequest(topic_urn=topic), 404, "SMN.0006")


def test_attributes(sdk: smn.SmnClient, topic: str, gone: str) -> None:
    """Set, shown, cleared one by one and all together."""
    statement = {
        "Sid": "__user_pub_0",
        "Effect": "Allow",
        "Principal": {"CSP": ["urn:csp:iam::93dc1b4697ac493d9b7d089569f86b32:root"]},
        "Action": ["SMN:Publish"],
        "Resource": topic,
    }
    policy = json.dumps({"Version": "2016-09-07", "Id": "i", "Statement": [statement]}, indent=1)

    def put(name: str, value: str, urn: str = topic) -> smn.UpdateTopicAttributeRequest:
        body = smn.UpdateTopicAttributeRequestBody(value=value)
        return smn.UpdateTopicAttributeRequest(topic_urn=urn, name=name, body=body)

    def read() -> tuple[str, str]:
        request = smn.ListTopicAttributesRequest(topic_urn=topic)
        found = sdk.list_topic_attributes(request).attributes
        assert bool(found.create_time) == bool(found.access_policy)
        return found.access_policy, found.introduction

    sdk.update_topic_attribute(put("access_policy", policy))
    sdk.update_topic_attribute(put("introduction", "hello"))
    assert read() == (policy, "hello")
    delete_one = smn.DeleteTopicAttributeByNameRequest(topic_urn=topic, name="access_policy")
    sdk.delete_topic_attribute_by_name(delete_one)
    assert read() == ("", "hello")
    sdk.delete_topic_attributes(smn.DeleteTopicAttributesRequest(topic_urn=topic))
    assert read() == ("", "")

    refused(sdk.update_topic_attribute, put("access_policy", "x"), 400, "SMN.0048")
    refused(sdk.update_topic_attribute, put("introduction", "a" * 121), 403, "SMN.0047")
    refused(sdk.update_topic_attribute, put("introduction", "a", gone), 404, "SMN.0006")
    request = smn.ListTopicAttributesRequest(topic_urn=topic, name="colour")
    refused(sdk.list_topic_attributes, request, 400, "SMN.0046")
    delete_one = smn.DeleteTopicAttributeByNameRequest(topic_urn=topic, name="colour")
    refused(sdk.delete_topic_attribute_by_name, delete_one, 400, "SMN.0046")
    delete_all = smn.DeleteTopicAttributesRequest(topic_urn=gone)
    refused(sdk.delete_topic_attributes, delete_all, 404, "SMN.0006")


def test_tags(sdk: smn.SmnClient, topic: str) -> None:
    """Added one by one and in a batch, listed of a topic and the project, removed."""
    at = {"resource_type": "smn_topic", "resource_id": details(sdk, topic).topic_id}
    none = at | {"resource_id": UNKNOWN}

    def create(key: str, value: str, place: dict[str, str] = at) -> smn.CreateResourceTagRequest:
        body = smn.CreateResourceTagRequestBody(tag=smn.ResourceTag(key=key, value=value))
        return smn.CreateResourceTagRequest(**place, body=body)

    def batch(action: str, **tags: str) -> smn.BatchCreateOrDeleteResourceTagsRequest:
        given = [smn.ResourceTag(key=key, value=value) for key, value in tags.items()]
        body = smn.BatchCreateOrDeleteResourceTagsRequestBody(tags=given, action=action)
        return smn.BatchCreateOrDeleteResourceTagsRequest(**at, body=body)

    def read() -> dict[str, str]:
        found = sdk.list_resource_tags(smn.ListResourceTagsRequest(**at))
        return {tag.key: tag.value for tag in found.tags}

    sdk.create_resource_tag(create("a/b:c", "one"))
    sdk.batch_create_or_delete_resource_tags(batch("create", env="dev", team="blue"))
    assert read() == {"a/b:c": "one", "env": "dev", "team": "blue"}
    sdk.batch_create_or_delete_resource_tags(batch("delete", env="", gone=""))
    sdk.delete_resource_tag(smn.DeleteResourceTagRequest(**at, key="a/b:c"))
    assert read() == {"team": "blue"}
    project = sdk.list_project_tags(smn.ListProjectTagsRequest(resource_type="smn_topic"))
    assert {tag.key: tag.values for tag in project.tags}["team"] == ["blue"]

    refused(sdk.create_resource_tag, create("", "x"), 400, "SMN.0038")
    refused(sdk.create_resource_tag, create("a", "x", none), 404, "SMN.0006")
    refused(sdk.batch_create_or_delete_resource_tags, batch("update", a=""), 400, "SMN.0073")
    request = smn.DeleteResourceTagRequest(**at, key="gone")
    refused(sdk.delete_resource_tag, request, 404, "SMN.0013")
    refused(sdk.list_resource_tags, smn.ListResourceTagsRequest(**none), 404, "SMN.0006")
    request = smn.ListProjectTagsRequest(resource_type="topics")
    refused(sdk.list_project_tags, request, 400, "SMN.0043")


def test_topics_by_their_tags(sdk: smn.SmnClient, topic: str) -> None:
    """Found, counted, and listed with all that belongs to them."""
    topic_id = details(sdk, topic).topic_id
    mark = uuid4().hex
    tag = smn.ResourceTag(key="mark", value=mark)
    sdk.create_resource_tag(
        smn.CreateResourceTagRequest(
            resource_type="smn_topic",
            resource_id=topic_id,
            body=smn.CreateResourceTagRequestBody(tag=tag),
        )
    )

    def query(action: str, **more: Any) -> smn.ListResourceInstancesRequest:
        tags = [smn.ResourceTags(key="mark", values=[mark])]
        body = smn.ListInstanceRequestBody(action=action, tags=tags, **more)
        return smn.ListResourceInstancesRequest(resource_type="smn_topic", body=body)

    match = smn.TagMatch(key="resource_name", value="sdk-")
    found = sdk.list_resource_instances(query("filter", limit="10", offset="0", matches=[match]))
    assert found.total_count == 1
    (one,) = found.resources
    assert (one.resource_id, one.resource_detail.detail_id) == (topic_id, topic_id)
    assert [(tag.key, tag.value) for tag in one.tags] == [("mark", mark)]
    assert sdk.list_resource_instances(query("count")).total_count == 1

    request = smn.ListTopicsWithAssociatedResourcesRequest(topic_id=topic_id)
    (whole,) = sdk.list_topics_with_associated_resources(request).topics
    assert [(tag.key, tag.value) for tag in whole.tags] == [("mark", mark)]
    assert (whole.attributes.access_policy, whole.logtanks) == ("", [])

    refused(sdk.list_resource_instances, query("find"), 400, "SMN.0073")
    refused(sdk.list_resource_instances, query("filter", limit="0"), 400, "SMN.0015")
    request = smn.ListTopicsWithAssociatedResourcesRequest(offset=-1)
    refused(sdk.list_topics_with_associated_resources, request, 400, "SMN.0015")


def test_logtanks(sdk: smn.SmnClient, topic: str, gone: str) -> None:
    """Bound, listed, changed, unbound."""
    body = smn.CreateLogtankRequestBody(log_group_id="group", log_stream_id="stream")
    request = smn.CreateLogtankRequest(topic_urn=topic, body=body)
    logtank_id = sdk.create_logtank(request).id
    listed = sdk.list_logtank(smn.ListLogtankRequest(topic_urn=topic))
    assert (listed.count, listed.logtanks[0].id) == (1, logtank_id)
    other = smn.UpdateLogtankRequestBody(log_group_id="group", log_stream_id="other")
    change = smn.UpdateLogtankRequest(topic_urn=topic, logtank_id=logtank_id, body=other)
    assert sdk.update_logtank(change).logtank.log_stream_id == "other"

    refused(sdk.create_logtank, request, 400, "APIGW.0201")
    request = smn.CreateLogtankRequest(topic_urn=gone, body=body)
    refused(sdk.create_logtank, request, 400, "SMN.00010008")
    refused(sdk.list_logtank, smn.ListLogtankRequest(topic_urn=gone), 400, "SMN.00010008")
    change = smn.UpdateLogtankRequest(topic_urn=topic, logtank_id=UNKNOWN, body=other)
    refused(sdk.update_logtank, change, 404, "SMN.0013")
    sdk.delete_logtank(smn.DeleteLogtankRequest(topic_urn=topic, logtank_id=logtank_id))
    request = smn.DeleteLogtankRequest(topic_urn=topic, logtank_id=logtank_id)
    refused(sdk.delete_logtank, request, 404, "SMN.0013")


def test_what_is_offered(sdk: smn.SmnClient, credentials: dict[str, str]) -> None:
    """Cloud services by both paths and protocols; a wrong key opens none of them."""
    stranger = build_client(credentials, secret_key="x" * 40)
    for name, request in (
        ("list_cloud_service", smn.ListCloudServiceRequest()),
        ("list_cloud_services", smn.ListCloudServicesRequest()),
    ):
        found = getattr(sdk, name)(request).cloud_services
        assert ("obs", "OBS") in [(one.name, one.show_name) for one in found]
        refused(getattr(stranger, name), request, 401, "APIGW.0301")
    protocols = sdk.list_protocols(smn.ListProtocolsRequest()).protocols
    assert {"http", "https"} <= set(protocols)
    refused(stranger.list_protocols, smn.ListProtocolsRequest(), 401, "APIGW.0301")
