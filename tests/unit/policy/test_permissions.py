"""What policies allow: decided without a server."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api.table import ROUTES
from engine.policy.permissions import (
    ACTIONS,
    IDENTITY_ACTIONS,
    ROLES,
    Statement,
    allows,
    lacking,
    needed,
    read_policy,
    within_enterprise_project,
)

TOPIC = ("smn:region01:d:topic:orders", "urn:smn:region01:p:orders")


def policy(*statements: dict[str, Any]) -> tuple[Statement, ...]:
    """The statements of a custom policy."""
    return read_policy({"Version": "1.1", "Statement": list(statements)})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": list(actions)} | more


def deny(*actions: str, **more: Any) -> dict[str, Any]:
    """A statement that denies."""
    return {"Effect": "Deny", "Action": list(actions)} | more


@pytest.mark.parametrize(
    ("pattern", "action", "fits"),
    [
        ("smn:topic:create", "smn:topic:create", True),
        ("smn:topic:create", "smn:topic:createx", False),
        ("SMN:Topic:Create", "smn:topic:create", True),
        ("smn:topic:*", "smn:topic:delete", True),
        ("smn:topic:*", "smn:template:delete", False),
        ("smn:*:*", "smn:tag:list", True),
        ("smn:*:*", "iam:users:listUsers", False),
        ("smn:*:list*", "smn:topic:listTopic", True),
        ("smn:*:get*", "smn:topic:list", False),
        ("smn:topic:lis?", "smn:topic:list", True),
        ("smn.topic.list", "smn:topic:list", False),
        ("*", "anything:at:all", True),
    ],
)
def test_patterns_stand_for_actions(pattern: str, action: str, fits: bool) -> None:
    """``*`` and ``?`` are the only wildcards, and case does not matter."""
    assert allows((Statement(allow=True, actions=(pattern,)),), (action,)) is fits


def test_nothing_is_allowed_unless_something_allows_it() -> None:
    """No statement, or one about something else, lets nobody in."""
    assert not allows((), ("smn:topic:list",))
    assert not allows(policy(allow("smn:topic:create")), ("smn:topic:list",))


def test_a_deny_beats_every_allow_whatever_the_order() -> None:
    """First, last or in another policy."""
    yes, no = policy(allow("smn:*:*")), policy(deny("smn:topic:delete"))
    for statements in (yes + no, no + yes, yes + no + yes):
        assert not allows(statements, ("smn:topic:delete",))
        assert allows(statements, ("smn:topic:update",))


def test_a_resource_narrows_a_statement() -> None:
    """By path and by URN, for allowing as for denying."""
    for pattern in ("smn:*:*:topic:orders", "urn:smn:*:*:ord*", "SMN:*:*:TOPIC:ORDERS"):
        assert allows(policy(allow("smn:*:*", Resource=[pattern])), ("smn:topic:update",), TOPIC)
    others = policy(allow("smn:*:*", Resource=["smn:*:*:topic:other"]))
    assert not allows(others, ("smn:topic:update",), TOPIC)
    assert not allows(others, ("smn:topic:list",))
    kept = policy(allow("smn:*:*"), deny("smn:*:*", Resource=["smn:*:*:topic:orders"]))
    assert not allows(kept, ("smn:topic:update",), TOPIC)
    assert allows(kept, ("smn:topic:update",), ("smn:region01:d:topic:other",))


def test_the_finer_names_of_an_operation_count_as_well() -> None:
    """An identity policy's action opens its own operation, and can close it."""
    update = needed("smn:topic:update", "UpdateSubscription")
    assert update == ("smn:topic:update", "smn:topic:updateSubscription")
    assert allows(policy(allow("smn:topic:updateSubscription")), update)
    remove = needed("smn:topic:update", "CancelSubscription")
    assert not allows(policy(allow("smn:topic:updateSubscription")), remove)
    closed = policy(allow("smn:topic:update"), deny("smn:topic:deleteSubscription"))
    assert allows(closed, update)
    assert not allows(closed, remove)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("te_admin", {"smn:topic:create", "smn:topic:list", "iam:users:listUsers", "cts:a:list"}),
        ("Tenant Administrator", {"smn:topic:create", "smn:topic:list", "cts:a:list"}),
        ("Tenant Guest", {"smn:topic:list", "cts:a:list"}),
        ("SMN FullAccess", {"smn:topic:create", "smn:topic:list"}),
        ("SMN ReadOnlyAccess", {"smn:topic:list"}),
        ("SMN Administrator", {"smn:topic:create", "smn:topic:list"}),
        ("Security Administrator", {"iam:users:listUsers", "iam:tokens:assume"}),
        ("Agent Operator", {"iam:tokens:assume"}),
    ],
)
def test_system_roles_allow_what_their_names_say(role: str, allowed: set[str]) -> None:
    """Everything of the table and nothing else."""
    asked = allowed | {"smn:topic:create", "smn:topic:list", "iam:users:listUsers", "cts:a:list"}
    assert {one for one in asked if allows(ROLES[role].statements, (one,))} == allowed


def test_every_operation_needs_what_the_table_says() -> None:
    """Routes and the action table agree, for every action of the table."""
    by_operation = {name: action for action, names in ACTIONS.items() for name in names}
    for route in ROUTES:
        if isinstance(route.action, str) and route.operation in by_operation:
            possible = {action for action, names in ACTIONS.items() if route.operation in names}
            assert route.action in possible | {IDENTITY_ACTIONS.get(route.operation)}, (
                route.operation
            )


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"Version": "1.1"},
        {"Version": "1.0", "Statement": [allow("smn:*:*")]},
        {"Version": "1.1", "Statement": []},
        {"Version": "1.1", "Statement": [allow("smn:*:*")] * 9},
        {"Version": "1.1", "Statement": ["x"]},
        {"Version": "1.1", "Statement": [allow("smn:*:*")], "Extra": 1},
        {"Version": "1.1", "Statement": [allow("smn:*:*", Condition={})]},
        {"Version": "1.1", "Statement": [allow("smn:*:*") | {"Effect": "Maybe"}]},
        {"Version": "1.1", "Statement": [allow()]},
        {"Version": "1.1", "Statement": [allow("smn topic")]},
        {"Version": "1.1", "Statement": [allow("smn:*:*") | {"Action": "smn:*:*"}]},
        {"Version": "1.1", "Statement": [allow("smn:*:*", Resource=[])]},
        {"Version": "1.1", "Statement": [allow("smn:*:*", Resource=["a b"])]},
    ],
    ids=str,
)
def test_a_document_that_is_not_understood_is_refused(document: Any) -> None:
    """Leaving a part out would allow more than was written."""
    with pytest.raises(ValueError, match=r"\."):
        read_policy(document)


def test_whoever_knows_nothing_yet_asks_what_could_be_allowed() -> None:
    """A condition or a resource may come true or not; only what nothing allows is refused."""
    limited = policy(
        allow("smn:topic:list", Condition={"StringEquals": {"g:EnterpriseProjectId": ["e1"]}}),
        allow("smn:topic:update", Resource=["smn:*:*:topic:orders"]),
        deny("smn:topic:delete", Condition={"Null": {"g:ResourceTag/env": ["false"]}}),
        allow("smn:topic:delete"),
    )
    for action in ("smn:topic:list", "smn:topic:update", "smn:topic:delete"):
        assert allows(limited, (action,), facts=None)
    assert not allows(limited, ("smn:topic:list",))
    assert not allows(limited, ("smn:topic:create",), facts=None)
    assert allows(limited, ("smn:topic:delete",))
    assert not allows(limited, ("smn:topic:delete",), facts={"g:ResourceTag/env": ("x",)})


def test_a_role_can_be_held_in_one_enterprise_project() -> None:
    """There it allows and denies as it does everywhere, but for publishing."""
    held = within_enterprise_project(policy(allow("smn:*:*"), deny("smn:topic:delete")), "e1")
    inside, outside = {"g:EnterpriseProjectId": ("e1",)}, {"g:EnterpriseProjectId": ("e2",)}
    assert allows(held, ("smn:topic:update",), facts=inside)
    for action, facts in (
        ("smn:topic:update", outside),
        ("smn:topic:update", {}),
        ("smn:topic:delete", inside),
        ("smn:topic:publish", inside),
    ):
        assert not allows(held, (action,), facts=facts)
    assert allows((*held, *policy(allow("smn:topic:delete"))), ("smn:topic:delete",), facts=outside)


def test_what_an_action_depends_on_is_told() -> None:
    """Unless the policy allows it itself."""
    assert lacking(policy(allow("smn:tag:update"))) == ("smn:tag:list", "smn:topic:list")
    assert lacking(policy(allow("smn:topic:publish", "smn:topic:list"))) == ()
    assert lacking(policy(allow("smn:*:*"), deny("smn:template:list"))) == ("smn:template:list",)
