"""The directory at one moment: looked up by plain dictionaries, never changed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from engine.iam.identities import (
    AccessKey,
    Agency,
    Domain,
    Grant,
    Group,
    Policy,
    Project,
    Record,
    Subject,
    User,
)
from engine.policy.conditions import NO_FACTS, Facts
from engine.policy.permissions import (
    OWNER,
    ROLES,
    Statement,
    allows,
    needed,
    read_policy,
    within_enterprise_project,
)
from engine.urns import TopicUrn

_FULL: Final = frozenset({"Tenant Administrator"})


@dataclass(frozen=True, slots=True)
class Held:
    """A role or policy that somebody holds; ``name`` is what tokens say."""

    id: str
    name: str
    statements: tuple[Statement, ...]
    granted: str
    """The name under which it was granted."""
    enterprise_project_id: str = ""
    """The enterprise project that it is held in alone."""


_OWNS: Final = Held(OWNER.id, OWNER.token_name, OWNER.statements, OWNER.name)


class Rights:
    """What somebody may do in one project, or in an account beyond its projects.

    They are ``selective`` if that depends on what it is done to.
    """

    __slots__ = ("_decided", "_free", "_statements", "held", "selective")

    def __init__(self, held: Iterable[Held], only: Iterable[str] | None = None) -> None:
        self.held: Final = tuple(held)
        names = None if only is None else frozenset(only)
        if names is not None and OWNER.name in names:
            names |= _FULL  # programs ask an agency for it by the account's own role
        # Who asks for less still keeps what is denied.
        self._statements = tuple(
            statement
            for one in self.held
            for statement in one.statements
            if names is None or not statement.allow or {one.name, one.granted} & names
        )
        self._free = names is None and self.held == (_OWNS,)
        self.selective: Final = any(
            statement.conditions or statement.resources for statement in self._statements
        )
        self._decided: dict[tuple[str, str], bool] = {}

    def allow(
        self,
        action: str,
        operation: str,
        domain_id: str,
        topic: TopicUrn | None,
        facts: Facts | None = NO_FACTS,
    ) -> bool:
        """Whether an operation that needs ``action`` may act upon the topic, or upon any.

        ``facts`` are the request's; None stands for all that a request could have.
        """
        if self._free:
            return True
        if self.selective:
            unknown = facts is None and topic is None
            targets = () if unknown else _targets(action, domain_id, topic)
            return allows(self._statements, needed(action, operation), targets, facts)
        decided = self._decided.get((action, operation))
        if decided is None:
            decided = allows(self._statements, needed(action, operation))
            self._decided[action, operation] = decided
        return decided


NOTHING: Final = Rights(())
"""What a cloud service may do by itself."""


def _targets(action: str, domain_id: str, topic: TopicUrn | None) -> tuple[str, ...]:
    if topic is not None:
        return f"smn:{topic.region}:{domain_id}:topic:{topic.name}", str(topic)
    service, _, rest = action.partition(":")
    return (f"{service}:*:{domain_id}:{rest.partition(':')[0]}:*",)


Kind = TypeVar("Kind", bound=Record)


def _of(kind: type[Kind], records: Mapping[str, Record]) -> dict[str, Kind]:
    return {record.id: record for record in records.values() if isinstance(record, kind)}


class Snapshot:
    """All records by kind and id, and the names and memberships that follow from them."""

    def __init__(self, records: Mapping[str, Record], region: str) -> None:
        self.region = region
        self.domains = _of(Domain, records)
        self.projects = _of(Project, records)
        self.users = _of(User, records)
        self.groups = _of(Group, records)
        self.keys = _of(AccessKey, records)
        self.agencies = _of(Agency, records)
        self.policies = _of(Policy, records)
        self.grants = _of(Grant, records)
        self._names: dict[tuple[str, str, str], Record] = {}
        for record in records.values():
            if not isinstance(record, AccessKey | Grant):
                owner = "" if isinstance(record, Domain) else record.domain_id
                self._names[record.kind, owner, record.name] = record
        self._granted: dict[tuple[str, str], list[Grant]] = defaultdict(list)
        for grant in self.grants.values():
            self._granted[grant.subject, grant.subject_id].append(grant)
        self._groups: dict[str, list[str]] = defaultdict(list)
        for group in self.groups.values():
            for member in group.members:
                self._groups[member].append(group.id)
        self._rights: dict[tuple[str, str, str], Rights] = {}
        # Whoever signs, as `engine.iam.callers` has found once: every request asks again.
        self.holders: dict[str, object] = {}

    def domain_named(self, name: str | None) -> Domain | None:
        """The account of that name."""
        found = self._names.get(("domain", "", name or ""))
        return found if isinstance(found, Domain) else None

    def project_named(self, domain_id: str, name: str | None) -> Project | None:
        """The project of that name in an account."""
        found = self._names.get(("project", domain_id, name or ""))
        return found if isinstance(found, Project) else None

    def user_named(self, domain_id: str, name: str | None) -> User | None:
        """The user of that name in an account."""
        found = self._names.get(("user", domain_id, name or ""))
        return found if isinstance(found, User) else None

    def group_named(self, domain_id: str, name: str) -> Group | None:
        """The group of that name in an account."""
        found = self._names.get(("group", domain_id, name))
        return found if isinstance(found, Group) else None

    def agency_named(self, domain_id: str, name: str | None) -> Agency | None:
        """The agency of that name in an account."""
        found = self._names.get(("agency", domain_id, name or ""))
        return found if isinstance(found, Agency) else None

    def policy_named(self, domain_id: str, name: str) -> Policy | None:
        """The custom policy of that name in an account."""
        found = self._names.get(("policy", domain_id, name))
        return found if isinstance(found, Policy) else None

    def default_project(self, domain_id: str) -> Project | None:
        """The account's project that is named after the region."""
        return self.project_named(domain_id, self.region)

    def rights(self, subject: Subject, subject_id: str, project_id: str) -> Rights:
        """What a user or agency may do in a project; '' for the account alone."""
        key = (subject, subject_id, project_id)
        found = self._rights.get(key)
        if found is None:
            found = self._rights[key] = Rights(self._held(subject, subject_id, project_id))
        return found

    def _held(self, subject: Subject, subject_id: str, project_id: str) -> list[Held]:
        if subject is Subject.USER and (user := self.users.get(subject_id)) and user.owner:
            return [_OWNS]
        grants = list(self._granted.get((subject, subject_id), ()))
        if subject is Subject.USER:
            for group_id in self._groups.get(subject_id, ()):
                grants += self._granted.get((Subject.GROUP, group_id), ())
        places: dict[str, set[str]] = defaultdict(set)
        for grant in grants:
            if grant.project_id in {"", project_id}:
                places[grant.enterprise_project_id].add(grant.role)
        return [
            held
            for place, roles in sorted(places.items())
            for name in sorted(roles)
            if (held := self._one_held(name, roles | places[""], place)) is not None
        ]

    def _one_held(self, name: str, roles: set[str], enterprise_project_id: str) -> Held | None:
        role, policy = ROLES.get(name), self.policies.get(name)
        if role is not None:
            statements = role.statements if not role.needs or role.needs in roles else ()
            held = Held(role.id, role.token_name, statements, role.name)
        elif policy is not None:
            statements = read_policy(json.loads(policy.document))
            held = Held(policy.id, policy.name, statements, policy.name)
        else:
            return None
        if not enterprise_project_id:
            return held
        return replace(
            held,
            statements=within_enterprise_project(held.statements, enterprise_project_id),
            enterprise_project_id=enterprise_project_id,
        )
