"""What a caller may do: the one place where permissions are enforced.

The account's state, then the project, then the IAM action of the route, then the access policy
of a topic that belongs to another project (SMN "Permissions", "Topic access policy").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.api.answers import Shape
from engine.api.facts import facts_of, subjects
from engine.control.tags import TOPIC
from engine.errors import Refused
from engine.iam.identities import State
from engine.policy.access_policy import Principal, permits
from engine.policy.conditions import NO_FACTS, Facts
from engine.urns import TopicUrn, parse_subscription, parse_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.call import Call
    from engine.iam.callers import Caller
    from engine.models import Topic

_STATES: Final = {State.RESTRICTED: "SMN.0070", State.SUSPENDED: "SMN.0071"}


async def authenticate(call: Call) -> Caller:
    """The caller of a public route that needs to know after all. Raises `Refused` APIGW.0301."""
    caller, claim = await call.services.authenticator.admit(call.headers)
    if claim is not None:
        claim.check(call.signed_request())
    return caller


async def authorise(call: Call) -> None:
    """Settle the project that the caller acts in, and refuse what it may not do.

    Permission goes before syntax. Raises `Refused`: SMN.0070 or SMN.0071 for the account's
    state, SMN.0001 for another's project or topic, SMN.00308 for a missing action, SMN.0005
    and SMN.0014 for URNs.
    """
    caller = call.caller = _within_project(call)
    action = call.route.action
    if call.route.shape is Shape.SMN and caller.domain.state in _STATES:
        raise Refused(_STATES[State(caller.domain.state)])
    if call.path.get("domain_id", caller.domain_id) != caller.domain_id:
        raise Refused("SMN.0001")
    try:
        topic = _topic(call)
    except Refused:
        if isinstance(action, str):
            permit(call, action, facts=None)
        raise
    if topic is None or (topic.project_id == caller.project_id and not caller.service):
        if isinstance(action, str):
            permit(call, action, topic, None)
    else:
        await enter(call, topic)


async def authorise_asked(call: Call) -> None:
    """Decide what `authorise` could not without the body, and what has conditions.

    Raises `Refused` SMN.00308.
    """
    route, caller = call.route, call.identity
    if not caller.rights.selective:
        if callable(route.action):
            permit(call, route.action(call))
        return
    topic = _topic(call)
    if route.searches or (topic is not None and topic.project_id != caller.project_id):
        return
    call.subjects = await subjects(call, topic)
    action = route.action(call) if callable(route.action) else route.action
    if not allowed(call, action):
        raise Refused("SMN.00308", action)


def allowed(call: Call, action: str) -> bool:
    """Whether IAM lets the caller do this to all that the call is about; '' needs nothing."""
    return not action or all(_allows(call, action, topic, facts) for topic, facts in call.subjects)


def permit(
    call: Call, action: str, topic: TopicUrn | None = None, facts: Facts | None = NO_FACTS
) -> None:
    """Raise `Refused` SMN.00308 unless IAM lets the caller do this; '' needs nothing.

    Without ``facts`` it is enough that conditions can hold: `authorise_asked` sees if they do.
    """
    if action and not _allows(call, action, topic, facts):
        raise Refused("SMN.00308", action)


async def visible(call: Call) -> Callable[[Topic], bool] | None:
    """Which topics, or tagged resources, of its project a list may show; None for all."""
    caller, engine, action = call.identity, call.services.engine, call.route.action
    if not caller.rights.selective or callable(action):
        return None
    project, kind = caller.project_id, call.path.get("resource_type", TOPIC)
    tagged = await engine.tags.by_id(project, kind)

    def seen(topic: Topic) -> bool:
        urn = engine.topics.urn(project, topic.name) if kind == TOPIC else None
        facts = facts_of(topic.enterprise_project_id, tagged.get(topic.id, {}))
        return _allows(call, action, urn, facts)

    return seen


def _allows(call: Call, action: str, topic: TopicUrn | None, facts: Facts | None) -> bool:
    caller = call.identity
    return caller.rights.allow(action, call.route.operation, caller.domain_id, topic, facts)


async def enter(call: Call, topic: TopicUrn) -> None:
    """Another project's topic: what its own account allows decides, and its access policy.

    Raises `Refused`: SMN.0001, SMN.00308.
    """
    caller, route = call.identity, call.route
    if not route.topic_action:
        raise Refused("SMN.0001")
    if caller.service:
        principal = Principal("", service=caller.service)
    else:
        if isinstance(route.action, str):
            permit(call, route.action, topic)
        principal = Principal(caller.domain_id, org_paths=caller.domain.org_paths)
    urn = str(topic)
    policy = await call.services.engine.attributes.access_policy(urn)
    if not permits(policy, principal, route.topic_action, urn):
        raise Refused("SMN.0001")


def _within_project(call: Call) -> Caller:
    """The caller in the project of the path, or in the one that its request names.

    A token is for one project. A key is for all of its account's: the path decides, then
    ``X-Project-Id``, then the default. A cloud service may call for a topic from any project.
    """
    caller = call.identity
    path = call.path.get("project_id")
    if caller.service and not call.path.keys().isdisjoint({"topic_urn", "subscription_urn"}):
        return caller
    if caller.token is not None:
        if path is not None and path != caller.project_id:
            raise Refused("SMN.0001")
        return caller
    asked = call.header("x-project-id")
    if asked:
        caller = caller.within(asked)
    return caller if path is None else caller.within(path)


def _topic(call: Call) -> TopicUrn | None:
    """The topic that the path names, itself or by a subscription.

    Raises `Refused` SMN.0001 if the path names things of two projects, or something else than a
    topic in a foreign one.
    """
    topic = None
    own = call.identity.project_id
    for name, text in call.path.items():
        if name == "topic_urn":
            found = parse_topic(text)
        elif name == "subscription_urn":
            found = parse_subscription(text).topic
        elif name.endswith("_urn"):
            parts = text.split(":", 4)
            if len(parts) == 5 and parts[3] != own:
                raise Refused("SMN.0001")
            continue
        else:
            continue
        if topic is not None and found.project_id != topic.project_id:
            raise Refused("SMN.0001")
        topic = topic or found
    return topic
