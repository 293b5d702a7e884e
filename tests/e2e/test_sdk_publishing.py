"""Templates, the three forms of publishing and detection with the official SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

MISSING = "0" * 32


def refused(call: Callable[[], object]) -> tuple[int, str]:
    """Status and code of a refused call."""
    with pytest.raises(ClientRequestException) as caught:
        call()
    return caught.value.status_code, caught.value.error_code


def create_template(sdk: smn.SmnClient, name: str, content: str, protocol: str | None) -> str:
    """A template's id."""
    body = smn.CreateMessageTemplateRequestBody(
        message_template_name=name, protocol=protocol, content=content
    )
    made = sdk.create_message_template(smn.CreateMessageTemplateRequest(body=body))
    return str(made.message_template_id)


def topic_with(sdk: smn.SmnClient, name: str, receiver: Any) -> str:
    """The URN of a topic that the receiver has subscribed to and confirmed."""
    body = smn.CreateTopicRequestBody(name=name, display_name="")
    topic = str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)
    wish = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url)
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic, body=wish))
    _, invitation = receiver.wait("SubscriptionConfirmation")
    token = invitation["subscribe_url"].partition("token=")[2].partition("&")[0]
    sdk.subscribe_topic(smn.SubscribeTopicRequest(token=token, topic_urn=topic))
    return topic


def publish(sdk: smn.SmnClient, topic: str, **fields: Any) -> Any:
    """The answer."""
    body = smn.PublishMessageRequestBody(**fields)
    return sdk.publish_message(smn.PublishMessageRequest(topic_urn=topic, body=body))


def test_templates_live_as_documented(sdk: smn.SmnClient) -> None:
    """Created, listed, shown, updated, deleted, gone."""
    template = create_template(sdk, "e2e-life", "Hi {name}", "https")
    request = smn.ListMessageTemplatesRequest(message_template_name="e2e-life", limit=10)
    listed = sdk.list_message_templates(request)
    assert listed.message_template_count == 1
    assert listed.message_templates[0].tag_names == ["name"]
    body = smn.UpdateMessageTemplateRequestBody(content="{a}{b}")
    update = smn.UpdateMessageTemplateRequest(message_template_id=template, body=body)
    sdk.update_message_template(update)
    show = smn.ListMessageTemplateDetailsRequest(message_template_id=template)
    shown = sdk.list_message_template_details(show)
    assert (shown.content, shown.tag_names, shown.protocol) == ("{a}{b}", ["a", "b"], "https")
    delete = smn.DeleteMessageTemplateRequest(message_template_id=template)
    sdk.delete_message_template(delete)
    for call in (
        lambda: sdk.delete_message_template(delete),
        lambda: sdk.list_message_template_details(show),
        lambda: sdk.update_message_template(update),
    ):
        assert refused(call) == (404, "SMN.0027")


def test_bad_templates_are_refused(sdk: smn.SmnClient) -> None:
    """With their codes."""
    template = create_template(sdk, "e2e-twice", "x", None)
    again = refused(lambda: create_template(sdk, "e2e-twice", "x", "default"))
    assert again == (400, "SMN.0025")
    request = smn.ListMessageTemplatesRequest(message_template_name="-")
    assert refused(lambda: sdk.list_message_templates(request)) == (400, "SMN.0032")
    sdk.delete_message_template(smn.DeleteMessageTemplateRequest(message_template_id=template))


def test_each_form_of_a_message_arrives(sdk: smn.SmnClient, receiver: Any) -> None:
    """Text, structure, template; with attributes and a language."""
    topic = topic_with(sdk, "e2e-forms", receiver)
    create_template(sdk, "e2e-form", "Dear {name}", None)
    protocols = smn.MessageAttribute(name="smn_protocol", type="PROTOCOL", value=["http"])
    publish(sdk, topic, message="plain", message_attributes=[protocols], locale="en-us")
    structure = json.dumps({"default": "d", "http": "structured"})
    publish(sdk, topic, message="m", message_structure=structure, time_to_live="60")
    publish(sdk, topic, message_template_name="e2e-form", tags={"name": "Ann"})
    arrived = {receiver.wait("Notification", number)[1]["message"] for number in (1, 2, 3)}
    assert arrived == {"plain", "structured", "Dear Ann"}


def test_bad_messages_are_refused(sdk: smn.SmnClient) -> None:
    """With their codes."""
    body = smn.CreateTopicRequestBody(name="e2e-bad", display_name="")
    topic = str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)
    wrong = smn.MessageAttribute(name="A", type="STRING", value="x")
    table: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({}, (403, "SMN.0009")),
        ({"message_structure": "x"}, (400, "SMN.0021")),
        ({"message_template_name": "e2e-gone", "tags": {}}, (404, "SMN.0076")),
        ({"message_template_name": "e2e-gone"}, (400, "SMN.0038")),
        ({"message": "m", "message_attributes": [wrong]}, (400, "SMN.0043")),
    ]
    for fields, expected in table:
        assert refused(partial(publish, sdk, topic, **fields)) == expected


def test_an_endpoint_is_detected(sdk: smn.SmnClient, receiver: Any) -> None:
    """The probe arrives with its headers; a dead endpoint is found out; errors have codes."""
    body = smn.CreateTopicRequestBody(name="e2e-detect", display_name="")
    topic = str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)

    def start(endpoint: str) -> str:
        extension = smn.HttpDetectRequestBodyExtension(header={"x-abc": "v"})
        probe = smn.HttpDetectRequestBody(protocol="http", endpoint=endpoint, extension=extension)
        request = smn.PublishHttpDetectRequest(topic_urn=topic, body=probe)
        return str(sdk.publish_http_detect(request).task_id)

    def result(task: str) -> Any:
        request = smn.ShowHttpDetectResultRequest(topic_urn=topic, task_id=task)
        deadline = time.monotonic() + 60
        while (found := sdk.show_http_detect_result(request)).status == 1:
            assert time.monotonic() < deadline, "the probe has no result"
            time.sleep(0.05)
        return found

    tasks = [start(receiver.url), start("http://127.0.0.1:9/nobody")]
    good, bad = (result(task) for task in tasks)
    assert (good.status, good.detail.http_code) == (0, 200)
    assert (bad.status, bad.detail.http_code) == (2, -1)
    assert bad.detail.http_response
    headers, probe = receiver.wait("Detection")
    assert headers["x-abc"] == "v"
    assert probe["topic_urn"] == topic
    assert refused(lambda: start("nonsense")) == (400, "SMN.0012")
    assert refused(lambda: result(MISSING)) == (400, "SMN.00013030")
