"""The main job, done with the unmodified official SDK."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

_LINK_KEYS = ("message", "message_id", "subscribe_url", "timestamp", "topic_urn", "type")
SIGNED_KEYS = {
    "Notification": ("message", "message_id", "subject", "timestamp", "topic_urn", "type"),
    "SubscriptionConfirmation": _LINK_KEYS,
    "UnsubscribeConfirmation": _LINK_KEYS,
}


def get(url: str) -> requests.Response:
    """What a subscriber does with a link."""
    return requests.get(url, timeout=10, allow_redirects=False)


def check_signature(message: dict[str, Any]) -> None:
    """Verify a message as the contract tells receivers, from the served certificate alone."""
    certificate = load_pem_x509_certificate(get(message["signing_cert_url"]).content)
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    names = [name for name in SIGNED_KEYS[message["type"]] if message.get(name)]
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    key.verify(base64.b64decode(message["signature"]), text.encode(), PKCS1v15(), SHA256())


def create_topic(sdk: smn.SmnClient, name: str) -> str:
    """A topic's URN."""
    body = smn.CreateTopicRequestBody(name=name, display_name="A test's own")
    return str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)


def publish(sdk: smn.SmnClient, topic: str, message: str, subject: str | None = None) -> str:
    """A message's id."""
    body = smn.PublishMessageRequestBody(message=message, subject=subject, time_to_live="3600")
    request = smn.PublishMessageRequest(topic_urn=topic, body=body)
    return str(sdk.publish_message(request).message_id)


def statuses(sdk: smn.SmnClient, topic: str) -> list[int]:
    """The statuses of a topic's subscriptions."""
    request = smn.ListSubscriptionsByTopicRequest(topic_urn=topic)
    found = sdk.list_subscriptions_by_topic(request)
    assert found.subscription_count == len(found.subscriptions)
    return [one.status for one in found.subscriptions]


def refused(call: Callable[[Any], Any], request: Any, status: int, code: str) -> None:
    """The call raises the SDK's error with this status and code.

    Public operations on links answer a sentence without a code: the SDK puts the status there.
    """
    with pytest.raises(ClientRequestException) as caught:
        call(request)
    assert (caught.value.status_code, caught.value.error_code) == (status, code)


def test_the_whole_life_of_a_subscription(sdk: smn.SmnClient, receiver: Any) -> None:
    """Created, confirmed, served, cancelled, subscribed again, deleted: each step as documented."""
    topic = create_topic(sdk, "life-cycle")
    body = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url, remark="mine")
    request = smn.AddSubscriptionRequest(topic_urn=topic, body=body)
    subscription = sdk.add_subscription(request).subscription_urn
    assert sdk.add_subscription(request).subscription_urn == subscription
    assert statuses(sdk, topic) == [0]

    headers, invitation = receiver.wait("SubscriptionConfirmation")
    assert headers["X-SMN-MESSAGE-TYPE"] == "SubscriptionConfirmation"
    check_signature(invitation)
    page = get(invitation["subscribe_url"])
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert statuses(sdk, topic) == [1]

    message_id = publish(sdk, topic, "Grüße, 世界\n", "subject ✓")
    headers, message = receiver.wait("Notification")
    assert headers["X-SMN-MESSAGE-ID"] == message_id == message["message_id"]
    assert (message["message"], message["subject"]) == ("Grüße, 世界\n", "subject ✓")
    assert message["topic_urn"] == topic
    check_signature(message)

    assert get(message["unsubscribe_url"]).status_code == 200
    _, farewell = receiver.wait("UnsubscribeConfirmation")
    check_signature(farewell)
    assert statuses(sdk, topic) == [3]
    assert get(farewell["subscribe_url"]).status_code == 200
    assert statuses(sdk, topic) == [1]
    publish(sdk, topic, "again")
    assert receiver.wait("Notification", 2)[1]["message"] == "again"

    sdk.cancel_subscription(smn.CancelSubscriptionRequest(subscription_urn=subscription))
    assert statuses(sdk, topic) == []
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))
    refused(sdk.list_topic_details, smn.ListTopicDetailsRequest(topic_urn=topic), 404, "SMN.0006")


def test_a_subscriber_can_use_the_api_without_login(sdk: smn.SmnClient, receiver: Any) -> None:
    """The SDK signs its public calls; the service does not care."""
    topic = create_topic(sdk, "public-calls")
    body = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url)
    subscription = sdk.add_subscription(
        smn.AddSubscriptionRequest(topic_urn=topic, body=body)
    ).subscription_urn
    _, invitation = receiver.wait("SubscriptionConfirmation")
    query = dict(parse_qsl(urlsplit(invitation["subscribe_url"]).query))
    for call, request in (
        (sdk.subscribe_topic, smn.SubscribeTopicRequest(token=query["token"], topic_urn=topic)),
        (sdk.confirm_subscription, smn.ConfirmSubscriptionRequest(token=query["token"])),
    ):
        assert call(request).subscription_urn == subscription
    for call, request in (
        (sdk.unsubscribe_subscription, smn.UnsubscribeSubscriptionRequest(subscription)),
        (sdk.unsubscribe_topic, smn.UnsubscribeTopicRequest(subscription)),
    ):
        assert "successfully canceled" in call(request).message
        assert statuses(sdk, topic) == [3]
        again = smn.SubscribeTopicRequest(token=query["token"], topic_urn=topic)
        assert sdk.subscribe_topic(again).subscription_urn == subscription
        assert statuses(sdk, topic) == [1]
    for call, request in (
        (sdk.subscribe_topic, smn.SubscribeTopicRequest(token="00", topic_urn=topic)),
        (sdk.confirm_subscription, smn.ConfirmSubscriptionRequest(token="00")),
    ):
        refused(call, request, 403, "403")
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))
    for call, request in (
        (sdk.unsubscribe_subscription, smn.UnsubscribeSubscriptionRequest(subscription)),
        (sdk.unsubscribe_topic, smn.UnsubscribeTopicRequest(subscription)),
    ):
        refused(call, request, 404, "404")


def test_topics_are_changed_and_found(sdk: smn.SmnClient) -> None:
    """Everything about a topic that the SDK can read and write."""
    topic = create_topic(sdk, "details")
    body = smn.UpdateTopicRequestBody(display_name="新名称")
    sdk.update_topic(smn.UpdateTopicRequest(topic_urn=topic, body=body))
    details = sdk.list_topic_details(smn.ListTopicDetailsRequest(topic_urn=topic))
    assert (details.name, details.display_name, details.push_policy) == ("details", "新名称", 0)
    found = sdk.list_topics(smn.ListTopicsRequest(name="details"))
    assert [(one.topic_urn, one.topic_id) for one in found.topics] == [(topic, details.topic_id)]
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))


def test_lists_come_in_parts(sdk: smn.SmnClient) -> None:
    """Pages neither repeat nor leave out; the count is of all."""
    topics = [create_topic(sdk, f"part-{number}") for number in range(5)]
    for number in range(5):
        body = smn.AddSubscriptionRequestBody(protocol="sms", endpoint=f"1360000000{number}")
        sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topics[0], body=body))
    listed: list[str] = []
    endpoints: list[str] = []
    for offset in (0, 2, 4, 6):
        part = sdk.list_topics(smn.ListTopicsRequest(offset=offset, limit=2, fuzzy_name="part-"))
        assert part.topic_count == 5
        listed += [one.topic_urn for one in part.topics]
        request = smn.ListSubscriptionsByTopicRequest(topic_urn=topics[0], offset=offset, limit=2)
        owned = sdk.list_subscriptions_by_topic(request)
        assert owned.subscription_count == 5
        endpoints += [one.endpoint for one in owned.subscriptions]
    assert listed == topics[::-1]
    assert endpoints == [f"1360000000{number}" for number in range(5)]
    request = smn.ListSubscriptionsRequest(protocol="sms", endpoint="13600000003")
    assert sdk.list_subscriptions(request).subscription_count == 1
    refused(sdk.list_subscriptions, smn.ListSubscriptionsRequest(limit=101), 400, "SMN.0015")
    for topic in topics:
        sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))
    request = smn.ListSubscriptionsByTopicRequest(topic_urn=topics[0])
    refused(sdk.list_subscriptions_by_topic, request, 404, "SMN.0006")


def test_the_certificate_can_be_downloaded(sdk: smn.SmnClient, receiver: Any) -> None:
    """Both download operations of the SDK, both spellings of the name."""
    topic = create_topic(sdk, "certificate")
    body = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url)
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic, body=body))
    url = receiver.wait("SubscriptionConfirmation")[1]["signing_cert_url"]
    name = url.rpartition("/")[2]
    pem = get(url).content
    got: list[bytes] = []
    spelled = name.replace("_", "-")
    for answer in (
        sdk.download_http_cert(smn.DownloadHttpCertRequest(certificate_id=name)),
        sdk.download_http_sign_cert(smn.DownloadHttpSignCertRequest(certificate_id=spelled)),
    ):
        answer.consume_download_stream(lambda stream: got.append(stream.content))
    assert got == [pem, pem]
    for call, request in (
        (sdk.download_http_cert, smn.DownloadHttpCertRequest("x.pem")),
        (sdk.download_http_sign_cert, smn.DownloadHttpSignCertRequest("x.pem")),
    ):
        refused(call, request, 404, "APIGW.0101")
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))


def test_versions_are_told(sdk: smn.SmnClient) -> None:
    """To everybody, by both calls; only what is no request is refused."""
    (one,) = sdk.list_versions(smn.ListVersionsRequest()).versions
    assert (one.id, one.status) == ("v2", "CURRENT")
    assert sdk.list_version(smn.ListVersionRequest()).version.links == one.links
    for invoker in (
        sdk.list_versions_invoker(smn.ListVersionsRequest()),
        sdk.list_version_invoker(smn.ListVersionRequest()),
    ):
        broken = invoker.add_header("X-Long", "x" * 10_000)  # longer than servers read
        refused(lambda one: one.invoke(), broken, 400, "APIGW.0201")
