"""What needs no login: the links in messages, as JSON and as pages, and certificates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine.api import pages
from engine.api.answers import Failure, Reply, Shape
from engine.api.bodies import Query, Requested, Shown
from engine.api.routes import Auth, Route
from engine.errors import Refused
from engine.models import Status

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.models import Subscription, Topic

_MACHINES: Final = {"http", "https"}
"""Protocols whose endpoints are programs: to follow a link is all that they do.

All others' are people, before whom scanners of mail follow the links.
"""
_LOOK: Final = "HEAD"
"""Answers as GET would, and follows no link: scanners of mail and previews of chats send it."""


class Confirm(Query):
    """What a confirmation link carries."""

    token: str | None = None
    topic_urn: str | None = None
    endpoint: str | None = None


class Unsubscribe(Query):
    """What an unsubscribe link carries; ``sig`` is what makes it unguessable."""

    subscription_urn: str | None = None
    sig: str | None = None


class Confirmed(Requested):
    """Which subscription was confirmed."""

    subscription_urn: str


class Cancelled(Shown):
    """What a person is told, with the link to subscribe again."""

    message: str


async def confirm(call: Call) -> dict[str, Any]:
    """Confirm a subscription; again is fine while the token is valid."""
    _, subscription = await _confirm(call)
    return {"request_id": call.request_id, "subscription_urn": subscription.urn}


async def confirm_page(call: Call) -> Reply:
    """The same for a person, who is asked first if a browser is what comes by the link.

    A program confirms by GET, as the contract has it. Whoever has confirmed is shown how to
    leave, for as long as the subscription lasts: short messages have no other link
    (SMN "Canceling Subscription").
    """
    subscriptions, link = call.services.engine.subscriptions, _confirming(call)
    topic, subscription = await subscriptions.of_token(*link, used=True)
    if subscription.protocol in _MACHINES:
        return await confirm_at_once(call)
    if subscription.status is Status.CONFIRMED:
        return _confirmed(call, topic, subscription)
    if "text/html" in (call.header("accept") or "").lower():
        return pages.asking_to_confirm(call, topic)
    return await confirm_at_once(call)


async def confirm_at_once(call: Call) -> Reply:
    """What the button of the page does."""
    return _confirmed(call, *await _confirm(call))


def _confirmed(call: Call, topic: Topic, subscription: Subscription) -> Reply:
    leave = ""
    if subscription.protocol not in _MACHINES:
        leave = call.services.engine.subscriptions.leave_link(subscription)
    return pages.confirmed(call, topic, leave)


async def unsubscribe(call: Call) -> dict[str, Any]:
    """Cancel a subscription; the text holds the link that subscribes again for 48 hours."""
    _, link = await _unsubscribe(call)
    return {
        "message": "You have successfully canceled your subscription. "
        f"To subscribe again, click the following link: {link}"
    }


async def unsubscribe_page(call: Call) -> Reply:
    """The same for a person, who is asked first; the programs behind HTTP endpoints are not."""
    topic, subscription = await call.services.engine.subscriptions.of_link(*_cancelling(call))
    if subscription.protocol in _MACHINES:
        return await unsubscribe_at_once(call)
    return pages.asking_to_cancel(call, topic)


async def unsubscribe_at_once(call: Call) -> Reply:
    """What the button of the page does, and the one of mail programs (RFC 8058)."""
    topic, link = await _unsubscribe(call)
    return pages.cancelled(call, topic, link)


async def certificate(call: Call) -> Reply:
    """The certificate that message signatures are verified with, as PEM.

    Texts write its name with hyphens, samples with underscores: both are served.
    """
    dataset = call.services.engine.dataset
    asked = call.path["certificate_id"]
    if asked.replace("-", "_") != dataset.certificate_id.replace("-", "_"):
        raise Failure(404, "APIGW.0101", "The certificate does not exist.")
    return Reply(dataset.certificate_pem, content_type="application/x-pem-file")


def _confirming(call: Call) -> tuple[str, str | None, str | None]:
    """Token, topic's URN and endpoint of a link to confirm."""
    token = call.parameter("token")
    if token is None:
        raise Refused("SMN.0022", "The link is incomplete.", status=400)
    endpoint = call.parameter("endpoint")
    # No endpoint has a blank: that was the plus of a number, which nobody escaped.
    return token, call.parameter("topic_urn"), endpoint and endpoint.replace(" ", "+")


async def _confirm(call: Call) -> tuple[Topic, Subscription]:
    """What is confirmed, or, for HEAD, would be."""
    subscriptions, link = call.services.engine.subscriptions, _confirming(call)
    if call.method == _LOOK:
        return await subscriptions.of_token(*link)
    return await subscriptions.confirm(*link)


def _cancelling(call: Call) -> tuple[str, str | None]:
    """URN and signature of an unsubscribe link."""
    urn = call.parameter("subscription_urn")
    if urn is None:
        raise Refused("SMN.0014", "The link is incomplete.")
    # An empty signature is a wrong one, not an absent one.
    sig = next((value for name, value in call.query if name == "sig"), None)
    return urn, sig


async def _unsubscribe(call: Call) -> tuple[Topic, str]:
    """The topic that is left, or, for HEAD, would be, and the link to subscribe to it again."""
    subscriptions, link = call.services.engine.subscriptions, _cancelling(call)
    if call.method == _LOOK:
        topic, subscription = await subscriptions.of_link(*link)
        return topic, subscriptions.return_link(subscription)
    return await subscriptions.unsubscribe(*link)


_link = partial(Route, method="GET", auth=Auth.NONE, shape=Shape.MESSAGE, changes=True)
_confirm_link = partial(
    _link,
    handler=confirm,
    query=Confirm,
    answer=Confirmed,
    errors=("SMN.0013", "SMN.0022", "400 SMN.0022"),
)
_unsubscribe_link = partial(
    _link,
    handler=unsubscribe,
    query=Unsubscribe,
    answer=Cancelled,
    errors=("SMN.0001", "SMN.0013", "SMN.0014"),
)
_certificate = partial(
    Route,
    method="GET",
    handler=certificate,
    errors=("APIGW.0101",),
    content_type="application/x-pem-file",
    auth=Auth.NONE,
)

ROUTES: Final = (
    # Links in messages: a GET changes something
    _confirm_link("SubscribeTopic", path="/v2/notifications/subscriptions/subscribe"),
    _confirm_link("ConfirmSubscription", path="/rest/v2/notifications/subscription/confirm"),
    _unsubscribe_link("UnsubscribeTopic", path="/v2/notifications/subscriptions/unsubscribe"),
    _unsubscribe_link(
        "UnsubscribeSubscription", path="/rest/v2/notifications/subscription/unsubscribe"
    ),
    _confirm_link(
        "ConfirmPage",
        path="/smn/subscription/confirm",
        handler=confirm_page,
        answer=None,
        shape=Shape.PAGE,
    ),
    _confirm_link(
        "ConfirmAtOnce",
        method="POST",
        path="/smn/subscription/confirm",
        handler=confirm_at_once,
        answer=None,
        shape=Shape.PAGE,
        changes=False,
    ),
    _unsubscribe_link(
        "UnsubscribePage",
        path="/smn/subscription/unsubscribe",
        handler=unsubscribe_page,
        answer=None,
        shape=Shape.PAGE,
    ),
    _unsubscribe_link(
        "UnsubscribeAtOnce",
        method="POST",
        path="/smn/subscription/unsubscribe",
        handler=unsubscribe_at_once,
        answer=None,
        shape=Shape.PAGE,
        changes=False,
    ),
    _certificate("DownloadHttpCert", path="/smn/{certificate_id}"),
    _certificate(
        "DownloadHttpSignCert", path="/v2/notifications/certifications/download/{certificate_id}"
    ),
)
