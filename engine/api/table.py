"""All operations. A new one is a row, a handler and its models in the module of its resource.

Names, methods, paths and statuses are those of the SMN API v2 and of Keystone v3.
"""

from __future__ import annotations

from typing import Final

from engine.api import (
    applications,
    attributes,
    detection,
    devices,
    filter_policies,
    health,
    identity,
    identity_lists,
    kms,
    log_queries,
    logtanks,
    messages,
    metrics,
    notify_policies,
    offered,
    public,
    reference,
    sms,
    statistics,
    subscription_changes,
    subscription_users,
    subscriptions,
    tags,
    templates,
    topics,
    traces,
    versions,
)

ROUTES: Final = (
    *versions.ROUTES,
    *topics.ROUTES,
    *attributes.ROUTES,
    *tags.ROUTES,
    *logtanks.ROUTES,
    *offered.ROUTES,
    *subscriptions.ROUTES,
    *subscription_changes.ROUTES,
    *filter_policies.ROUTES,
    *subscription_users.ROUTES,
    *notify_policies.ROUTES,
    *kms.ROUTES,
    *messages.ROUTES,
    *detection.ROUTES,
    *templates.ROUTES,
    *applications.ROUTES,
    *devices.ROUTES,
    *sms.ROUTES,
    *public.ROUTES,
    *identity.ROUTES,
    *identity_lists.ROUTES,
    *traces.ROUTES,
    *metrics.ROUTES,
    *log_queries.ROUTES,
    *statistics.ROUTES,
    *health.ROUTES,
    *reference.ROUTES,
)
