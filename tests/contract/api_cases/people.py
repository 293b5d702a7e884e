"""Applications with their devices, and subscription users."""

from typing import Any, Final

from tests.contract.api_cases._case import Case
from tests.contract.api_cases.topics import named

_NO_APPLICATION: Final = {"application_urn": "urn:smn:region01:{project_id}:application:HMS:gone"}
_NO_DEVICE: Final = {
    "endpoint_urn": "urn:smn:region01:{project_id}:endpoint:HMS:gone:{missing}",
}


def _application(**fields: Any) -> dict[str, Any]:
    return {
        "name": "fresh_{number}",
        "platform": "HMS",
        "platform_principal": "100238467",
        "platform_credential": "c" * 32,
    } | fields


def _about_application(operation: str, body: Any = None) -> tuple[Case, ...]:
    return (
        Case(operation, 404, "SMN.0122", body, path=_NO_APPLICATION),
        Case(operation, 400, "SMN.0123", body, path={"application_urn": "nonsense"}),
    )


def _about_device(operation: str, body: Any = None) -> tuple[Case, ...]:
    return (
        Case(operation, 404, "SMN.0125", body, path=_NO_DEVICE),
        Case(operation, 400, "SMN.0134", body, path={"endpoint_urn": "nonsense"}),
    )


_NEW: Final = {"platform_principal": "100238467", "platform_credential": "d" * 32}
_DEVICE: Final = {"token": "fresh-{number}", "user_data": "mine"}

_PUSH: Final = (
    Case("CreateApplication", 201, body=_application()),
    Case(
        "CreateApplication", 200, body=_application(name="app_{number}"), given=("application_urn",)
    ),
    Case("CreateApplication", 400, "SMN.0115", _application(name="a b")),
    Case("CreateApplication", 403, "SMN.0116", _application(platform="PIGEON")),
    Case(
        "CreateApplication",
        400,
        "SMN.0121",
        _application(name="app_{number}", platform_credential="d" * 32),
        given=("application_urn",),
    ),
    Case("ListApplications", 200, given=("application_urn",)),
    Case("ListApplications", 200, given=("apple_urn",)),
    Case("ListApplications", 400, "SMN.0015", query="limit=0"),
    Case("ListApplicationAttributes", 200),
    Case(
        "ListApplicationAttributes",
        200,
        path={"application_urn": "{apple_urn}"},
        given=("apple_urn",),
    ),
    *_about_application("ListApplicationAttributes"),
    Case("UpdateApplication", 200, body=_NEW),
    *_about_application("UpdateApplication", _NEW),
    Case("DeleteApplication", 200),
    *_about_application("DeleteApplication"),
    Case("CreateApplicationEndpoint", 201, body=_DEVICE),
    Case(
        "CreateApplicationEndpoint",
        200,
        body={"token": "token-{number}", "user_data": "mine"},
        given=("endpoint_urn",),
    ),
    Case("CreateApplicationEndpoint", 403, "SMN.0131", _DEVICE | {"token": ""}),
    Case("CreateApplicationEndpoint", 400, "SMN.0132", _DEVICE | {"user_data": "a" * 2049}),
    *_about_application("CreateApplicationEndpoint", _DEVICE),
    Case("ListApplicationEndpoints", 200, given=("endpoint_urn",)),
    Case("ListApplicationEndpoints", 400, "SMN.0015", query="limit=0"),
    *_about_application("ListApplicationEndpoints"),
    Case("ListApplicationEndpointAttributes", 200),
    *_about_device("ListApplicationEndpointAttributes"),
    Case("UpdateApplicationEndpoint", 200, body={"enabled": "false", "user_data": "new"}),
    Case("UpdateApplicationEndpoint", 400, "SMN.0136", {"enabled": "maybe"}),
    *_about_device("UpdateApplicationEndpoint", {"enabled": "true"}),
    Case("DeleteApplicationEndpoint", 200),
    *_about_device("DeleteApplicationEndpoint"),
    Case("PublishAppMessage", 200, body={"message": "hello"}),
    Case("PublishAppMessage", 403, "SMN.0009", {}),
    *_about_device("PublishAppMessage", {"message": "hello"}),
)


def _user(**fields: Any) -> dict[str, Any]:
    return {
        "name": "fresh-{number}",
        "group": ["ops"],
        "sms": {"endpoint": "13600000000", "verification_code_enabled": False},
        "http": {"endpoint": "http://127.0.0.1:9/{number}", "header": {"x-a": "b"}},
    } | fields


_USER: Final = {"id": "{user_id}"}
_NO_USER: Final = {"id": "{missing}"}

_USERS: Final = (
    Case("CreateSubscriptionUser", 201, body=_user()),
    Case("CreateSubscriptionUser", 400, "SMN.0043", b"{"),
    Case("CreateSubscriptionUser", 400, "SMN.0012", _user(sms={"endpoint": "nobody"})),
    Case("CreateSubscriptionUser", 403, "SMN.0001", _user(), path={"domain_id": "{missing}"}),
    Case("ListSubscriptionUser", 200, given=("full_user", "other_user")),
    Case("ListSubscriptionUser", 200, query="group=ops&offset=9999"),
    Case("ListSubscriptionUser", 400, "SMN.0015", query="limit=0"),
    Case("UpdateSubscriptionUser", 200, body={"name": "other", "group": []}, path=_USER),
    Case("UpdateSubscriptionUser", 404, "SMN.0013", {"name": "other"}, path=_NO_USER),
    Case("DeleteSubscriptionUser", 200, path=_USER),
    Case("DeleteSubscriptionUser", 404, "SMN.0013", path=_NO_USER),
    Case("AddSubscriptionFromSubscriptionUser", 200, body={"ids": ["{user_id}", "{missing}"]}),
    Case("AddSubscriptionFromSubscriptionUser", 400, "SMN.0043", {"ids": []}),
    *named("AddSubscriptionFromSubscriptionUser", {"ids": ["{user_id}"]}),
)

CASES: Final = _PUSH + _USERS
