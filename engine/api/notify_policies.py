"""Notify policies: in which order a topic's phones are called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from pydantic import Field

from engine.api.bodies import Body, Code, Line, Requested, Shown
from engine.api.routes import TOPIC, Route, Trace
from engine.control.notify_policies import PROTOCOL

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.models import Subscription

_PATH: Final = f"{TOPIC}/notify-policy"
_ROUNDS: Final = 100


class Round(Body):
    """Whom to call in one round, which ``order`` numbers."""

    order: Annotated[int, Field(ge=0, lt=2**31)]
    subscription_urns: list[str]


class SetPolicy(Body):
    """A whole policy."""

    malformed = "SMN.0043"

    protocol: Annotated[Line, Code("SMN.0011")]
    polling: Annotated[
        Annotated[list[Round], Field(min_length=1, max_length=_ROUNDS)], Code("SMN.0043")
    ]


class PolicyMade(Requested):
    """Its id."""

    id: str


class Polled(Shown):
    """A subscription in a round."""

    subscription_urn: str
    endpoint: str
    remark: str
    status: int


class RoundShown(Shown):
    """Who is called in one round; without those that are gone."""

    order: int
    subscriptions: list[Polled]


class PolicyShown(Requested):
    """The policy; all but the request's id is absent where there is none."""

    id: str | None = None
    protocol: str | None = None
    polling: list[RoundShown] | None = None


async def create(call: Call) -> dict[str, Any]:
    """Make the policy of a topic that has none."""
    policy_id = await call.services.engine.notify_policies.create(
        call.path["topic_urn"], *_given(call)
    )
    return {"request_id": call.request_id, "id": policy_id}


async def show(call: Call) -> dict[str, Any]:
    """200 also without one: clients decide by an absent id, and know no 404 here."""
    found = await call.services.engine.notify_policies.read(call.path["topic_urn"])
    if found is None:
        return {"request_id": call.request_id}
    policy_id, rounds = found
    return {
        "request_id": call.request_id,
        "id": policy_id,
        "protocol": PROTOCOL,
        "polling": [
            {"order": order, "subscriptions": [_polled(one) for one in subscriptions]}
            for order, subscriptions in rounds
        ],
    }


async def update(call: Call) -> dict[str, Any]:
    """Replace it as a whole."""
    await call.services.engine.notify_policies.replace(
        call.path["topic_urn"], call.path["notify_policy_id"], *_given(call)
    )
    return {"request_id": call.request_id}


async def delete(call: Call) -> dict[str, Any]:
    """Remove it."""
    await call.services.engine.notify_policies.delete(
        call.path["topic_urn"], call.path["notify_policy_id"]
    )
    return {"request_id": call.request_id}


def _given(call: Call) -> tuple[str, list[tuple[int, list[str]]]]:
    body = cast("SetPolicy", call.body)
    return body.protocol, [(one.order, one.subscription_urns) for one in body.polling]


def _polled(subscription: Subscription) -> dict[str, Any]:
    return {
        "subscription_urn": subscription.urn,
        "endpoint": subscription.endpoint,
        "remark": subscription.remark,
        "status": int(subscription.status),
    }


_set = partial(Route, body=SetPolicy, action="smn:topic:update")

ROUTES: Final = (
    _set(
        "CreateNotifyPolicy",
        "POST",
        _PATH,
        create,
        answer=PolicyMade,
        errors=("SMN.0006", "SMN.0013", "SMN.0014"),
        trace=Trace("createNotifyPolicy", "notify_policy"),
        success=201,
    ),
    Route(
        "ShowNotifyPolicy",
        "GET",
        _PATH,
        show,
        answer=PolicyShown,
        errors=("SMN.0006",),
        action="smn:topic:list",
    ),
    _set(
        "UpdateNotifyPolicy",
        "PUT",
        f"{_PATH}/{{notify_policy_id}}",
        update,
        answer=Requested,
        errors=("SMN.0006", "SMN.0013", "SMN.0014"),
        trace=Trace("updateNotifyPolicy", "notify_policy"),
    ),
    Route(
        "DeleteNotifyPolicy",
        "DELETE",
        f"{_PATH}/{{notify_policy_id}}",
        delete,
        answer=Requested,
        errors=("SMN.0006", "SMN.0013"),
        action="smn:topic:update",
        trace=Trace("deleteNotifyPolicy", "notify_policy"),
    ),
)
