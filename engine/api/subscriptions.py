"""Subscriptions, as their topic's owner sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, Field

from engine.api.answers import Reply
from engine.api.authorise import visible
from engine.api.bodies import Body, Code, Line, Query, Requested, Short, Shown, Text
from engine.api.paging import Paged
from engine.api.routes import PROJECT, TOPIC, Route, Trace
from engine.control.subscriptions import Request
from engine.errors import Refused
from engine.policy.conditions import ENDPOINT, PROTOCOL, Facts
from engine.policy.subscription_query import SubscriptionQuery
from engine.urns import parse_subscription

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.control.subscriptions import Added
    from engine.models import Listing, Subscription

_MAX_REMARK_BYTES: Final = 128
_BATCH: Final = 50
"""Subscriptions in one call (SMN "Adding a Subscription")."""
SUBSCRIPTIONS: Final = f"{TOPIC}/subscriptions"


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


class Asked(Body):
    """One subscription to make; the same one is found and invited again."""

    malformed = "SMN.0043"

    protocol: Annotated[Line, Code("SMN.0011")] = ""
    endpoint: Annotated[Annotated[Line, Field(max_length=2048)], Code("SMN.0012")] = ""
    remark: Annotated[Text | None, Code("SMN.0017")] = None
    extension: Annotated[Extension | None, Code("SMN.0043")] = None


class AddSubscription(Asked):
    """One, or several: what stands outside the list is the first, unless it is empty."""

    subscriptions: Annotated[
        Annotated[list[Asked], Field(max_length=_BATCH)] | None, Code("SMN.0043")
    ] = None


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


class ItemMade(Shown):
    """What became of one of several: a URN, or an error."""

    http_code: int
    request_id: str
    subscription_urn: str | None = None
    error_code: str | None = None
    error_msg: str | None = None


class SubscriptionMade(Requested):
    """Which subscription it is; of several the first that was made or found."""

    subscription_urn: str | None = None
    subscriptions_result: list[ItemMade] | None = None


class Flags(Shown):
    """All that is shown of an extension."""

    verification_code_enabled: bool


class FilterPolicyItem(Shown):
    """The values of one message attribute that are wanted."""

    name: str
    string_equals: list[str]


class SubscriptionItem(Shown):
    """A subscription in a list; ``owner`` is the project of its topic."""

    topic_urn: str
    protocol: str
    subscription_urn: str
    owner: str
    endpoint: str
    remark: str
    status: int
    filter_polices: list[FilterPolicyItem]
    extension: Flags


class SubscriptionList(Requested):
    """Subscriptions, oldest first, and the number of all that match."""

    subscription_count: int
    subscriptions: list[SubscriptionItem]


async def add(call: Call) -> Reply:
    """201 for a new subscription, 200 for the same one, which is invited again."""
    body = cast("AddSubscription", call.body)
    if body.subscriptions:
        return await _add_batch(call, body)
    one = _request(body)
    subscription, new = await call.services.engine.subscriptions.add(
        call.path["topic_urn"],
        one.protocol,
        one.endpoint,
        remark=one.remark,
        extension=one.extension,
    )
    answer = {"request_id": call.request_id, "subscription_urn": subscription.urn}
    return Reply(answer, 201 if new else 200)


async def _add_batch(call: Call, body: AddSubscription) -> Reply:
    """Each has a result of its own; 201 if any of them is new."""
    asked = _all_asked(body)
    if len(asked) > _BATCH:
        raise Refused("SMN.0043", f"One call adds at most {_BATCH} subscriptions.")
    results = await call.services.engine.subscriptions.add_batch(
        call.path["topic_urn"], [_request(one) for one in asked]
    )
    items = [added_item(call.request_id, result) for result in results]
    urns = [item["subscription_urn"] for item in items if "subscription_urn" in item]
    answer = {
        "request_id": call.request_id,
        "subscription_urn": urns[0] if urns else None,
        "subscriptions_result": items,
    }
    return Reply(answer, 201 if any(item["http_code"] == 201 for item in items) else 200)


def _all_asked(body: AddSubscription) -> list[Asked]:
    others = body.subscriptions or []
    return [body, *others] if body.protocol or body.endpoint or not others else [*others]


async def _facts(call: Call) -> list[Facts]:
    asked = _all_asked(cast("AddSubscription", call.body))
    return [facts_of_endpoint(one.protocol, one.endpoint) for one in asked]


def facts_of_endpoint(protocol: str, endpoint: str) -> Facts:
    """What a new subscription is for conditions."""
    return {PROTOCOL: (protocol,), ENDPOINT: (endpoint,)}


def added_item(request_id: str, result: Added | Refused) -> dict[str, Any]:
    """What became of one of several."""
    if isinstance(result, Refused):
        return {
            "http_code": result.status,
            "request_id": request_id,
            "error_code": result.code,
            "error_msg": result.message,
        }
    subscription, new = result
    return {
        "http_code": 201 if new else 200,
        "request_id": request_id,
        "subscription_urn": subscription.urn,
    }


async def list_all(call: Call) -> dict[str, Any]:
    """All of the project, oldest first."""
    asked = cast("ListSubscriptions", call.asked)
    found = await call.services.engine.subscriptions.list(
        call.identity.project_id,
        query=_query(asked, await _seen(call)),
        offset=asked.offset,
        limit=asked.limit,
        marker=asked.marker,
    )
    return _answer(call, found)


async def _seen(call: Call) -> set[str] | None:
    """Ids of the topics whose subscriptions the caller may see; None for all."""
    seen = await visible(call)
    if seen is None:
        return None
    topics = await call.services.engine.topics.all(call.identity.project_id)
    return {topic.id for topic in topics if seen(topic)}


async def list_by_topic(call: Call) -> dict[str, Any]:
    """All of a topic, oldest first."""
    asked = cast("ListByTopic", call.asked)
    part = asked.fuzzy_remark
    found = await call.services.engine.subscriptions.list_by_topic(
        call.path["topic_urn"],
        query=None if part is None else SubscriptionQuery(remark=part),
        offset=asked.offset,
        limit=asked.limit,
        marker=asked.marker,
    )
    return _answer(call, found)


def _request(asked: Asked) -> Request:
    extension = asked.extension.model_dump(exclude_none=True) if asked.extension else {}
    return Request(asked.protocol, asked.endpoint, asked.remark or "", extension)


def _answer(call: Call, found: Listing[Subscription]) -> dict[str, Any]:
    return {
        "request_id": call.request_id,
        "subscription_count": found.total,
        "subscriptions": [_item(subscription) for subscription in found.items],
    }


def _item(subscription: Subscription) -> dict[str, Any]:
    coded = subscription.extension.get("verification_code_enabled", False)
    return {
        "topic_urn": subscription.topic_urn,
        "protocol": subscription.protocol,
        "subscription_urn": subscription.urn,
        "owner": parse_subscription(subscription.urn).topic.project_id,
        "endpoint": subscription.endpoint,
        "remark": subscription.remark,
        "status": int(subscription.status),
        "filter_polices": [
            {"name": policy.name, "string_equals": list(policy.string_equals)}
            for policy in subscription.filters
        ],
        "extension": {"verification_code_enabled": bool(coded)},
    }


def _query(asked: ListSubscriptions, topics: set[str] | None) -> SubscriptionQuery | None:
    query = SubscriptionQuery(
        protocol=asked.protocol,
        status=None if asked.status is None else int(asked.status),
        endpoint=asked.endpoint,
        remark=asked.fuzzy_remark,
        topics=topics,
    )
    return None if query == SubscriptionQuery() else query


ROUTES: Final = (
    Route(
        "AddSubscription",
        "POST",
        SUBSCRIPTIONS,
        add,
        body=AddSubscription,
        answer=SubscriptionMade,
        errors=("SMN.0006", "SMN.0007", "SMN.0069", "APIGW.0201"),
        action="smn:topic:update",
        topic_action="SMN:Subscribe",
        facts=_facts,
        trace=Trace("subscribe", "subscription"),
        success=201,
        also=(200,),
    ),
    Route(
        "ListSubscriptionsByTopic",
        "GET",
        SUBSCRIPTIONS,
        list_by_topic,
        query=ListByTopic,
        answer=SubscriptionList,
        errors=("SMN.0006",),
        action="smn:topic:list",
        topic_action="SMN:ListSubscriptionsByTopic",
        trace=Trace("listSubscriptionsByTopic", "subscription"),
    ),
    Route(
        "ListSubscriptions",
        "GET",
        f"{PROJECT}/subscriptions",
        list_all,
        query=ListSubscriptions,
        answer=SubscriptionList,
        action="smn:topic:list",
        searches=True,
        trace=Trace("listSubscriptions", "subscription"),
    ),
)
