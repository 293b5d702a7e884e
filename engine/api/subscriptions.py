"""Subscriptions, as their topic's owner sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, Field

from engine.api.answers import Reply
from engine.api.bodies import Body, Code, Line, Query, Requested, Short, Shown, Text
from engine.api.paging import Paged, listed
from engine.api.routes import PROJECT, TOPIC, Route, Trace
from engine.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.models import Listing, Subscription

_MAX_REMARK_BYTES: Final = 128
_SUBSCRIPTIONS: Final = f"{TOPIC}/subscriptions"


def _remark_part(text: str) -> str:
    if len(text.encode()) > _MAX_REMARK_BYTES:
        raise ValueError(f"has at most {_MAX_REMARK_BYTES} bytes")
    return text.lower()


class Extension(Body):
    """What a subscription carries beside its endpoint (SMN "Adding a Subscription")."""

    header: dict[Short, Short] | None = None
    client_id: Short | None = None
    client_secret: Short | None = None
    keyword: Short | None = None
    sign_secret: Short | None = None
    app_key: Short | None = None
    app_secret: Short | None = None
    robot_code: Short | None = None
    verification_code_enabled: bool | None = None


class AddSubscription(Body):
    """A subscription to make; the same one is found and invited again."""

    malformed = "SMN.0043"

    protocol: Annotated[Line, Code("SMN.0011")] = ""
    endpoint: Annotated[Annotated[Line, Field(max_length=2048)], Code("SMN.0012")] = ""
    remark: Annotated[Text | None, Code("SMN.0017")] = None
    extension: Annotated[Extension | None, Code("SMN.0043")] = None
    subscriptions: Annotated[list[Any] | None, Code("SMN.0043")] = None


class ByRemark(Query):
    """A part of the remark, whatever its case."""

    fuzzy_remark: Annotated[
        Annotated[str, AfterValidator(_remark_part)] | None, Code("SMN.0017")
    ] = None


class ListByTopic(Paged, ByRemark):
    """Filters of a topic's list."""


class ListSubscriptions(Paged, ByRemark):
    """Filters, which all combine; ``endpoint`` is a part. Nothing listed has status 2 or 4."""

    protocol: str | None = None
    status: Annotated[Literal["0", "1", "2", "3", "4"] | None, Code("SMN.0077")] = None
    endpoint: str | None = None


class SubscriptionMade(Requested):
    """Which subscription it is."""

    subscription_urn: str


class Flags(Shown):
    """All that is shown of an extension."""

    verification_code_enabled: bool


class SubscriptionItem(Shown):
    """A subscription in a list; ``owner`` is the project of its topic."""

    topic_urn: str
    protocol: str
    subscription_urn: str
    owner: str
    endpoint: str
    remark: str
    status: int
    filter_polices: list[Any]
    extension: Flags


class SubscriptionList(Requested):
    """Subscriptions, oldest first, and the number of all that match."""

    subscription_count: int
    subscriptions: list[SubscriptionItem]


async def add(call: Call) -> Reply:
    """201 for a new subscription, 200 for the same one, which is invited again."""
    body = cast("AddSubscription", call.body)
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
    asked = cast("ListSubscriptions", call.asked)

    async def source(offset: int, limit: int) -> Listing[Subscription]:
        return await subscriptions.list(project, offset=offset, limit=limit)

    return _answer(call, await listed(source, asked, _filter(asked)))


async def list_by_topic(call: Call) -> dict[str, Any]:
    """All of a topic, oldest first."""
    subscriptions, urn = call.services.engine.subscriptions, call.path["topic_urn"]
    asked = cast("ListByTopic", call.asked)
    part = asked.fuzzy_remark

    async def source(offset: int, limit: int) -> Listing[Subscription]:
        return await subscriptions.list_by_topic(urn, offset=offset, limit=limit)

    wanted = None if part is None else lambda one: part in one.remark.lower()
    return _answer(call, await listed(source, asked, wanted))


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


def _filter(asked: ListSubscriptions) -> Callable[[Subscription], bool] | None:
    protocol, status, endpoint = asked.protocol, asked.status, asked.endpoint
    part = asked.fuzzy_remark
    if part is None and protocol is None and status is None and endpoint is None:
        return None

    def wanted(subscription: Subscription) -> bool:
        return (
            (protocol is None or subscription.protocol == protocol)
            and (status is None or str(int(subscription.status)) == status)
            and (endpoint is None or endpoint in subscription.endpoint)
            and (part is None or part in subscription.remark.lower())
        )

    return wanted


ROUTES: Final = (
    Route(
        "AddSubscription",
        "POST",
        _SUBSCRIPTIONS,
        add,
        body=AddSubscription,
        answer=SubscriptionMade,
        errors=("SMN.0006", "SMN.0007", "SMN.0069", "APIGW.0201"),
        action="smn:topic:update",
        topic_action="SMN:Subscribe",
        trace=Trace("subscribe", "subscription"),
        success=201,
        also=(200,),
    ),
    Route(
        "ListSubscriptionsByTopic",
        "GET",
        _SUBSCRIPTIONS,
        list_by_topic,
        query=ListByTopic,
        answer=SubscriptionList,
        errors=("SMN.0006",),
        action="smn:topic:list",
        topic_action="SMN:ListSubscriptionsByTopic",
        trace=Trace("listSubscriptionsByTopic", "subscription"),
    ),
    Route(
        "DeleteSubscriptionsByTopic",
        "DELETE",
        f"{_SUBSCRIPTIONS}/{{subscription_urn}}",
        delete,
        answer=Requested,
        errors=("SMN.0013",),
        action="smn:topic:update",
        topic_action="SMN:Unsubscribe",
        trace=Trace("delsubscribe", "subscription"),
    ),
    Route(
        "ListSubscriptions",
        "GET",
        f"{PROJECT}/subscriptions",
        list_all,
        query=ListSubscriptions,
        answer=SubscriptionList,
        action="smn:topic:list",
        trace=Trace("listSubscriptions", "subscription"),
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
