"""Subscription users of an account, and their import into topics (SMN "Subscription Users")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Query, Requested, Short, Shown
from engine.api.paging import MAX_LIMIT, Number, iso
from engine.api.routes import Route, Trace
from engine.api.subscriptions import (
    SUBSCRIPTIONS,
    Extension,
    ItemMade,
    added_item,
    facts_of_endpoint,
)
from engine.control.subscriptions import Request
from engine.errors import Refused
from engine.models import Status
from engine.policy.protocols import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.control.subscription_users import User
    from engine.models import Subscription, SubscriptionUser
    from engine.policy.conditions import Facts

_USERS: Final = "/v2/{domain_id}/subscription-users"
_USER: Final = f"{_USERS}/{{id}}"
_IMPORTED: Final = 100
"""Users in one import; the contract publishes no number."""
_NAMES: Final = {"ding_talk_bot": "dingTalkBot"}
_MEMBERS: Final = {protocol: member for member, protocol in _NAMES.items()}
"""Where a member's name is not the protocol's."""
_SHOWN: Final = ("verification_code_enabled", "keyword", "client_id", "robot_code")
_MASK: Final = "***"
_ORIGIN: Final = re.compile(r"[^/?#]+://[^/?#]+")


class Endpoint(Extension):
    """An endpoint, and what its protocol needs beside it."""

    endpoint: Line


_Given = Annotated[Endpoint | None, Code("SMN.0043")]


class CreateUser(Body):
    """A user with at most one endpoint of each protocol."""

    malformed = "SMN.0043"

    name: Annotated[Line, Code("SMN.0002")]
    group: Annotated[list[str] | None, Code("SMN.0043")] = None
    http: _Given = None
    https: _Given = None
    sms: _Given = None
    email: _Given = None
    callnotify: _Given = None
    wechat: _Given = None
    dingding: _Given = None
    feishu: _Given = None
    welink: _Given = None
    ding_talk_bot: _Given = None


class UpdateUser(Body):
    """What changes; a code confirms the endpoint that it was sent to."""

    malformed = "SMN.0043"

    name: Annotated[Line | None, Code("SMN.0002")] = None
    group: Annotated[list[str] | None, Code("SMN.0043")] = None
    verification_code: Annotated[Short | None, Code("SMN.0022")] = None


class ListUsers(Query):
    """Filters, which all combine; ``group`` is a part of a group's name."""

    name: str | None = None
    protocol: str | None = None
    status: Annotated[Literal["UNCONFIRMED", "CONFIRMED", "CANCELLED"] | None, Code("SMN.0077")] = (
        None
    )
    group: str | None = None
    offset: Annotated[Number, Code("SMN.0015")] = 0
    limit: Annotated[Annotated[Number, Field(ge=1, le=MAX_LIMIT)], Code("SMN.0015")] = MAX_LIMIT


class Import(Body):
    """Users whose endpoints the topic takes over."""

    malformed = "SMN.0043"

    ids: Annotated[
        Annotated[list[str], Field(min_length=1, max_length=_IMPORTED)], Code("SMN.0043")
    ]


class UserMade(Requested):
    """Its id."""

    id: str


class EndpointShown(Shown):
    """An endpoint; what robots and headers let somebody in by is masked, other secrets left out."""

    endpoint: str
    header: dict[str, str] | None = None
    verification_code_enabled: bool | None = None
    keyword: str | None = None
    sign_secret: str | None = None
    client_id: str | None = None
    robot_code: str | None = None


class UserItem(Shown):
    """A user; endpoints stand under their protocols."""

    id: str
    domain_id: str
    name: str
    status: Literal["UNCONFIRMED", "CONFIRMED", "CANCELLED"]
    group: list[str]
    create_time: str
    update_time: str
    http: EndpointShown | None = None
    https: EndpointShown | None = None
    sms: EndpointShown | None = None
    email: EndpointShown | None = None
    callnotify: EndpointShown | None = None
    wechat: EndpointShown | None = None
    dingding: EndpointShown | None = None
    feishu: EndpointShown | None = None
    welink: EndpointShown | None = None
    ding_talk_bot: EndpointShown | None = None


class UserList(Requested):
    """Users, newest first, and the number of all that match."""

    count: int
    subscription_users: list[UserItem]


class Imported(Shown):
    """What became of each endpoint, user by user."""

    subscriptions_result: list[ItemMade]


async def create(call: Call) -> dict[str, Any]:
    """Make a user; every endpoint that has to is asked to confirm."""
    body = cast("CreateUser", call.body)
    requests = []
    for member in CreateUser.model_fields:
        given = getattr(body, member)
        if isinstance(given, Endpoint):
            extension = given.model_dump(exclude_none=True, exclude={"endpoint"})
            requests.append(
                Request(_NAMES.get(member, member), given.endpoint, extension=extension)
            )
    user_id = await call.services.engine.subscription_users.create(
        _domain(call), body.name, body.group or (), requests
    )
    return {"request_id": call.request_id, "id": user_id}


async def list_all(call: Call) -> dict[str, Any]:
    """Newest first; all filters combine."""
    asked = cast("ListUsers", call.asked)
    found = await call.services.engine.subscription_users.list(
        _domain(call),
        offset=asked.offset,
        limit=asked.limit,
        wanted=_filter(asked),
        status=None if asked.status is None else Status[asked.status],
    )
    return {
        "request_id": call.request_id,
        "count": found.total,
        "subscription_users": [_item(user) for user in found.items],
    }


async def update(call: Call) -> dict[str, Any]:
    """Change name or groups, or confirm by a code."""
    body = cast("UpdateUser", call.body)
    await call.services.engine.subscription_users.update(
        _domain(call),
        call.path["id"],
        name=body.name,
        groups=body.group,
        verification_code=body.verification_code,
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Remove; what topics took over stays theirs."""
    await call.services.engine.subscription_users.delete(_domain(call), call.path["id"])
    return {"request_id": call.request_id}


async def add_from_users(call: Call) -> dict[str, Any]:
    """Subscribe the endpoints of users to a topic, each with the status that it has."""
    body = cast("Import", call.body)
    results = await call.services.engine.subscription_users.subscribe(
        _domain(call), call.path["topic_urn"], body.ids
    )
    return {"subscriptions_result": [added_item(call.request_id, one) for one in results]}


async def _facts(call: Call) -> list[Facts]:
    found = await call.services.engine.subscription_users.endpoints(
        _domain(call), cast("Import", call.body).ids
    )
    return [facts_of_endpoint(one.protocol, one.endpoint) for one in found]


def _domain(call: Call) -> str:
    """The caller's domain; code SMN.0001 if the path names another."""
    own = call.identity.domain_id
    if call.path.get("domain_id", own) != own:
        raise Refused("SMN.0001")
    return own


def _item(user: User) -> dict[str, Any]:
    described, topic = user.described, user.topic
    return {
        "id": topic.id,
        "domain_id": topic.project_id,
        "name": described.name,
        "status": user.status.name,
        "group": list(described.groups),
        "create_time": iso(topic.created_ms),
        "update_time": iso(topic.updated_ms),
        **{
            _MEMBERS.get(protocol, protocol): _endpoint(endpoint)
            for protocol, endpoint in user.endpoints.items()
        },
    }


def _endpoint(endpoint: Subscription) -> dict[str, Any]:
    extension = endpoint.extension
    kept = {name: extension[name] for name in _SHOWN if name in extension}
    if "sign_secret" in extension:
        kept["sign_secret"] = _MASK
    if "header" in extension:
        kept["header"] = dict.fromkeys(cast("dict[str, str]", extension["header"]), _MASK)
    text = endpoint.endpoint
    if TABLE[endpoint.protocol].secret and (origin := _ORIGIN.match(text)):
        text = f"{origin[0]}/{_MASK}"
    return {"endpoint": text, **kept}


def _filter(asked: ListUsers) -> Callable[[SubscriptionUser], bool] | None:
    name, part = asked.name, asked.group
    protocol = _NAMES.get(asked.protocol, asked.protocol) if asked.protocol else None
    if name is None and part is None and protocol is None:
        return None
    return lambda user: (
        (name is None or user.name == name)
        and (protocol is None or protocol in user.protocols)
        and (part is None or any(part in group for group in user.groups))
    )


ROUTES: Final = (
    Route(
        "CreateSubscriptionUser",
        "POST",
        _USERS,
        create,
        body=CreateUser,
        answer=UserMade,
        errors=("SMN.0001", "SMN.0011", "SMN.0012", "SMN.0069", "SMN.0078"),
        action="smn:subscriptionUser:create",
        success=201,
    ),
    Route(
        "ListSubscriptionUser",
        "GET",
        _USERS,
        list_all,
        query=ListUsers,
        answer=UserList,
        errors=("SMN.0001",),
        action="smn:subscriptionUser:list",
    ),
    Route(
        "UpdateSubscriptionUser",
        "PUT",
        _USER,
        update,
        body=UpdateUser,
        answer=Requested,
        errors=("SMN.0001", "SMN.0013", "APIGW.0308"),
        action="smn:subscriptionUser:update",
    ),
    Route(
        "DeleteSubscriptionUser",
        "DELETE",
        _USER,
        delete,
        answer=Requested,
        errors=("SMN.0001", "SMN.0013"),
        action="smn:subscriptionUser:delete",
    ),
    Route(
        "AddSubscriptionFromSubscriptionUser",
        "POST",
        f"{SUBSCRIPTIONS}/from-subscription-users",
        add_from_users,
        body=Import,
        answer=Imported,
        errors=("SMN.0006",),
        action="smn:topic:update",
        topic_action="SMN:Subscribe",
        facts=_facts,
        trace=Trace("addSubscriptionFromSubscriptionUser", "subscription"),
    ),
)
