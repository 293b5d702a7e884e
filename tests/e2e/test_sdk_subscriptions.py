"""Subscriptions, filter policies, notify policies and subscription users with the official SDKs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn
from huaweicloudsdksmnglobal import v2 as smnglobal

from tests.sdk_client import build_client
from tests.serving import Serve, serve

MISSING = "0" * 32
PHONE = "13600000000"
_PLUGIN = """
from engine.testing import RecordingAdapter

def voice(ports):
    (adapter,) = RecordingAdapter.of("callnotify")
    return adapter
"""


def fails(call: Callable[[Any], Any], request: Any, status: int, code: str) -> None:
    """The call must raise the SDK's error with this status and code."""
    with pytest.raises(ClientRequestException) as caught:
        call(request)
    assert (caught.value.status_code, caught.value.error_code) == (status, code)


@pytest.fixture
def topic(sdk: smn.SmnClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A topic of the test's own."""
    yield from _topic(sdk, request.function.__name__)


def _topic(sdk: smn.SmnClient, name: str) -> Iterator[str]:
    body = smn.CreateTopicRequestBody(name=name, display_name="")
    urn = str(sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn)
    yield urn
    sdk.delete_topic(smn.DeleteTopicRequest(topic_urn=urn))


def add(sdk: smn.SmnClient, topic: str, protocol: str, endpoint: str, **more: Any) -> str:
    """A subscription's URN."""
    body = smn.AddSubscriptionRequestBody(protocol=protocol, endpoint=endpoint, **more)
    request = smn.AddSubscriptionRequest(topic_urn=topic, body=body)
    return str(sdk.add_subscription(request).subscription_urn)


def listed(sdk: smn.SmnClient, topic: str) -> dict[str, Any]:
    """The topic's subscriptions by URN."""
    found = sdk.list_subscriptions_by_topic(smn.ListSubscriptionsByTopicRequest(topic_urn=topic))
    return {one.subscription_urn: one for one in found.subscriptions}


def test_subscriptions_are_added_together_and_changed(sdk: smn.SmnClient, topic: str) -> None:
    """A batch through the SDK, a remark, a wrong code."""
    batch = [
        smn.BatchAddSubscriptionsRequestBody(protocol="sms", endpoint=f"1360000000{n}")
        for n in range(3)
    ]
    body = smn.AddSubscriptionRequestBody(protocol="", endpoint="", subscriptions=batch)
    request = smn.AddSubscriptionRequest(topic_urn=topic, body=body)
    first = sdk.add_subscription(request).subscription_urn
    assert next(iter(listed(sdk, topic))) == first
    assert len(listed(sdk, topic)) == 3

    def change(**members: str) -> smn.UpdateSubscriptionRequest:
        body = smn.UpdateSubscriptionRequestBody(**members)
        return smn.UpdateSubscriptionRequest(topic_urn=topic, subscription_urn=first, body=body)

    assert sdk.update_subscription(change(remark="运维")).subscription_urn == first
    assert listed(sdk, topic)[first].remark == "运维"
    fails(sdk.update_subscription, change(verification_code="123456"), 403, "SMN.0022")
    fails(sdk.update_subscription, change(remark="x" * 129), 400, "SMN.0017")
    body = smn.AddSubscriptionRequestBody(protocol="dms", endpoint="queue")
    fails(sdk.add_subscription, smn.AddSubscriptionRequest(topic, body), 400, "SMN.0011")


def test_subscriptions_are_removed_together(sdk: smn.SmnClient, topic: str) -> None:
    """By topic and by project; each has its result."""
    urns = [add(sdk, topic, "sms", f"1360000000{n}") for n in range(4)]

    def named(*urns: str) -> smn.BatchDeleteSubscriptionsRequestBody:
        items = [smn.BatchDeleteSubscriptionsRequestItemInfo(subscription_urn=u) for u in urns]
        return smn.BatchDeleteSubscriptionsRequestBody(subscription_urns=items)

    by_topic = smn.BatchDeleteSubscriptionsByTopicRequest(topic, named(urns[0], urns[0]))
    answer = sdk.batch_delete_subscriptions_by_topic(by_topic)
    assert [(one.http_code, one.code) for one in answer.subscriptions_result] == [
        (200, None),
        (404, "SMN.0013"),
    ]
    answer = sdk.batch_delete_subscriptions(smn.BatchDeleteSubscriptionsRequest(named(urns[1])))
    assert [one.http_code for one in answer.subscriptions_result] == [200]
    one = smn.DeleteSubscriptionsByTopicRequest(topic, urns[2])
    sdk.delete_subscriptions_by_topic(one)
    fails(sdk.delete_subscriptions_by_topic, one, 404, "SMN.0013")
    cancel = smn.CancelSubscriptionRequest(urns[3])
    sdk.cancel_subscription(cancel)
    fails(sdk.cancel_subscription, cancel, 404, "SMN.0013")
    assert listed(sdk, topic) == {}
    empty = smn.BatchDeleteSubscriptionsRequest(named())
    fails(sdk.batch_delete_subscriptions, empty, 400, "SMN.0043")
    by_topic = smn.BatchDeleteSubscriptionsByTopicRequest(topic, named())
    fails(sdk.batch_delete_subscriptions_by_topic, by_topic, 400, "SMN.0043")


def test_filter_policies_are_set_and_removed(sdk: smn.SmnClient, topic: str) -> None:
    """All three calls, and the list that shows what there is."""
    urn = add(sdk, topic, "sms", PHONE)

    def policies(*values: str) -> smn.BatchSubscriptionsFilterPolicesRequestBody:
        policy = smn.SubscriptionsFilterPolicy(name="alarm", string_equals=list(values))
        one = smn.BatchSubscriptionsFilterPolicesRequestBodyPolices(urn, [policy])
        return smn.BatchSubscriptionsFilterPolicesRequestBody(polices=[one])

    def shown() -> list[list[str]]:
        return [one.string_equals for one in listed(sdk, topic)[urn].filter_polices]

    create = smn.BatchCreateSubscriptionsFilterPolicesRequest
    answer = sdk.batch_create_subscriptions_filter_polices(create(policies("os", "disk")))
    assert [(one.code, one.subscription_urn) for one in answer.batch_result] == [("200", urn)]
    assert shown() == [["os", "disk"]]
    again = sdk.batch_create_subscriptions_filter_polices(create(policies("os")))
    assert [one.code for one in again.batch_result] == ["SMN.0043"]
    update = smn.BatchUpdateSubscriptionsFilterPolicesRequest
    sdk.batch_update_subscriptions_filter_polices(update(policies("net")))
    assert shown() == [["net"]]
    for call, request in (
        (sdk.batch_create_subscriptions_filter_polices, create(policies("a b"))),
        (sdk.batch_update_subscriptions_filter_polices, update(policies())),
    ):
        fails(call, request, 400, "SMN.0043")

    def remove(*urns: str) -> smn.BatchDeleteSubscriptionsFilterPolicesRequest:
        body = smn.BatchDeleteSubscriptionsFilterPolicesRequestBody(subscription_urns=list(urns))
        return smn.BatchDeleteSubscriptionsFilterPolicesRequest(body)

    sdk.batch_delete_subscriptions_filter_polices(remove(urn))
    assert shown() == []
    fails(sdk.batch_delete_subscriptions_filter_polices, remove(), 400, "SMN.0043")


@pytest.fixture
def people(credentials: dict[str, str]) -> smnglobal.SmnglobalClient:
    """The official client of the global service."""
    basic = GlobalCredentials(
        credentials["access_key"], credentials["secret_key"], credentials["domain_id"]
    )
    builder = smnglobal.SmnglobalClient.new_builder().with_credentials(basic)
    return builder.with_endpoint(credentials["endpoint"]).build()


def test_subscription_users_are_taken_over(
    sdk: smn.SmnClient, people: smnglobal.SmnglobalClient, topic: str
) -> None:
    """Made, listed, changed, imported into a topic, deleted."""
    sms = smnglobal.CreateSubscriptionUserRequestSmsEndpointInfo(endpoint=PHONE)
    body = smnglobal.CreateSubscriptionUserRequestBody(name="ops", group=["night"], sms=sms)
    user = people.create_subscription_user(smnglobal.CreateSubscriptionUserRequest(body)).id
    bad = smnglobal.CreateSubscriptionUserRequestBody(name="ops", group=["_"], sms=sms)
    fails(
        people.create_subscription_user,
        smnglobal.CreateSubscriptionUserRequest(bad),
        400,
        "SMN.0043",
    )

    def change(user_id: str, **members: Any) -> smnglobal.UpdateSubscriptionUserRequest:
        body = smnglobal.UpdateSubscriptionUserRequestBody(**members)
        return smnglobal.UpdateSubscriptionUserRequest(id=user_id, body=body)

    people.update_subscription_user(change(user, name="new", group=["day"]))
    fails(people.update_subscription_user, change(MISSING, name="x"), 404, "SMN.0013")
    found = people.list_subscription_user(
        smnglobal.ListSubscriptionUserRequest(name="new", protocol="sms", group="da")
    )
    assert found.count == 1
    (shown,) = found.subscription_users
    assert (shown.id, shown.status, shown.sms.endpoint) == (user, "UNCONFIRMED", PHONE)
    wrong = smnglobal.ListSubscriptionUserRequest(status="NONE")
    fails(people.list_subscription_user, wrong, 400, "SMN.0077")

    def taken(*ids: str) -> smn.AddSubscriptionFromSubscriptionUserRequest:
        body = smn.AddSubscriptionFromSubscriptionUserRequestBody(ids=list(ids))
        return smn.AddSubscriptionFromSubscriptionUserRequest(topic_urn=topic, body=body)

    answer = sdk.add_subscription_from_subscription_user(taken(user, MISSING))
    one, two = answer.subscriptions_result
    assert (one.http_code, one.subscription_urn) == (201, next(iter(listed(sdk, topic))))
    assert (two.http_code, two.error_code) == (404, "SMN.0013")
    fails(sdk.add_subscription_from_subscription_user, taken(), 400, "SMN.0043")
    delete = smnglobal.DeleteSubscriptionUserRequest(id=user)
    people.delete_subscription_user(delete)
    fails(people.delete_subscription_user, delete, 404, "SMN.0013")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def voice_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serve]:
    """A service with somebody else's adapter: installed beside it, found by its entry point."""
    site = tmp_path_factory.mktemp("site")
    Path(site, "voice_plugin.py").write_text(_PLUGIN)
    about = site / "voice_plugin-1.0.dist-info"
    about.mkdir()
    Path(about, "METADATA").write_text("Metadata-Version: 2.1\nName: voice-plugin\nVersion: 1.0\n")
    Path(about, "entry_points.txt").write_text("[tocsin.adapters]\nvoice = voice_plugin:voice\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        async with serve(tmp_path_factory.mktemp("voice") / "data") as running:
            assert running.url, running.log
            yield running


def test_calls_are_put_in_order(voice_service: Serve) -> None:
    """A notify policy is made, shown, replaced and removed, where an adapter speaks to phones."""
    sdk = build_client(json.loads(Path(voice_service.data, "credentials.json").read_text()))
    topic = next(_topic(sdk, "calls"))
    urns = [add(sdk, topic, "callnotify", f"1360000000{n}", remark=str(n)) for n in range(2)]

    def policy(*urns: str) -> smn.NotifyPolicyRequestBody:
        rounds = [
            smn.PollingPolicyRequest(order=number, subscription_urns=[urn])
            for number, urn in enumerate(urns)
        ]
        return smn.NotifyPolicyRequestBody(protocol="callnotify", polling=rounds)

    show = smn.ShowNotifyPolicyRequest(topic)
    assert sdk.show_notify_policy(show).id is None
    create = smn.CreateNotifyPolicyRequest(topic, policy(*urns))
    identifier = sdk.create_notify_policy(create).id
    fails(sdk.create_notify_policy, create, 400, "SMN.0043")
    shown = sdk.show_notify_policy(show)
    assert (shown.id, shown.protocol) == (identifier, "callnotify")
    assert [
        (one.order, [(sub.subscription_urn, sub.remark) for sub in one.subscriptions])
        for one in shown.polling
    ] == [(0, [(urns[0], "0")]), (1, [(urns[1], "1")])]
    update = smn.UpdateNotifyPolicyRequest(topic, identifier, policy(urns[1]))
    sdk.update_notify_policy(update)
    assert len(sdk.show_notify_policy(show).polling) == 1
    wrong = smn.UpdateNotifyPolicyRequest(topic, MISSING, policy(urns[1]))
    fails(sdk.update_notify_policy, wrong, 404, "SMN.0013")
    delete = smn.DeleteNotifyPolicyRequest(topic, identifier)
    sdk.delete_notify_policy(delete)
    fails(sdk.delete_notify_policy, delete, 404, "SMN.0013")
    fails(sdk.show_notify_policy, smn.ShowNotifyPolicyRequest(f"{topic}x"), 404, "SMN.0006")
