"""What is bound to a topic: tags, log streams, a key, a polling policy."""

from typing import Any, Final

from tests.contract.api_cases._case import Case
from tests.contract.api_cases.topics import NO_URN, OTHERS, named

_NO_RESOURCE: Final = {"resource_id": "{missing}"}
_NO_TYPE: Final = {"resource_type": "smn_pigeon"}
_BY_NAME: Final = {"X-SMN-RESOURCEID-TYPE": "name"}


def _tag(key: Any = "DEV", value: Any = "DEV1") -> dict[str, Any]:
    return {"key": key, "value": value}


def _change(action: str, *tags: dict[str, Any]) -> dict[str, Any]:
    return {"action": action, "tags": list(tags or (_tag(),))}


def _resource(operation: str, body: Any = None, **path: str) -> tuple[Case, ...]:
    """What every operation on a resource's tags answers for a bad one."""
    return (
        Case(operation, 404, "SMN.0006", body, path=_NO_RESOURCE | path),
        Case(operation, 400, "SMN.0043", body, path=_NO_TYPE | path, given=("resource_id",)),
    )


_TAGS: Final = (
    Case("CreateResourceTag", 204, body={"tag": _tag()}),
    Case(
        "CreateResourceTag",
        204,
        body={"tag": _tag()},
        path={"resource_id": "{topic_name}"},
        headers=_BY_NAME,
        given=("topic_urn",),
    ),
    Case("CreateResourceTag", 400, "SMN.0038", {"tag": _tag(key="a" * 129)}),
    Case("CreateResourceTag", 400, "SMN.0038", {"tag": _tag(value="a" * 257)}),
    *_resource("CreateResourceTag", {"tag": _tag()}),
    Case("BatchCreateOrDeleteResourceTags", 204, body=_change("create")),
    Case("BatchCreateOrDeleteResourceTags", 204, body=_change("delete", {"key": "gone"})),
    Case("BatchCreateOrDeleteResourceTags", 400, "SMN.0073", _change("Create")),
    Case("BatchCreateOrDeleteResourceTags", 400, "SMN.0038", _change("create", _tag(), _tag())),
    Case("BatchCreateOrDeleteResourceTags", 400, "SMN.0038", _change("delete", _tag(key=""))),
    *_resource("BatchCreateOrDeleteResourceTags", _change("create")),
    Case("DeleteResourceTag", 204, path={"key": "stage"}, given=("tagged",)),
    Case("DeleteResourceTag", 404, "SMN.0013", path={"key": "gone"}),
    *_resource("DeleteResourceTag", key="DEV"),
    Case("ListResourceTags", 200, given=("tagged",)),
    *_resource("ListResourceTags"),
    Case("ListProjectTags", 200, given=("tagged",)),
    Case("ListProjectTags", 400, "SMN.0043", path=_NO_TYPE),
    Case("ListResourceInstances", 200, body={"action": "filter"}, given=("tagged",)),
    Case(
        "ListResourceInstances",
        200,
        body={
            "action": "count",
            "tags": [{"key": "stage", "values": []}],
            "matches": [{"key": "resource_name", "value": "{topic_name}"}],
        },
        given=("tagged",),
    ),
    Case("ListResourceInstances", 400, "SMN.0073", {"action": "Filter"}),
    Case("ListResourceInstances", 400, "SMN.0015", {"action": "filter", "limit": "1001"}),
    Case("ListResourceInstances", 400, "SMN.0043", {"action": "filter"}, path=_NO_TYPE),
)

_STREAM: Final = {"log_group_id": "{missing}", "log_stream_id": "{missing}"}


def _logged(operation: str, body: Any = None, **path: str) -> tuple[Case, ...]:
    """Log streams have their own code for an unknown topic."""
    gone = {"topic_urn": "urn:smn:region01:{project_id}:gone"}
    return (
        Case(operation, 400, "SMN.00010008", body, path=gone | path),
        Case(operation, 400, "SMN.0005", body, path=NO_URN | path),
        Case(operation, 403, "SMN.0001", body, path=OTHERS | path),
    )


_LOGTANKS: Final = (
    Case("CreateLogtank", 201, body=_STREAM),
    Case("CreateLogtank", 400, "APIGW.0201", {}),
    *_logged("CreateLogtank", _STREAM),
    Case("ListLogtank", 200, given=("logtank_id",)),
    *_logged("ListLogtank"),
    Case("UpdateLogtank", 200, body=_STREAM),
    *_logged("UpdateLogtank", _STREAM, logtank_id="{missing}"),
    Case("DeleteLogtank", 200),
    *_logged("DeleteLogtank", logtank_id="{missing}"),
)

_KEY: Final = {"key_id": "{key_id}"}
_KMS_ID: Final = {"id": "{kms_id}"}

_KMS: Final = (
    Case("CreateKmsKey", 201, body=_KEY),
    Case("CreateKmsKey", 400, "APIGW.0201", _KEY, given=("kms_id",)),
    Case("CreateKmsKey", 400, "APIGW.0201", {"key_id": "nonsense"}),
    *named("CreateKmsKey", _KEY),
    Case("ShowKmsKey", 200, given=("kms_id",)),
    Case("ShowKmsKey", 404, "SMN.0045"),
    *named("ShowKmsKey"),
    Case("UpdateKmsKey", 200, body=_KEY, path=_KMS_ID),
    Case("UpdateKmsKey", 404, "SMN.0045", _KEY, path={"id": "{missing}"}),
    *named("UpdateKmsKey", _KEY, id="{missing}"),
    Case("DeleteKmsKey", 200, path=_KMS_ID),
    Case("DeleteKmsKey", 404, "SMN.0045", path={"id": "{missing}"}),
    *named("DeleteKmsKey", id="{missing}"),
)


def _polling(*orders: int, urn: str = "{phone_urn}", **fields: Any) -> dict[str, Any]:
    steps = [{"order": order, "subscription_urns": [urn]} for order in orders or (1,)]
    return {"protocol": "callnotify", "polling": steps} | fields


_POLICIES: Final = (
    Case("CreateNotifyPolicy", 201, body=_polling()),
    Case("CreateNotifyPolicy", 400, "SMN.0011", _polling(protocol="sms")),
    Case("CreateNotifyPolicy", 400, "SMN.0043", _polling(polling=[])),
    Case("CreateNotifyPolicy", 400, "SMN.0043", _polling(1, 1)),
    Case("CreateNotifyPolicy", 400, "SMN.0043", _polling(urn="{subscription_urn}")),
    *named("CreateNotifyPolicy", _polling()),
    Case("ShowNotifyPolicy", 200, given=("notify_policy_id",)),
    Case("ShowNotifyPolicy", 200),
    Case("ShowNotifyPolicy", 400, "SMN.0005", path=NO_URN),
    Case("UpdateNotifyPolicy", 200, body=_polling(1)),
    Case("UpdateNotifyPolicy", 400, "SMN.0043", _polling(polling=[])),
    *named("UpdateNotifyPolicy", _polling(), notify_policy_id="{missing}"),
    Case("DeleteNotifyPolicy", 200),
    *named("DeleteNotifyPolicy", notify_policy_id="{missing}"),
)

CASES: Final = _TAGS + _LOGTANKS + _KMS + _POLICIES
