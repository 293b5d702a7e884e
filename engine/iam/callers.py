"""Who calls: a user, an agency in whose name a user acts, or a cloud service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from engine.errors import Refused
from engine.iam.identities import Agency, Domain, Project, State, Subject, User
from engine.iam.snapshot import NOTHING, Rights, Snapshot
from engine.iam.tokens import Token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, in which account and project.

    ``user`` is the person behind it; ``domain`` is the account acted in, which is the trusting
    one if an ``agency`` is acted as. ``project`` is None if the caller acts in none. ``token``
    is None for a signed request; ``service`` names the cloud service that the key is for;
    ``until_ms`` is when a temporary key ends.
    """

    snapshot: Snapshot
    user: User
    domain: Domain
    project: Project | None
    token: Token | None = None
    agency: Agency | None = None
    access_key: str = ""
    service: str = ""
    only: tuple[str, ...] | None = None
    until_ms: int = 0

    @property
    def project_id(self) -> str:
        """The project that the caller acts in, empty if there is none."""
        return self.project.id if self.project else ""

    @property
    def domain_id(self) -> str:
        """The account that the caller acts in."""
        return self.domain.id

    @property
    def domain_name(self) -> str:
        """Its name."""
        return self.domain.name

    @property
    def user_id(self) -> str:
        """The id that audits and tokens show: an agency's if one is acted as."""
        return self.agency.id if self.agency else self.user.id

    @property
    def user_name(self) -> str:
        """The name that audits and tokens show; an agency's follows its account's."""
        return f"{self.domain.name}/{self.agency.name}" if self.agency else self.user.name

    @property
    def rights(self) -> Rights:
        """What the caller may do where it acts."""
        if self.service:
            return NOTHING
        subject = Subject.AGENCY if self.agency else Subject.USER
        found = self.snapshot.rights(subject, self.user_id, self.project_id)
        return found if self.only is None else Rights(found.held, self.only)

    def within(self, project_id: str) -> Self:
        """The same caller acting in a project; raises `Refused` SMN.0001 unless it is its own."""
        if project_id == self.project_id:
            return self
        project = self.snapshot.projects.get(project_id)
        if project is None or project.domain_id != self.domain.id or not project.enabled:
            raise Refused("SMN.0001")
        return replace(self, project=project)


def bearer(snapshot: Snapshot, token: Token) -> Caller | None:
    """Who a token stands for; None if it has ended with something that it rests on."""
    user = snapshot.users.get(token.user_id)
    if user is None or not user.enabled or user.epoch != token.epoch:
        return None
    home = snapshot.domains.get(user.domain_id)
    agency = None
    domain = home
    if token.agency_id:
        agency = snapshot.agencies.get(token.agency_id)
        if agency is None or agency.trusted_domain_id != user.domain_id:
            return None
        domain = snapshot.domains.get(agency.domain_id)
    if home is None or domain is None or State.DISABLED in {home.state, domain.state}:
        return None
    project = None
    if token.project_id:
        project = snapshot.projects.get(token.project_id)
        if project is None or not project.enabled or project.domain_id != domain.id:
            return None
    return Caller(snapshot, user, domain, project, token, agency, only=token.only)


def holder(snapshot: Snapshot, access_key: str) -> Caller | None:
    """Who holds a permanent access key; None if it is not valid."""
    known = snapshot.holders.get(access_key)
    if isinstance(known, Caller):
        return known
    found = _holder(snapshot, access_key)
    if found is not None:
        snapshot.holders[access_key] = found
    return found


def _holder(snapshot: Snapshot, access_key: str) -> Caller | None:
    key = snapshot.keys.get(access_key)
    user = snapshot.users.get(key.user_id) if key is not None and key.enabled else None
    domain = snapshot.domains.get(user.domain_id) if user is not None and user.enabled else None
    if key is None or user is None or domain is None or domain.state == State.DISABLED:
        return None
    project = snapshot.default_project(domain.id)
    if project is not None and not project.enabled:
        project = None
    return Caller(snapshot, user, domain, project, access_key=key.id, service=key.service)
