"""What policies may ask of a request: the topics it is about, and what it brings.

Looked up only for callers whose permission depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.control.tags import TOPIC
from engine.errors import Refused
from engine.policy.conditions import ENTERPRISE_PROJECT, NO_FACTS, RESOURCE_TAG
from engine.urns import parse_subscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.api.call import Call, Subject
    from engine.models import Topic
    from engine.policy.conditions import Facts
    from engine.urns import TopicUrn


async def subjects(call: Call, topic: TopicUrn | None) -> tuple[Subject, ...]:
    """Each topic that the call is about with each part of its body, and what is known of both.

    A topic that there is not has no facts, so that conditions tell nobody whether it exists.
    """
    route = call.route
    about: list[Subject] = [(topic, NO_FACTS)]
    if topic is not None:
        about = [(topic, await _of_name(call, topic.name))]
    elif "resource_id" in call.path:
        about = [await _of_resource(call)]
    elif route.names is not None:
        about = await _of_subscriptions(call, route.names(call))
    parts = list(await route.facts(call)) if route.facts is not None else []
    return tuple((one, {**facts, **part}) for one, facts in about for part in parts or [NO_FACTS])


def facts_of(enterprise_project_id: str, tags: Mapping[str, str]) -> Facts:
    """What a resource's belongings are for conditions; '' if it is in no enterprise project."""
    facts = {f"{RESOURCE_TAG}{key}": (value,) for key, value in tags.items()}
    if enterprise_project_id:
        facts[ENTERPRISE_PROJECT] = (enterprise_project_id,)
    return facts


async def _of_name(call: Call, name: str) -> Facts:
    return await _of(call, await call.services.engine.topics.by_name(_project(call), name))


async def _of_resource(call: Call) -> Subject:
    path, engine = call.path, call.services.engine
    try:
        found = await engine.tags.resource(
            _project(call),
            path["resource_type"],
            path["resource_id"],
            by_name=call.names_resource,
        )
    except Refused:
        return None, NO_FACTS
    if path["resource_type"] == TOPIC:
        return engine.topics.urn(found.project_id, found.name), await _of(call, found)
    (tags,) = await engine.tags.of([found])
    return None, facts_of("", tags)


async def _of_subscriptions(call: Call, urns: Iterable[str]) -> list[Subject]:
    """Their topics; a URN that is none, or another project's, is refused by itself later on."""
    topics: set[TopicUrn] = set()
    for urn in urns:
        try:
            topic = parse_subscription(urn).topic
        except Refused:
            continue
        if topic.project_id == _project(call):
            topics.add(topic)
    if not topics:
        return [(None, NO_FACTS)]
    return [(topic, await _of_name(call, topic.name)) for topic in topics]


async def _of(call: Call, topic: Topic | None) -> Facts:
    if topic is None:
        return NO_FACTS
    (tags,) = await call.services.engine.tags.of([topic])
    return facts_of(topic.enterprise_project_id, tags)


def _project(call: Call) -> str:
    return call.identity.project_id
