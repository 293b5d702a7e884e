"""Applications and their endpoints with the official SDK, and the legacy SMS call without it.

A service without an adapter for mobile push refuses them; one that has it runs in here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksmn import v2 as smn

from engine.app import Engine
from engine.settings import Settings
from engine.testing import RecordingAdapter
from tests.api_client import serving
from tests.apple import push_certificate
from tests.apple_push import DEVICE as IPHONE
from tests.apple_push import apple_push
from tests.engines import all_ended, open_engine, snapshot, working
from tests.push_kit import APP_ID, APP_SECRET, DEVICE, PushKit, served
from tests.sdk_client import build_client

pytestmark = pytest.mark.filterwarnings("ignore:Method .* of SmnClient is deprecated")

SECRETS = {"platform_principal": "1", "platform_credential": "c" * 32}


def create(sdk: smn.SmnClient, name: str = "shop", platform: str = "HMS") -> Any:
    """The answer for a new application."""
    body = smn.CreateApplicationRequestBody(name=name, platform=platform, **SECRETS)
    return sdk.create_application(smn.CreateApplicationRequest(body=body))


def register(sdk: smn.SmnClient, application: str, token: str = "token") -> Any:
    """The answer for a new endpoint."""
    body = smn.CreateApplicationEndpointRequestBody(token=token, user_data="Ann")
    return sdk.create_application_endpoint(
        smn.CreateApplicationEndpointRequest(application_urn=application, body=body)
    )


def live(sdk: smn.SmnClient) -> str:
    """The life of an application and its endpoint; the id of the message in it."""
    urn = create(sdk).application_urn
    assert sdk.list_applications(smn.ListApplicationsRequest(name="sh")).application_count == 1
    shown = sdk.list_application_attributes(
        smn.ListApplicationAttributesRequest(application_urn=urn)
    )
    assert shown.attributes.enabled == "true"
    body = smn.UpdateApplicationRequestBody(**SECRETS)
    sdk.update_application(smn.UpdateApplicationRequest(application_urn=urn, body=body))
    endpoint = register(sdk, urn).endpoint_urn
    listed = sdk.list_application_endpoints(
        smn.ListApplicationEndpointsRequest(application_urn=urn, enabled="true")
    )
    assert (listed.next_page_flag, listed.endpoints[0].endpoint_urn) == (False, endpoint)
    change = smn.UpdateApplicationEndpointRequestBody(user_data="Bob")
    sdk.update_application_endpoint(
        smn.UpdateApplicationEndpointRequest(endpoint_urn=endpoint, body=change)
    )
    found = sdk.list_application_endpoint_attributes(
        smn.ListApplicationEndpointAttributesRequest(endpoint_urn=endpoint)
    )
    assert (found.attributes.token, found.attributes.user_data) == ("token", "Bob")
    text = smn.PublishAppMessageRequestBody(message="hello", time_to_live="60")
    published = sdk.publish_app_message(
        smn.PublishAppMessageRequest(endpoint_urn=endpoint, body=text)
    )
    return str(published.message_id)


def errors(sdk: smn.SmnClient) -> set[tuple[int, str]]:
    """What every operation answers where there is neither application nor endpoint."""
    project = sdk._credentials.project_id
    urn = f"urn:smn:region01:{project}:application:HMS:gone"
    endpoint = f"urn:smn:region01:{project}:endpoint:HMS:gone:{'0' * 32}"
    secrets = smn.UpdateApplicationRequestBody(**SECRETS)
    change = smn.UpdateApplicationEndpointRequestBody(enabled="true")
    text = smn.PublishAppMessageRequestBody(message="m")
    calls: list[Callable[[], object]] = [
        lambda: create(sdk, platform="FCM"),
        lambda: sdk.list_applications(smn.ListApplicationsRequest(platform="FCM")),
        lambda: sdk.list_application_attributes(
            smn.ListApplicationAttributesRequest(application_urn=urn)
        ),
        lambda: sdk.update_application(
            smn.UpdateApplicationRequest(application_urn=urn, body=secrets)
        ),
        lambda: sdk.delete_application(smn.DeleteApplicationRequest(application_urn=urn)),
        lambda: register(sdk, urn),
        lambda: sdk.list_application_endpoints(
            smn.ListApplicationEndpointsRequest(application_urn=urn)
        ),
        lambda: sdk.list_application_endpoint_attributes(
            smn.ListApplicationEndpointAttributesRequest(endpoint_urn=endpoint)
        ),
        lambda: sdk.update_application_endpoint(
            smn.UpdateApplicationEndpointRequest(endpoint_urn=endpoint, body=change)
        ),
        lambda: sdk.delete_application_endpoint(
            smn.DeleteApplicationEndpointRequest(endpoint_urn=endpoint)
        ),
        lambda: sdk.publish_app_message(
            smn.PublishAppMessageRequest(endpoint_urn=endpoint, body=text)
        ),
    ]
    found = set()
    for call in calls:
        with pytest.raises(ClientRequestException) as caught:
            call()
        found.add((caught.value.status_code, caught.value.error_code))
    return found


def test_without_push_nothing_is_supported(sdk: smn.SmnClient) -> None:
    """Every operation says so."""
    assert errors(sdk) == {(403, "SMN.0116")}


async def test_with_push_everything_is(redis_url: str, tmp_path: Path, settings: Settings) -> None:
    """Each operation works, and refuses what is not there."""
    push = RecordingAdapter("application")
    async with open_engine(redis_url, tmp_path) as engine:
        engine.adapters["application"] = push
        async with with_sdk(engine, settings) as sdk:
            found = await asyncio.to_thread(errors, sdk)
            assert found == {(403, "SMN.0116"), (404, "SMN.0122"), (404, "SMN.0125")}
            message_id = await asyncio.to_thread(live, sdk)
            async with working(engine):
                await all_ended(engine)
            assert [sent.message.id for sent in push.sent] == [message_id]
            await asyncio.to_thread(remove, sdk)


def remove(sdk: smn.SmnClient) -> None:
    """Delete the endpoint, then the application."""
    (item,) = sdk.list_applications(smn.ListApplicationsRequest()).applications
    (endpoint,) = sdk.list_application_endpoints(
        smn.ListApplicationEndpointsRequest(application_urn=item.application_urn)
    ).endpoints
    sdk.delete_application_endpoint(
        smn.DeleteApplicationEndpointRequest(endpoint_urn=endpoint.endpoint_urn)
    )
    sdk.delete_application(smn.DeleteApplicationRequest(application_urn=item.application_urn))
    assert sdk.list_applications(smn.ListApplicationsRequest()).application_count == 0


async def test_a_device_of_hms_gets_what_is_published(
    redis_url: str, tmp_path: Path, settings: Settings
) -> None:
    """To its endpoint and to a topic it subscribes to; the platform takes both, with one token."""
    kit = PushKit()
    async with served(kit) as url:
        push = {"enabled": True, "hms_url": url, "hms_token_url": f"{url}/oauth2/v3/token"}
        opened = open_engine(redis_url, tmp_path, tables={"push": push})
        async with opened as engine, with_sdk(engine, settings) as sdk:
            given = "HMS", (APP_ID, APP_SECRET), DEVICE
            endpoint = await asyncio.to_thread(publish_to_both, sdk, given, str)
            async with working(engine):
                await all_ended(engine)
            assert sorted(message["data"] for message in kit.messages) == ["direct", "topic"]
            assert all(message["token"] == [DEVICE] for message in kit.messages)
            assert len(kit.tokens) == 1
            await asyncio.to_thread(switch_off, sdk, endpoint)
            topic = (await engine.create_topic("orders")).urn
            await engine.publish(topic, "unwanted")
            async with working(engine):
                await all_ended(engine)
            assert len(kit.messages) == 2
            (dead,) = await engine.dead_letters(topic)
            assert dead.reason == "the endpoint is disabled"
            everything = repr(await snapshot(engine.store))
            assert APP_SECRET not in everything
            assert not any(token in everything for token in kit.tokens)


@pytest.mark.parametrize("platform", ["APNS", "APNS_SANDBOX"])
async def test_a_device_of_apples_gets_what_is_published(
    redis_url: str, tmp_path: Path, settings: Settings, platform: str
) -> None:
    """To its endpoint and to a topic it subscribes to, over one connection."""
    certificate, key = push_certificate()
    async with apple_push(tmp_path, sandbox=platform == "APNS_SANDBOX") as (service, ca_file):
        at = {"APNS": "apns_url", "APNS_SANDBOX": "apns_sandbox_url"}[platform]
        push = {"enabled": True, at: service.url, "apns_ca_file": str(ca_file)}
        opened = open_engine(redis_url, tmp_path, tables={"push": push})
        async with opened as engine, with_sdk(engine, settings) as sdk:
            given = platform, (certificate, key), IPHONE
            endpoint = await asyncio.to_thread(publish_to_both, sdk, given, alert)
            async with working(engine):
                await all_ended(engine)
            said = sorted(push.payload["aps"]["alert"] for push in service.pushes)
            assert said == ["direct", "topic"]
            assert {push.token for push in service.pushes} == {IPHONE}
            assert service.connections == 1

            service.unregistered.add(IPHONE)
            topic = (await engine.create_topic("orders")).urn
            await engine.publish(topic, alert("too late"))
            await engine.publish(topic, "no payload")
            async with working(engine):
                await all_ended(engine)
            reasons = {dead.reason for dead in await engine.dead_letters(topic)}
            assert reasons == {
                "APNS: Unregistered",
                "a message of APNS is a JSON object with aps",
            }
            assert len(service.arrivals) == 3
            shown = await asyncio.to_thread(attributes, sdk, endpoint)
            assert shown.enabled == "true"
            assert key not in repr(await snapshot(engine.store))


@asynccontextmanager
async def with_sdk(engine: Engine, settings: Settings) -> AsyncIterator[smn.SmnClient]:
    """The official client of an engine's API."""
    account = await engine.accounts.bootstrap()
    async with serving(engine, settings, account) as (client, _):
        yield build_client(
            {
                "access_key": account.access_key,
                "secret_key": account.secret_key,
                "project_id": account.project_id,
                "endpoint": client.url,
            }
        )


def alert(text: str) -> str:
    """A text as Apple's devices show it."""
    return json.dumps({"aps": {"alert": text}})


def publish_to_both(
    sdk: smn.SmnClient, given: tuple[str, tuple[str, str], str], write: Callable[[str], str]
) -> str:
    """One message to a new endpoint, one to a topic that it subscribes to; its URN.

    ``given`` are platform, credentials and token; ``write`` puts a text as the platform wants.
    """
    platform, (principal, credential), token = given
    secrets = {"platform_principal": principal, "platform_credential": credential}
    body = smn.CreateApplicationRequestBody(name="shop", platform=platform, **secrets)
    made = sdk.create_application(smn.CreateApplicationRequest(body=body))
    endpoint = str(register(sdk, made.application_urn, token).endpoint_urn)
    text = smn.PublishAppMessageRequestBody(message=write("direct"), time_to_live="60")
    sdk.publish_app_message(smn.PublishAppMessageRequest(endpoint_urn=endpoint, body=text))
    topic = sdk.create_topic(
        smn.CreateTopicRequest(body=smn.CreateTopicRequestBody(name="orders"))
    ).topic_urn
    wish = smn.AddSubscriptionRequestBody(protocol="application", endpoint=endpoint)
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic, body=wish))
    others = dict.fromkeys({"HMS", "APNS"} - {platform}, "x")
    structure = json.dumps({"default": "d", platform: write("topic"), **others})
    sdk.publish_message(
        smn.PublishMessageRequest(
            topic_urn=topic, body=smn.PublishMessageRequestBody(message_structure=structure)
        )
    )
    return endpoint


def attributes(sdk: smn.SmnClient, endpoint: str) -> Any:
    """What an endpoint is like."""
    return sdk.list_application_endpoint_attributes(
        smn.ListApplicationEndpointAttributesRequest(endpoint_urn=endpoint)
    ).attributes


def switch_off(sdk: smn.SmnClient, endpoint: str) -> None:
    """Nothing is to be sent to the endpoint any more."""
    body = smn.UpdateApplicationEndpointRequestBody(enabled="false")
    sdk.update_application_endpoint(
        smn.UpdateApplicationEndpointRequest(endpoint_urn=endpoint, body=body)
    )
