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
    health,
    identity,
    identity_lists,
    kms,
    messages,
    public,
    reference,
    sms,
    subscriptions,
    templates,
    topics,
    versions,
)

ROUTES: Final = (
    *versions.ROUTES,
    *topics.ROUTES,
    *attributes.ROUTES,
    *subscriptions.ROUTES,
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
    *health.ROUTES,
    *reference.ROUTES,
)
