"""All operations. A new one is a row, a handler and its models in the module of its resource.

Names, methods, paths and statuses are those of the SMN API v2 and of Keystone v3.
"""

from __future__ import annotations

from typing import Final

from engine.api import (
    attributes,
    health,
    identity,
    log_queries,
    logtanks,
    messages,
    metrics,
    offered,
    public,
    statistics,
    subscriptions,
    tags,
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
    *messages.ROUTES,
    *public.ROUTES,
    *identity.ROUTES,
    *traces.ROUTES,
    *metrics.ROUTES,
    *log_queries.ROUTES,
    *statistics.ROUTES,
    *health.ROUTES,
)
