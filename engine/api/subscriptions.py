"""Subscriptions, as their topic's owner sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.api import bodies
from engine.api.answers import Reply
from engine.api.paging import listed, window
from engine.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Listing, Subscription

# What lists may be filtered by; 2 and 4 match nothing, since neither is ever listed.
_STATUSES = frozenset("01234")
_MAX_REMARK_BYTES = 128


async def add(call: Call) -> Reply:
    """201 for a new subscription, 200 for the same one, which is invited again."""
    body = cast("bodies.AddSubscription", call.body)
    if body.subscriptions:
        raise Refused("SMN.0043", "Batches are not supported yet: add one at a time.")
    extension = body.extension.model_dump(exclude_none=True) if body.extension else {}
    subscription, new = await call.services.engine.subscriptions.add(
        call.path["topic_urn"],
        body.protocol,
        body.endpoint,
        remark=body.remark or "",
        extension=extension,
    )
    answer = {"request_id": call.request_id, "subscription_urn": subscription.urn}
    return Reply(answer, 201 if new else 200)


async def list_all(call: Call) -> dict[str, Any]:
    """All of the project, oldest first."""
    subscriptions, project = call.services.engine.subscriptions, call.identity.project_id

    async def source(offset: int, limit: int) -> Listing[Subscription]:
        return await subscriptions.list(project, offset=offset, limit=limit)

    return _answer(call, await listed(source, window(call), _filter(call)))


async def list_by_topic(call: Call) -> dict[str, Any]:
    """All of a topic, oldest first."""
    subscriptions, urn = call.services.engine.subscriptions, call.path["topic_urn"]

    async def source(offset: int, limit: int) -> Listing[Subscription]:
        return await subscriptions.list_by_topic(urn, offset=offset, limit=limit)

    return _answer(call, await listed(source, window(call), _remark_filter(call)))


async def delete(call: Call) -> dict[str, Any]:
    """Remove one; under a topic's path it must be that topic's."""
    urn = call.path["subscription_urn"]
    topic_urn = call.path.get("topic_urn")
    if topic_urn is not None and urn.rpartition(":")[0] != topic_urn:
        raise Refused("SMN.0013")
    await call.services.engine.subscriptions.delete(urn)
    return {"request_id": call.request_id}


def _answer(call: Call, found: Listing[Subscription]) -> dict[str, Any]:
    owner = call.identity.project_id
    return {
        "request_id": call.request_id,
        "subscription_count": found.total,
        "subscriptions": [_item(subscription, owner) for subscription in found.items],
    }


def _item(subscription: Subscription, owner: str) -> dict[str, Any]:
    coded = subscription.extension.get("verification_code_enabled", False)
    return {
        "topic_urn": subscription.topic_urn,
        "protocol": subscription.protocol,
        "subscription_urn": subscription.urn,
        "owner": owner,
        "endpoint": subscription.endpoint,
        "remark": subscription.remark,
        "status": int(subscription.status),
        "filter_polices": [],
        "extension": {"verification_code_enabled": bool(coded)},
    }


def _remark_filter(call: Call) -> Callable[[Subscription], bool] | None:
    remark = call.parameter("fuzzy_remark")
    if remark is None:
        return None
    if len(remark.encode()) > _MAX_REMARK_BYTES:
        raise Refused("SMN.0017", f"fuzzy_remark has at most {_MAX_REMARK_BYTES} bytes.")
    part = remark.lower()
    return lambda subscription: part in subscription.remark.lower()


def _filter(call: Call) -> Callable[[Subscription], bool] | None:
    by_remark = _remark_filter(call)
    protocol, status = call.parameter("protocol"), call.parameter("status")
    endpoint = call.parameter("endpoint")
    if status is not None and status not in _STATUSES:
        raise Refused("SMN.0077", "It is 0, 1, 2, 3 or 4.")
    if by_remark is None and protocol is None and status is None and endpoint is None:
        return None

    def wanted(subscription: Subscription) -> bool:
        return (
            (protocol is None or subscription.protocol == protocol)
            and (status is None or str(int(subscription.status)) == status)
            and (endpoint is None or endpoint in subscription.endpoint)
            and (by_remark is None or by_remark(subscription))
        )

    return wanted
