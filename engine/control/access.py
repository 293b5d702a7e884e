"""Who may do what: groups, agencies, custom policies, and the grants of roles and policies.

Methods raise `DirectoryError` with one sentence for what cannot be, and `StoreError`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.control.naming import (
    check_name,
    find_agency,
    find_domain,
    find_group,
    find_policy,
    find_project,
    find_user,
    must_be_new,
)
from engine.errors import DirectoryError
from engine.iam.identities import Agency, Grant, Group, Policy, Record, Subject
from engine.policy.permissions import ROLES, read_policy

if TYPE_CHECKING:
    from engine.iam.live import LiveDirectory
    from engine.iam.snapshot import Snapshot

_MAX_POLICY: Final = 6144
"""Characters of a custom policy (IAM "Constraints")."""

_MAX_ENTERPRISE_PROJECT: Final = 64

Change = tuple[Iterable[Record], Iterable[Record]]


class Access:
    """Changes who may do what."""

    def __init__(self, live: LiveDirectory) -> None:
        self._live = live

    # Groups

    async def create_group(self, name: str, *, domain: str) -> Group:
        """A group without members."""
        check_name(name)
        made = Group(secrets.token_hex(16), "", name)

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            owner = find_domain(snapshot, domain)
            must_be_new(snapshot.group_named(owner.id, name), f"group {name}")
            made = replace(made, domain_id=owner.id)
            return (made,), ()

        await self._live.change(decide)
        return made

    async def delete_group(self, name: str, *, domain: str) -> None:
        """Remove a group with its grants."""

        def decide(snapshot: Snapshot) -> Change:
            group = find_group(snapshot, domain, name)
            return (), (group, *_grants_of(snapshot, Subject.GROUP, group.id))

        await self._live.change(decide)

    async def set_member(self, name: str, user: str, *, domain: str, member: bool) -> None:
        """Take a user into a group, or out of it."""

        def decide(snapshot: Snapshot) -> Change:
            group = find_group(snapshot, domain, name)
            found = find_user(snapshot, domain, user)
            others = tuple(one for one in group.members if one != found.id)
            return (replace(group, members=(*others, found.id) if member else others),), ()

        await self._live.change(decide)

    # Agencies

    async def create_agency(self, name: str, *, domain: str, trusted: str) -> Agency:
        """Let the account ``trusted`` act in this one, as far as the agency is granted things."""
        check_name(name)
        made = Agency(secrets.token_hex(16), "", name, "")

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            owner, other = find_domain(snapshot, domain), find_domain(snapshot, trusted)
            must_be_new(snapshot.agency_named(owner.id, name), f"agency {name}")
            made = replace(made, domain_id=owner.id, trusted_domain_id=other.id)
            return (made,), ()

        await self._live.change(decide)
        return made

    async def delete_agency(self, name: str, *, domain: str) -> None:
        """Remove an agency with its grants; its tokens end."""

        def decide(snapshot: Snapshot) -> Change:
            agency = find_agency(snapshot, domain, name)
            return (), (agency, *_grants_of(snapshot, Subject.AGENCY, agency.id))

        await self._live.change(decide)

    # Policies

    async def create_policy(self, name: str, document: str, *, domain: str) -> Policy:
        """A custom policy from its JSON."""
        try:
            if len(document) > _MAX_POLICY:
                raise ValueError(f"A policy has at most {_MAX_POLICY} characters.")  # noqa: TRY301
            read_policy(json.loads(document))
        except (ValueError, RecursionError) as error:
            reason = str(error).rstrip(".")
            raise DirectoryError(f"The policy cannot be used: {reason}.") from error
        if name in ROLES:
            raise DirectoryError(f"{name} is the name of a system role or policy.")
        check_name(name)
        made = Policy(secrets.token_hex(16), "", name, document)

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            owner = find_domain(snapshot, domain)
            must_be_new(snapshot.policy_named(owner.id, name), f"policy {name}")
            made = replace(made, domain_id=owner.id)
            return (made,), ()

        await self._live.change(decide)
        return made

    async def delete_policy(self, name: str, *, domain: str) -> None:
        """Remove a policy and take it from everybody who holds it."""

        def decide(snapshot: Snapshot) -> Change:
            policy = find_policy(snapshot, domain, name)
            held = [one for one in snapshot.grants.values() if one.role == policy.id]
            return (), (policy, *held)

        await self._live.change(decide)

    # Grants

    async def grant(
        self,
        role: str,
        subject: Subject,
        name: str,
        *,
        domain: str,
        project: str | None = None,
        enterprise_project_id: str = "",
    ) -> Grant:
        """Let somebody hold a role or policy in a project, or in all of the account.

        With an enterprise project it holds for the topics that belong to that one alone.
        """
        made = None
        if len(enterprise_project_id) > _MAX_ENTERPRISE_PROJECT:
            raise DirectoryError(
                f"An enterprise project's id has at most {_MAX_ENTERPRISE_PROJECT} characters."
            )

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            made = _grant(snapshot, role, subject, name, domain, project, enterprise_project_id)
            return (made,) if made.id not in snapshot.grants else (), ()

        await self._live.change(decide)
        if made is None:
            raise TypeError("A change was not decided.")
        return made

    async def revoke(
        self,
        role: str,
        subject: Subject,
        name: str,
        *,
        domain: str,
        project: str | None = None,
        enterprise_project_id: str = "",
    ) -> None:
        """Take back what was granted there."""

        def decide(snapshot: Snapshot) -> Change:
            wanted = _grant(snapshot, role, subject, name, domain, project, enterprise_project_id)
            if wanted.id not in snapshot.grants:
                raise DirectoryError(f"The {subject} {name} does not hold {role} there.")
            return (), (wanted,)

        await self._live.change(decide)


def _grant(
    snapshot: Snapshot,
    role: str,
    subject: Subject,
    name: str,
    domain: str,
    project: str | None,
    enterprise_project_id: str,
) -> Grant:
    owner = find_domain(snapshot, domain)
    policy = snapshot.policy_named(owner.id, role)
    if role not in ROLES and policy is None:
        raise DirectoryError(f"There is no role or policy {role} in the account {domain}.")
    where = "" if project is None else find_project(snapshot, domain, project).id
    policy_id = policy.id if policy else role
    return Grant(
        str(subject),
        _id(snapshot, subject, domain, name),
        policy_id,
        owner.id,
        where,
        enterprise_project_id,
    )


def _id(snapshot: Snapshot, subject: Subject, domain: str, name: str) -> str:
    match subject:
        case Subject.GROUP:
            return find_group(snapshot, domain, name).id
        case Subject.AGENCY:
            return find_agency(snapshot, domain, name).id
        case Subject.USER:
            return find_user(snapshot, domain, name).id


def _grants_of(snapshot: Snapshot, subject: Subject, subject_id: str) -> list[Grant]:
    return [
        one
        for one in snapshot.grants.values()
        if (one.subject, one.subject_id) == (subject, subject_id)
    ]
