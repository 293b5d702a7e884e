"""All operations. A new one is a row, a handler and its models in the module of its resource.

Names, methods, paths and statuses are those of the SMN API v2 and of Keystone v3.
"""

from __future__ import annotations

from typing import Final

from engine.api import (
    filter_policies,
    health,
    identity,
    messages,
    notify_policies,
    public,
    subscription_changes,
    subscription_users,
    subscriptions,
    topics,
    versions,
)

ROUTES: Final = (
    *versions.ROUTES,
    *topics.ROUTES,
    *subscriptions.ROUTES,
    *subscription_changes.ROUTES,
    *filter_policies.ROUTES,
    *subscription_users.ROUTES,
    *notify_policies.ROUTES,
    *messages.ROUTES,
    *public.ROUTES,
    *identity.ROUTES,
    *health.ROUTES,
)
