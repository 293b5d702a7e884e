"""Which action each operation needs, and which actions only read: written by hand.

Source: SMN "Permissions and Supported Actions", and by its example what that leaves out. Who adds
tags may hold ``smn:tag:update`` in place of ``smn:tag:create``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

READING: Final[Mapping[str, tuple[str, ...]]] = {
    "smn:topic:list": (
        "ListTopics",
        "ListTopicDetails",
        "ListTopicAttributes",
        "ListTopicsWithAssociatedResources",
        "ListSubscriptions",
        "ListSubscriptionsByTopic",
        "ListLogtank",
        "ListTopicMessageStatistics",
        "ShowNotifyPolicy",
    ),
    "smn:topic:getKmsKey": ("ShowKmsKey",),
    "smn:template:list": ("ListMessageTemplates", "ListMessageTemplateDetails"),
    "smn:tag:list": ("ListResourceTags", "ListProjectTags", "ListResourceInstances"),
    "smn:subscriptionUser:list": ("ListSubscriptionUser",),
    "smn:application:list": (
        "ListApplications",
        "ListApplicationAttributes",
        "ListApplicationEndpoints",
        "ListApplicationEndpointAttributes",
    ),
    "cts:trace:list": ("ListTraces",),
    "ces:metrics:list": ("ListMetrics",),
    "ces:metricData:list": ("ShowMetricData", "BatchListMetricData"),
    "lts:logs:list": ("ListLogs",),
}
"""Action → operations that Tenant Guest and SMN ReadOnlyAccess are for."""
WRITING: Final[Mapping[str, tuple[str, ...]]] = {
    "smn:topic:create": ("CreateTopic",),
    "smn:topic:update": (
        "UpdateTopic",
        "UpdateTopicAttribute",
        "DeleteTopicAttributes",
        "DeleteTopicAttributeByName",
        "AddSubscription",
        "AddSubscriptionFromSubscriptionUser",
        "UpdateSubscription",
        "CancelSubscription",
        "DeleteSubscriptionsByTopic",
        "BatchDeleteSubscriptions",
        "BatchDeleteSubscriptionsByTopic",
        "BatchCreateSubscriptionsFilterPolices",
        "BatchUpdateSubscriptionsFilterPolices",
        "BatchDeleteSubscriptionsFilterPolices",
        "CreateLogtank",
        "UpdateLogtank",
        "DeleteLogtank",
        "CreateNotifyPolicy",
        "UpdateNotifyPolicy",
        "DeleteNotifyPolicy",
    ),
    "smn:topic:delete": ("DeleteTopic",),
    "smn:topic:publish": ("PublishMessage", "PublishHttpDetect"),
    "smn:topic:createKmsKey": ("CreateKmsKey",),
    "smn:topic:updateKmsKey": ("UpdateKmsKey",),
    "smn:topic:deleteKmsKey": ("DeleteKmsKey",),
    "smn:template:create": ("CreateMessageTemplate",),
    "smn:template:update": ("UpdateMessageTemplate",),
    "smn:template:delete": ("DeleteMessageTemplate",),
    "smn:tag:create": ("CreateResourceTag", "BatchCreateOrDeleteResourceTags"),
    "smn:tag:delete": ("DeleteResourceTag", "BatchCreateOrDeleteResourceTags"),
    "smn:subscriptionUser:create": ("CreateSubscriptionUser",),
    "smn:subscriptionUser:update": ("UpdateSubscriptionUser",),
    "smn:subscriptionUser:delete": ("DeleteSubscriptionUser",),
    "smn:application:create": ("CreateApplication",),
    "smn:application:update": (
        "UpdateApplication",
        "CreateApplicationEndpoint",
        "UpdateApplicationEndpoint",
        "DeleteApplicationEndpoint",
    ),
    "smn:application:delete": ("DeleteApplication",),
    "smn:application:publish": ("PublishAppMessage",),
    "smn:sms:publish": ("SendSms",),
}
"""Action → operations that they are not for."""
FREE: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("ListCloudService", "ListCloudServices", "ListProtocols", "ShowHttpDetectResult"),
}
"""Operations for every caller."""
NEEDED: Final = {**READING, **WRITING, **FREE}
"""All of them."""
