"""What answers of the identity service show (Keystone v3)."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from engine.api.bodies import Shown


class Named(Shown):
    """Something by id and name."""

    id: str
    name: str


class InDomain(Named):
    """A project, with the domain that it belongs to."""

    domain: Named


class TokenUser(InDomain):
    """Whose token it is."""

    password_expires_at: str


class ServiceEndpoint(Shown):
    """Where a service is."""

    id: str
    interface: str
    region: str
    region_id: str
    url: str


class Service(Named):
    """A service of the catalog; clients look for its type."""

    type: str
    endpoints: list[ServiceEndpoint]


class TokenDescription(Shown):
    """A token: what it is good for. Without a scope it has no roles and no catalog."""

    methods: list[str]
    expires_at: str
    issued_at: str
    user: TokenUser
    project: InDomain | None = None
    domain: Named | None = None
    roles: list[Named] | None = None
    catalog: list[Service] | None = None
    assumed_by: dict[str, Any] | None = None


class TokenShown(Shown):
    """The token's description; its text is in the header ``X-Subject-Token``."""

    token: TokenDescription


class OwnLink(Shown):
    """Where this is."""

    self: str


class Links(OwnLink):
    """Where this is; there are no further pages."""

    next: str | None = None
    previous: str | None = None


class Catalog(Shown):
    """Where the services are."""

    catalog: list[Service]
    links: OwnLink


class Project(Named):
    """A project; the default one of a region has the region's name."""

    domain_id: str
    parent_id: str
    is_domain: bool
    enabled: bool
    description: str
    links: Links


class Projects(Shown):
    """The projects that the caller may use."""

    projects: list[Project]
    links: Links


class Domain(Named):
    """An account."""

    enabled: bool
    description: str
    links: OwnLink


class Domains(Shown):
    """The domains that the caller may use, that is one."""

    domains: list[Domain]
    links: Links


class UserItem(Named):
    """A user of an account."""

    domain_id: str
    enabled: bool
    description: str
    password_expires_at: str | None = None
    links: Links


class Users(Shown):
    """The users of the caller's account."""

    users: list[UserItem]
    links: Links


class TemporaryKey(Shown):
    """An access key and the token that must come with each request that it signs."""

    access: str
    secret: str
    securitytoken: str
    expires_at: str


class TemporaryKeyShown(Shown):
    """A temporary access key, which is shown this once."""

    credential: TemporaryKey


class VersionLink(Shown):
    """A link of a version document."""

    rel: str
    href: str


class IdentityVersion(Shown):
    """The version of the identity service."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    status: str
    updated: str
    links: list[VersionLink]
    media_types: list[Any] = Field(alias="media-types")


class OneIdentityVersion(Shown):
    """The version document that clients look at before they log in."""

    version: IdentityVersion
