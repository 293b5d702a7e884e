"""Filter policies of subscriptions, many subscriptions at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Requested, Shown
from engine.api.routes import PROJECT, Route, Trace
from engine.api.subscription_changes import check_project
from engine.errors import Refused
from engine.models import FilterPolicy
from engine.policy import filters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from engine.api.call import Call

_SUBSCRIPTIONS: Final = 100
"""Subscriptions in one call (SMN "Creating Message Filter Policies for a Subscriber")."""


class Policy(Body):
    """The values of one message attribute that are wanted."""

    name: str
    string_equals: list[str]


class Policies(Body):
    """A subscription's whole set."""

    subscription_urn: str
    filter_polices: list[Policy]


class SetPolicies(Body):
    """Sets for subscriptions, spelt as the contract does."""

    malformed = "SMN.0043"

    polices: Annotated[
        Annotated[list[Policies], Field(min_length=1, max_length=_SUBSCRIPTIONS)],
        Code("SMN.0043"),
    ]


class ClearPolicies(Body):
    """Subscriptions that shall have none."""

    malformed = "SMN.0043"

    subscription_urns: Annotated[
        Annotated[list[str], Field(min_length=1, max_length=_SUBSCRIPTIONS)], Code("SMN.0043")
    ]


class Result(Shown):
    """What became of one subscription's set; ``code`` is 200 or the error's."""

    code: str
    message: str
    subscription_urn: str


class Results(Requested):
    """One for each subscription, in the order of the request."""

    batch_result: list[Result]


async def create(call: Call) -> dict[str, Any]:
    """Give policies to subscriptions that have none."""
    return await _set(call, call.services.engine.filter_policies.create)


async def update(call: Call) -> dict[str, Any]:
    """Replace the whole set of each."""
    return await _set(call, call.services.engine.filter_policies.replace)


async def delete(call: Call) -> dict[str, Any]:
    """Remove all of each."""
    body = cast("ClearPolicies", call.body)
    clear = call.services.engine.filter_policies.clear
    return await _each(call, ((urn, partial(clear, urn)) for urn in body.subscription_urns))


async def _set(call: Call, change: Callable[..., Awaitable[None]]) -> dict[str, Any]:
    """All sets are checked before the first one is stored."""
    body = cast("SetPolicies", call.body)
    sets = [
        (
            one.subscription_urn,
            tuple(FilterPolicy(p.name, tuple(p.string_equals)) for p in one.filter_polices),
        )
        for one in body.polices
    ]
    for _, policies in sets:
        filters.check(policies)
    return await _each(call, ((urn, partial(change, urn, policies)) for urn, policies in sets))


async def _each(
    call: Call, changes: Iterable[tuple[str, Callable[[], Awaitable[None]]]]
) -> dict[str, Any]:
    """200 whatever becomes of each."""
    results = []
    for urn, change in changes:
        result = {"code": "200", "message": "OK", "subscription_urn": urn}
        try:
            await check_project(call, urn)
            await change()
        except Refused as refused:
            result |= {"code": refused.code, "message": refused.message}
        results.append(result)
    return {"request_id": call.request_id, "batch_result": results}


def _named(call: Call) -> list[str]:
    body = cast("SetPolicies | ClearPolicies", call.body)
    if isinstance(body, ClearPolicies):
        return body.subscription_urns
    return [one.subscription_urn for one in body.polices]


_route = partial(
    Route,
    path=f"{PROJECT}/subscriptions/filter_polices",
    answer=Results,
    action="smn:topic:update",
    names=_named,
)

ROUTES: Final = (
    _route(
        "BatchCreateSubscriptionsFilterPolices",
        "POST",
        handler=create,
        body=SetPolicies,
        trace=Trace("batchCreateFilterPolices", "filter_polices"),
    ),
    _route(
        "BatchUpdateSubscriptionsFilterPolices",
        "PUT",
        handler=update,
        body=SetPolicies,
        trace=Trace("batchUpdateFilterPolices", "filter_polices"),
    ),
    _route(
        "BatchDeleteSubscriptionsFilterPolices",
        "DELETE",
        handler=delete,
        body=ClearPolicies,
        trace=Trace("batchDeleteFilterPolices", "filter_polices"),
    ),
)
