"""KMS keys of topics, through the official SDK and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

from tests.serving import Serve

_WAIT_SECONDS = 5.0


def _key(service: Serve, *arguments: str) -> dict[str, Any]:
    """Run ``tocsin key`` beside the service; the key that it was about."""
    command = [sys.executable, "-m", "engine", "key", *arguments]
    done = subprocess.run(
        [*command, "--data", str(service.data), "--json"], capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def _refusal(call: Callable[[], object]) -> tuple[int, str] | None:
    try:
        call()
    except ClientRequestException as error:
        return error.status_code, error.error_code
    return None


@pytest.fixture
def topic(sdk: smn.SmnClient) -> str:
    """A topic's URN."""
    body = smn.CreateTopicRequestBody(name="kms", display_name="")
    return str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)


def test_a_key_is_bound_used_changed_and_removed(
    sdk: smn.SmnClient, service: Serve, receiver: Any, topic: str
) -> None:
    """Each operation once well and once badly; a disabled key stops publishing in a second."""
    key = _key(service, "create", "--alias", "kms")["key_id"]
    create = smn.CreateKmsKeyRequest(topic_urn=topic, body=smn.AddKmsKeyRequestBody(key_id=key))
    show = smn.ShowKmsKeyRequest(topic_urn=topic)
    assert _refusal(lambda: sdk.show_kms_key(show)) == (404, "SMN.0045")
    binding = sdk.create_kms_key(create).id
    assert _refusal(lambda: sdk.create_kms_key(create)) == (400, "APIGW.0201")
    shown = sdk.show_kms_key(show)
    assert (shown.id, shown.key_id, shown.status) == (binding, key, "ENABLED")

    body = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url)
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic, body=body))
    assert receiver.wait("SubscriptionConfirmation")[1]["topic_urn"] == topic
    publish = smn.PublishMessageRequest(
        topic_urn=topic, body=smn.PublishMessageRequestBody(message="hello")
    )
    assert sdk.publish_message(publish).message_id
    _key(service, "disable", "kms")
    deadline = time.monotonic() + _WAIT_SECONDS
    while (refused := _refusal(lambda: sdk.publish_message(publish))) is None:
        assert time.monotonic() < deadline
    assert refused == (400, "APIGW.0201")
    assert sdk.show_kms_key(show).status == "DISABLED"

    other = _key(service, "create", "--alias", "kms-2")["key_id"]

    def update(identifier: str) -> smn.UpdateKmsKeyRequest:
        body = smn.UpdateKmsKeyRequestBody(key_id=other)
        return smn.UpdateKmsKeyRequest(topic_urn=topic, id=identifier, body=body)

    assert _refusal(lambda: sdk.update_kms_key(update("0" * 32))) == (404, "SMN.0045")
    assert sdk.update_kms_key(update(binding)).id == binding
    assert sdk.show_kms_key(show).key_id == other
    assert sdk.publish_message(publish).message_id
    delete = smn.DeleteKmsKeyRequest(topic_urn=topic, id=binding)
    assert sdk.delete_kms_key(delete).request_id
    assert _refusal(lambda: sdk.delete_kms_key(delete)) == (404, "SMN.0045")
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=topic))
