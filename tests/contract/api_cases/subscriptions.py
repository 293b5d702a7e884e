"""Subscriptions and their filter policies."""

from typing import Any, Final

from tests.contract.api_cases._case import Case
from tests.contract.api_cases.topics import GONE, NO_URN, OTHERS, named

_UNKNOWN: Final = {"subscription_urn": "{topic_urn}:{missing}"}
_NO_URN: Final = {"subscription_urn": "nonsense"}
_OTHERS: Final = {"subscription_urn": "urn:smn:region01:{missing}:demo:{missing}"}


def _about(operation: str, body: Any = None) -> tuple[Case, ...]:
    """What every operation on a subscription answers for a bad one."""
    return (
        Case(operation, 404, "SMN.0013", body, path=_UNKNOWN),
        Case(operation, 400, "SMN.0014", body, path=_NO_URN),
        Case(operation, 403, "SMN.0001", body, path=_OTHERS),
    )


def _add(**fields: Any) -> dict[str, Any]:
    return {"protocol": "http", "endpoint": "http://127.0.0.1:9/{number}"} | fields


def _polices(name: str = "alarm", values: Any = ("os", "process")) -> dict[str, Any]:
    policy = {"name": name, "string_equals": list(values)}
    return {"polices": [{"subscription_urn": "{subscription_urn}", "filter_polices": [policy]}]}


_BY_URN: Final = {"subscription_urns": [{"subscription_urn": "{subscription_urn}"}]}
_PARTLY: Final = {
    "subscription_urns": [
        {"subscription_urn": "{subscription_urn}"},
        {"subscription_urn": "{topic_urn}:{missing}"},
    ]
}
_BATCH: Final = {
    "subscriptions": [_add(remark="one"), {"protocol": "sms", "endpoint": "13600000000"}]
}

CASES: Final = (
    Case("AddSubscription", 201, body=_add(remark="O&M")),
    Case("AddSubscription", 201, body=_add(extension={"header": {"x-a": "b"}})),
    Case("AddSubscription", 201, body=_BATCH),
    Case("AddSubscription", 200, body=_add(), given=("subscription_urn",)),
    Case("AddSubscription", 400, "SMN.0043", b"{"),
    Case("AddSubscription", 400, "SMN.0011", _add(protocol="pigeon")),
    Case("AddSubscription", 400, "SMN.0012", _add(endpoint="ftp://example.com")),
    Case("AddSubscription", 400, "SMN.0017", _add(remark="a" * 129)),
    Case("AddSubscription", 400, "SMN.0043", _add(extension={"header": {"x-smn-a": "b"}})),
    Case("AddSubscription", 400, "SMN.0043", {"subscriptions": [_add()] * 51}),
    Case("AddSubscription", 403, "SMN.0069", _add(endpoint="http://10.0.0.1/x")),
    *named("AddSubscription", _add()),
    Case("ListSubscriptions", 200, given=("filtered_urn",)),
    Case("ListSubscriptions", 200, query="offset=9999&protocol=dms"),
    Case("ListSubscriptions", 400, "SMN.0015", query="limit=0"),
    Case("ListSubscriptions", 400, "SMN.0017", query=f"fuzzy_remark={'a' * 129}"),
    Case("ListSubscriptions", 400, "SMN.0077", query="status=5"),
    Case("ListSubscriptionsByTopic", 200, given=("filtered_urn",)),
    Case("ListSubscriptionsByTopic", 400, "SMN.0015", query="limit=0"),
    Case("ListSubscriptionsByTopic", 400, "SMN.0017", query=f"fuzzy_remark={'a' * 129}"),
    *named("ListSubscriptionsByTopic"),
    Case("UpdateSubscription", 200, body={"remark": "new"}),
    Case("UpdateSubscription", 200, body={}),
    Case("UpdateSubscription", 400, "SMN.0017", {"remark": "a" * 129}),
    Case(
        "UpdateSubscription",
        403,
        "SMN.0022",
        {"verification_code": "000000"},
        counted=":limit:",
    ),
    *_about("UpdateSubscription", {"remark": "new"}),
    Case("CancelSubscription", 200),
    *_about("CancelSubscription"),
    Case("DeleteSubscriptionsByTopic", 200),
    *_about("DeleteSubscriptionsByTopic"),
    Case("DeleteSubscriptionsByTopic", 404, "SMN.0013", path=GONE),
    Case("BatchDeleteSubscriptions", 200, body=_BY_URN),
    Case("BatchDeleteSubscriptions", 200, body=_PARTLY),
    Case("BatchDeleteSubscriptions", 400, "SMN.0043", {"subscription_urns": []}),
    Case("BatchDeleteSubscriptions", 400, "SMN.0043", {}),
    Case("BatchDeleteSubscriptionsByTopic", 200, body=_BY_URN),
    Case("BatchDeleteSubscriptionsByTopic", 200, body=_PARTLY),
    Case("BatchDeleteSubscriptionsByTopic", 400, "SMN.0043", {}),
    Case("BatchDeleteSubscriptionsByTopic", 400, "SMN.0005", _BY_URN, path=NO_URN),
    Case("BatchDeleteSubscriptionsByTopic", 403, "SMN.0001", _BY_URN, path=OTHERS),
    # Filter policies
    Case("BatchCreateSubscriptionsFilterPolices", 200, body=_polices()),
    Case("BatchCreateSubscriptionsFilterPolices", 200, body=_polices(), given=("filtered_urn",)),
    Case("BatchCreateSubscriptionsFilterPolices", 400, "SMN.0043", {"polices": []}),
    Case("BatchCreateSubscriptionsFilterPolices", 400, "SMN.0043", _polices("smn_a")),
    Case("BatchCreateSubscriptionsFilterPolices", 400, "SMN.0043", _polices(values=("a", "a"))),
    Case("BatchUpdateSubscriptionsFilterPolices", 200, body=_polices(), given=("filtered_urn",)),
    Case("BatchUpdateSubscriptionsFilterPolices", 400, "SMN.0043", _polices(values=())),
    Case(
        "BatchDeleteSubscriptionsFilterPolices",
        200,
        body={"subscription_urns": ["{subscription_urn}"]},
        given=("filtered_urn",),
    ),
    Case("BatchDeleteSubscriptionsFilterPolices", 400, "SMN.0043", {"subscription_urns": []}),
)
