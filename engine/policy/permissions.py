"""Who may do what: policies, system roles, the action table, and the one decision over them.

An operation needs an action. A statement that names the action, in either of the two
vocabularies that the service knows, allows or denies it; one Deny beats every Allow, and what
nobody allows is denied. Sources: SMN "Permissions and Supported Actions" (role/policy and
identity-policy authorisation), IAM "System-defined Permissions" and "Policy Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from engine.policy.conditions import (
    ENTERPRISE_PROJECT,
    NO_FACTS,
    Condition,
    Facts,
    all_hold,
    equals,
    read_conditions,
)

VERSION: Final = "1.1"
MAX_STATEMENTS: Final = 8
MAX_PATTERNS: Final = 100
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9_*?-]+(:[A-Za-z0-9_*?.-]+){1,2}", re.ASCII)
_RESOURCE: Final = re.compile(r"[!-~]{1,512}", re.ASCII)
_MEMBERS: Final = frozenset({"Effect", "Action", "Resource", "Condition"})


@dataclass(frozen=True, slots=True)
class Statement:
    """Allows or denies actions that match a pattern, but those that match ``excluded``.

    Without ``resources`` it holds for everything, with them for what matches one; with
    ``conditions`` for requests of which all are true.
    """

    allow: bool
    actions: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A system role or policy.

    ``token_name`` stands in tokens; without ``needs``, held in the same project, it does nothing.
    """

    id: str
    name: str
    token_name: str
    statements: tuple[Statement, ...]
    needs: str = ""


def _allow(*actions: str, excluded: tuple[str, ...] = ()) -> tuple[Statement, ...]:
    return (Statement(allow=True, actions=actions, excluded=excluded),)


_IAM: Final = ("iam:*",)
_READ: Final = ("*:*:get*", "*:*:list*", "*:*:show*", "*:*:head*", "*:*:query*")

OWNER: Final = Role("0", "te_admin", "te_admin", _allow("*"))
"""What the account itself holds: every permission, always."""

_SYSTEM: Final = (
    OWNER,
    Role("1", "Security Administrator", "secu_admin", _allow(*_IAM)),
    Role("2", "Tenant Administrator", "Tenant Administrator", _allow("*", excluded=_IAM)),
    Role("3", "Tenant Guest", "Tenant Guest", _allow(*_READ, excluded=_IAM)),
    Role("4", "Agent Operator", "te_agency", _allow("iam:tokens:assume")),
    Role("5", "SMN Administrator", "smn_adm", _allow("smn:*:*"), needs="Tenant Guest"),
    Role("6", "SMN FullAccess", "SMN FullAccess", _allow("smn:*:*")),
    Role("7", "SMN ReadOnlyAccess", "SMN ReadOnlyAccess", _allow("smn:*:list*", "smn:*:get*")),
)

ROLES: Final[Mapping[str, Role]] = {role.name: role for role in _SYSTEM}
"""System roles and policies by the name under which they are granted."""

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "smn:topic:create": ("CreateTopic",),
    "smn:topic:list": (
        "ListTopics",
        "ListTopicDetails",
        "ListTopicAttributes",
        "ListTopicsWithAssociatedResources",
        "ListSubscriptions",
        "ListSubscriptionsByTopic",
        "ListLogtank",
        "ListTopicMessageStatistics",
    ),
    "smn:topic:update": (
        "UpdateTopic",
        "UpdateTopicAttribute",
        "DeleteTopicAttributes",
        "DeleteTopicAttributeByName",
        "AddSubscription",
        "AddSubscriptionFromSubscriptionUser",
        "UpdateSubscription",
        "CancelSubscription",
        "DeleteSubscriptionsByTopic",
        "BatchDeleteSubscriptions",
        "BatchDeleteSubscriptionsByTopic",
        "BatchCreateSubscriptionsFilterPolices",
        "BatchUpdateSubscriptionsFilterPolices",
        "BatchDeleteSubscriptionsFilterPolices",
        "CreateLogtank",
        "UpdateLogtank",
        "DeleteLogtank",
    ),
    "smn:topic:delete": ("DeleteTopic",),
    "smn:topic:publish": ("PublishMessage", "PublishHttpDetect"),
    "smn:template:create": ("CreateMessageTemplate",),
    "smn:template:list": ("ListMessageTemplates", "ListMessageTemplateDetails"),
    "smn:template:update": ("UpdateMessageTemplate",),
    "smn:template:delete": ("DeleteMessageTemplate",),
    "smn:tag:create": ("CreateResourceTag", "BatchCreateOrDeleteResourceTags"),
    "smn:tag:update": (),
    "smn:tag:delete": ("DeleteResourceTag", "BatchCreateOrDeleteResourceTags"),
    "smn:tag:list": ("ListResourceTags", "ListProjectTags", "ListResourceInstances"),
    "smn:application:publish": ("PublishAppMessage",),
}
"""The action table: what an operation needs. A tag that exists needs ``update`` to change."""

IDENTITY_ACTIONS: Final[Mapping[str, str]] = {
    "CreateTopic": "smn:topic:create",
    "ListTopics": "smn:topic:listTopic",
    "UpdateTopic": "smn:topic:updateTopic",
    "DeleteTopic": "smn:topic:delete",
    "ListTopicDetails": "smn:topic:get",
    "ListTopicMessageStatistics": "smn:topic:get",
    "ListTopicAttributes": "smn:topic:listAttributes",
    "UpdateTopicAttribute": "smn:topic:updateAttribute",
    "DeleteTopicAttributes": "smn:topic:deleteAttributes",
    "DeleteTopicAttributeByName": "smn:topic:deleteAttributes",
    "ListTopicsWithAssociatedResources": "smn:topic:listTopicsWithAssociatedResources",
    "ListSubscriptions": "smn:topic:listSubscriptions",
    "ListSubscriptionsByTopic": "smn:topic:listSubscriptionsByTopic",
    "AddSubscription": "smn:topic:subscribe",
    "AddSubscriptionFromSubscriptionUser": "smn:topic:subscribe",
    "UpdateSubscription": "smn:topic:updateSubscription",
    "BatchCreateSubscriptionsFilterPolices": "smn:topic:updateSubscription",
    "BatchUpdateSubscriptionsFilterPolices": "smn:topic:updateSubscription",
    "BatchDeleteSubscriptionsFilterPolices": "smn:topic:updateSubscription",
    "CancelSubscription": "smn:topic:deleteSubscription",
    "DeleteSubscriptionsByTopic": "smn:topic:deleteSubscription",
    "BatchDeleteSubscriptions": "smn:topic:deleteSubscription",
    "BatchDeleteSubscriptionsByTopic": "smn:topic:deleteSubscription",
    "PublishMessage": "smn:topic:publish",
    "PublishHttpDetect": "smn:topic:publish",
    "ListLogtank": "smn:topic:listLogTank",
    "CreateLogtank": "smn:topic:createLogTank",
    "UpdateLogtank": "smn:topic:updateLogTank",
    "DeleteLogtank": "smn:topic:deleteLogTank",
    "ShowKmsKey": "smn:topic:getKmsKey",
    "CreateKmsKey": "smn:topic:createKmsKey",
    "UpdateKmsKey": "smn:topic:updateKmsKey",
    "DeleteKmsKey": "smn:topic:deleteKmsKey",
    "ShowNotifyPolicy": "smn:topic:getNotifyPolicy",
    "CreateNotifyPolicy": "smn:topic:createNotifyPolicy",
    "UpdateNotifyPolicy": "smn:topic:updateNotifyPolicy",
    "DeleteNotifyPolicy": "smn:topic:deleteNotifyPolicy",
    "ListSubscriptionUser": "smn:subscriptionUser:list",
    "CreateSubscriptionUser": "smn:subscriptionUser:create",
    "UpdateSubscriptionUser": "smn:subscriptionUser:update",
    "DeleteSubscriptionUser": "smn:subscriptionUser:delete",
}
"""Operation → its action in the finer vocabulary of identity policies, which counts as well."""


NOT_BY_ENTERPRISE_PROJECT: Final = ("smn:topic:publish",)
"""What acts upon a topic and still cannot be granted for an enterprise project alone."""

DEPENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "smn:topic:update": ("smn:topic:list",),
    "smn:topic:delete": ("smn:topic:list",),
    "smn:topic:publish": ("smn:topic:list",),
    "smn:template:update": ("smn:template:list",),
    "smn:template:delete": ("smn:template:list",),
    "smn:tag:create": ("smn:topic:list",),
    "smn:tag:update": ("smn:topic:list", "smn:tag:list"),
    "smn:tag:delete": ("smn:topic:list", "smn:tag:list"),
    "smn:tag:list": ("smn:topic:list",),
}
"""What an action is of little use without: whoever writes a policy is told, nobody is refused."""


def within_enterprise_project(
    statements: Iterable[Statement], enterprise_project_id: str
) -> tuple[Statement, ...]:
    """The statements as they hold in one enterprise project, for what may be granted there."""
    there = equals(ENTERPRISE_PROJECT, enterprise_project_id)
    return tuple(
        replace(
            one,
            excluded=(*one.excluded, *NOT_BY_ENTERPRISE_PROJECT),
            conditions=(*one.conditions, there),
        )
        for one in statements
    )


def lacking(statements: Iterable[Statement]) -> tuple[str, ...]:
    """Actions that those of a policy depend on, and that it does not allow itself."""
    given = tuple(statements)
    allowed = {action for action in ACTIONS if allows(given, (action,), facts=None)}
    needs = {one for action in allowed for one in DEPENDS.get(action, ())}
    return tuple(sorted(needs - allowed))


def needed(action: str, operation: str) -> tuple[str, ...]:
    """The names by which policies may speak of what an operation needs."""
    finer = IDENTITY_ACTIONS.get(operation, action)
    return (action,) if finer == action else (action, finer)


def allows(
    statements: Iterable[Statement],
    actions: Iterable[str],
    resources: Iterable[str] = (),
    facts: Facts | None = NO_FACTS,
) -> bool:
    """Whether statements allow what the ``actions`` are names of.

    ``resources`` are the names of what is acted upon; without one, only statements about
    everything count. ``facts`` are those of the request; None asks whether some request could
    be allowed, whatever it is that is not told.
    """
    names, targets = tuple(actions), tuple(resources)
    allowed = False
    for statement in statements:
        if not any(_covers(statement, name) for name in names):
            continue
        if facts is None and (statement.conditions or (statement.resources and not targets)):
            allowed = allowed or statement.allow
            continue
        if statement.resources and not any(
            _matches(pattern, target) for pattern in statement.resources for target in targets
        ):
            continue
        if not all_hold(statement.conditions, facts or NO_FACTS):
            continue
        if not statement.allow:
            return False
        allowed = True
    return allowed


def read_policy(document: object) -> tuple[Statement, ...]:
    """The statements of a custom policy's document.

    Raises `ValueError` with a sentence. A member that is not understood is refused: leaving it
    out would allow more than was written.
    """
    if not isinstance(document, dict) or set(document) - {"Version", "Statement"}:
        raise ValueError("A policy is an object with Version and Statement.")
    if document.get("Version") != VERSION:
        raise ValueError(f'A policy\'s Version is "{VERSION}".')
    statements = document.get("Statement")
    if not isinstance(statements, list) or not 0 < len(statements) <= MAX_STATEMENTS:
        raise ValueError(f"A policy has 1 to {MAX_STATEMENTS} statements.")
    return tuple(_read_statement(statement) for statement in statements)


def _read_statement(given: object) -> Statement:
    if not isinstance(given, dict):
        raise ValueError("A statement is an object.")  # noqa: TRY004 - one error for bad documents
    unknown = sorted(set(given) - _MEMBERS)
    if unknown:
        raise ValueError(
            f"A statement has no {unknown[0]!r}: only Effect, Action, Resource and Condition."
        )
    if given.get("Effect") not in {"Allow", "Deny"}:
        raise ValueError("A statement's Effect is Allow or Deny.")
    actions = _patterns(given.get("Action"), _ACTION, "Action")
    resources = _patterns(given["Resource"], _RESOURCE, "Resource") if "Resource" in given else ()
    if "*" in resources:
        resources = ()
    conditions = read_conditions(given["Condition"]) if "Condition" in given else ()
    return Statement(
        given["Effect"] == "Allow", actions, resources=resources, conditions=conditions
    )


def _patterns(given: Any, form: re.Pattern[str], name: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    if not isinstance(given, list) or not 0 < len(given) <= MAX_PATTERNS:
        raise ValueError(f"{name} is a list of 1 to {MAX_PATTERNS} texts.")
    for text in given:
        if not isinstance(text, str) or form.fullmatch(text) is None:
            raise ValueError(f"{name} holds something that cannot be one.")
    return tuple(given)


def _covers(statement: Statement, action: str) -> bool:
    return any(_matches(pattern, action) for pattern in statement.actions) and not any(
        _matches(pattern, action) for pattern in statement.excluded
    )


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """``*`` stands for any characters, ``?`` for one; case does not matter."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
