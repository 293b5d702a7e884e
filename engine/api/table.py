"""All operations, one row each. A new one is a row, a handler and perhaps a body model.

Names, methods, paths and statuses are those of the SMN API v2 and of Keystone v3.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from engine.api import (
    bodies,
    health,
    identity,
    messages,
    public,
    subscriptions,
    topics,
    versions,
)
from engine.api.answers import Shape
from engine.api.routes import Auth, Handler, Route

_PROJECT: Final = "/v2/{project_id}/notifications"
_TOPICS: Final = f"{_PROJECT}/topics"
_TOPIC: Final = f"{_TOPICS}/{{topic_urn}}"
_SUBSCRIPTIONS: Final = f"{_TOPIC}/subscriptions"

_identity = partial(Route, shape=Shape.KEYSTONE)


def _link(operation: str, path: str, handler: Handler, shape: Shape = Shape.MESSAGE) -> Route:
    return Route(operation, "GET", path, handler, auth=Auth.NONE, shape=shape, changes=True)


ROUTES: Final = (
    # Versions
    Route("ListVersions", "GET", "/", versions.list_versions, auth=Auth.NONE),
    Route("ListVersion", "GET", "/v2", versions.list_version, auth=Auth.NONE),
    Route("ListVersion", "GET", "/v2/", versions.list_version, auth=Auth.NONE),
    # Topics
    Route("CreateTopic", "POST", _TOPICS, topics.create, body=bodies.CreateTopic, success=201),
    Route("ListTopics", "GET", _TOPICS, topics.list_all),
    Route("ListTopicDetails", "GET", _TOPIC, topics.details),
    Route("UpdateTopic", "PUT", _TOPIC, topics.update, body=bodies.UpdateTopic),
    Route("DeleteTopic", "DELETE", _TOPIC, topics.delete),
    Route("PublishMessage", "POST", f"{_TOPIC}/publish", messages.publish, body=bodies.Publish),
    # Subscriptions
    Route(
        "AddSubscription",
        "POST",
        _SUBSCRIPTIONS,
        subscriptions.add,
        body=bodies.AddSubscription,
        success=201,
    ),
    Route("ListSubscriptionsByTopic", "GET", _SUBSCRIPTIONS, subscriptions.list_by_topic),
    Route(
        "DeleteSubscriptionsByTopic",
        "DELETE",
        f"{_SUBSCRIPTIONS}/{{subscription_urn}}",
        subscriptions.delete,
    ),
    Route("ListSubscriptions", "GET", f"{_PROJECT}/subscriptions", subscriptions.list_all),
    Route(
        "CancelSubscription",
        "DELETE",
        f"{_PROJECT}/subscriptions/{{subscription_urn}}",
        subscriptions.delete,
    ),
    # Links in messages: a GET changes something
    _link("SubscribeTopic", "/v2/notifications/subscriptions/subscribe", public.confirm),
    _link("ConfirmSubscription", "/rest/v2/notifications/subscription/confirm", public.confirm),
    _link("UnsubscribeTopic", "/v2/notifications/subscriptions/unsubscribe", public.unsubscribe),
    _link(
        "UnsubscribeSubscription",
        "/rest/v2/notifications/subscription/unsubscribe",
        public.unsubscribe,
    ),
    _link("ConfirmPage", "/smn/subscription/confirm", public.confirm_page, Shape.PAGE),
    _link("UnsubscribePage", "/smn/subscription/unsubscribe", public.unsubscribe_page, Shape.PAGE),
    # Certificates
    Route("DownloadHttpCert", "GET", "/smn/{certificate_id}", public.certificate, auth=Auth.NONE),
    Route(
        "DownloadHttpSignCert",
        "GET",
        "/v2/notifications/certifications/download/{certificate_id}",
        public.certificate,
        auth=Auth.NONE,
    ),
    # Identity
    _identity("ShowIdentityVersion", "GET", "/v3", versions.identity_version, auth=Auth.NONE),
    _identity("ShowIdentityVersion", "GET", "/v3/", versions.identity_version, auth=Auth.NONE),
    _identity(
        "CreateToken",
        "POST",
        "/v3/auth/tokens",
        identity.create_token,
        body=identity.CreateToken,
        auth=Auth.NONE,
        success=201,
    ),
    _identity("ShowToken", "GET", "/v3/auth/tokens", identity.show_token),
    _identity("RevokeToken", "DELETE", "/v3/auth/tokens", identity.revoke_token, success=204),
    _identity("ShowCatalog", "GET", "/v3/auth/catalog", identity.show_catalog),
    _identity("ListProjects", "GET", "/v3/projects", identity.list_projects),
    _identity("ListAuthProjects", "GET", "/v3/auth/projects", identity.list_projects),
    _identity("ListAuthDomains", "GET", "/v3/auth/domains", identity.list_domains),
    # Health
    Route("CheckAlive", "GET", "/healthz", health.alive, auth=Auth.NONE, quiet=True),
    Route("CheckReady", "GET", "/readyz", health.ready, auth=Auth.NONE, quiet=True),
)
