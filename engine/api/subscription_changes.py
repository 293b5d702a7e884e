"""Changing and removing subscriptions, one or many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.authorise import enter
from engine.api.bodies import Body, Code, Requested, Short, Shown, Text
from engine.api.routes import PROJECT, Route, Trace
from engine.api.subscriptions import SUBSCRIPTIONS
from engine.errors import Refused
from engine.urns import parse_subscription

if TYPE_CHECKING:
    from engine.api.call import Call

_DELETIONS: Final = 100
"""Subscriptions in one call; the contract publishes no number."""


class UpdateSubscription(Body):
    """What changes: ``""`` clears the remark, a code confirms. Neither: nothing changes."""

    malformed = "SMN.0043"

    remark: Annotated[Text | None, Code("SMN.0017")] = None
    verification_code: Annotated[Short | None, Code("SMN.0022")] = None


class Named(Body):
    """A subscription by its URN."""

    subscription_urn: str


class BatchDelete(Body):
    """Subscriptions to remove."""

    malformed = "SMN.0043"

    subscription_urns: Annotated[
        Annotated[list[Named], Field(min_length=1, max_length=_DELETIONS)], Code("SMN.0043")
    ]


class SubscriptionUpdated(Requested):
    """Which subscription it is."""

    subscription_urn: str


class ItemDeleted(Shown):
    """What became of one of several."""

    http_code: int
    request_id: str
    code: str | None = None
    message: str | None = None


class BatchDeleted(Shown):
    """What became of each, in the order of the request."""

    subscriptions_result: list[ItemDeleted]


async def update(call: Call) -> dict[str, Any]:
    """Change the remark, or confirm by a code."""
    body = cast("UpdateSubscription", call.body)
    urn = _of_topic(call, call.path["subscription_urn"])
    await call.services.engine.subscriptions.update(
        urn, remark=body.remark, verification_code=body.verification_code
    )
    return {"request_id": call.request_id, "subscription_urn": urn}


async def delete(call: Call) -> dict[str, Any]:
    """Remove one; under a topic's path it must be that topic's."""
    urn = _of_topic(call, call.path["subscription_urn"])
    await call.services.engine.subscriptions.delete(urn)
    return {"request_id": call.request_id}


async def delete_batch(call: Call) -> dict[str, Any]:
    """Remove several; 200 whatever becomes of each."""
    body = cast("BatchDelete", call.body)
    items = []
    for named in body.subscription_urns:
        item: dict[str, Any] = {"request_id": call.request_id, "http_code": 200}
        try:
            urn = _of_topic(call, named.subscription_urn)
            await check_project(call, urn)
            await call.services.engine.subscriptions.delete(urn)
        except Refused as refused:
            item |= {
                "http_code": refused.status,
                "code": refused.code,
                "message": refused.message,
            }
        items.append(item)
    return {"subscriptions_result": items}


async def check_project(call: Call, urn: str) -> None:
    """Whether a subscription in the body is of the path's project, or its topic lets others in.

    Codes: SMN.0014 malformed, SMN.0001 and SMN.00308 not permitted.
    """
    topic = parse_subscription(urn).topic
    if "topic_urn" not in call.path and topic.project_id != call.path["project_id"]:
        await enter(call, topic)


def _of_topic(call: Call, urn: str) -> str:
    """The URN; code SMN.0013 if the path names another topic, SMN.0014 if it is malformed."""
    topic = str(parse_subscription(urn).topic)
    if call.path.get("topic_urn", topic) != topic:
        raise Refused("SMN.0013")
    return urn


def _named(call: Call) -> list[str]:
    return [one.subscription_urn for one in cast("BatchDelete", call.body).subscription_urns]


ROUTES: Final = (
    Route(
        "UpdateSubscription",
        "PUT",
        f"{SUBSCRIPTIONS}/{{subscription_urn}}",
        update,
        body=UpdateSubscription,
        answer=SubscriptionUpdated,
        errors=("SMN.0013", "APIGW.0308"),
        action="smn:topic:update",
        trace=Trace("updateSubscriberRemark", "subscription"),
    ),
    Route(
        "BatchDeleteSubscriptionsByTopic",
        "DELETE",
        SUBSCRIPTIONS,
        delete_batch,
        body=BatchDelete,
        answer=BatchDeleted,
        action="smn:topic:update",
        topic_action="SMN:Unsubscribe",
        trace=Trace("delsubscribe", "subscription"),
    ),
    Route(
        "DeleteSubscriptionsByTopic",
        "DELETE",
        f"{SUBSCRIPTIONS}/{{subscription_urn}}",
        delete,
        answer=Requested,
        errors=("SMN.0013",),
        action="smn:topic:update",
        topic_action="SMN:Unsubscribe",
        trace=Trace("delsubscribe", "subscription"),
    ),
    Route(
        "BatchDeleteSubscriptions",
        "DELETE",
        f"{PROJECT}/subscriptions",
        delete_batch,
        body=BatchDelete,
        names=_named,
        answer=BatchDeleted,
        action="smn:topic:update",
        topic_action="SMN:Unsubscribe",
        trace=Trace("delsubscribe", "subscription"),
    ),
    Route(
        "CancelSubscription",
        "DELETE",
        f"{PROJECT}/subscriptions/{{subscription_urn}}",
        delete,
        answer=Requested,
        errors=("SMN.0013",),
        action="smn:topic:update",
        topic_action="SMN:Unsubscribe",
        trace=Trace("delsubscribe", "subscription"),
    ),
)
