"""Who and what the directory knows: plain records, and how they are stored.

A record is stored as JSON under ``kind:id``; secrets in it are hashed or encrypted before.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Final


class State(StrEnum):
    """What an account may do as a whole."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    SUSPENDED = "suspended"
    DISABLED = "disabled"


class Subject(StrEnum):
    """What roles and policies are granted to."""

    USER = "user"
    GROUP = "group"
    AGENCY = "agency"


@dataclass(frozen=True, slots=True)
class Domain:
    """An account. ``org_paths`` say where it stands in its organisation."""

    kind: ClassVar[str] = "domain"
    id: str
    name: str
    state: str = State.ACTIVE
    org_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A project of an account: the region's own, or a part of it (``region_name``)."""

    kind: ClassVar[str] = "project"
    id: str
    domain_id: str
    name: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """A user. ``owner`` is the account itself, which may do everything.

    With a ``passcode_secret``, which is encrypted, a password is not enough to log in.
    ``epoch`` changes with either and when the user is disabled: tokens of before end.
    """

    kind: ClassVar[str] = "user"
    id: str
    domain_id: str
    name: str
    password_hash: str = field(repr=False)
    epoch: str = ""
    enabled: bool = True
    owner: bool = False
    passcode_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Users who are granted things together; ``members`` are ids."""

    kind: ClassVar[str] = "group"
    id: str
    domain_id: str
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of a user; ``id`` is the AK, ``secret`` the encrypted SK.

    With a ``service`` it is that cloud service's identity instead of its user's.
    """

    kind: ClassVar[str] = "key"
    id: str
    user_id: str
    secret: str = field(repr=False)
    enabled: bool = True
    service: str = ""


@dataclass(frozen=True, slots=True)
class Agency:
    """What an account (``domain_id``) lets users of another do in its name."""

    kind: ClassVar[str] = "agency"
    id: str
    domain_id: str
    name: str
    trusted_domain_id: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A custom policy: ``document`` is its JSON."""

    kind: ClassVar[str] = "policy"
    id: str
    domain_id: str
    name: str
    document: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A system role (by name) or custom policy (by id) that somebody holds.

    It holds in one project, or without ``project_id`` in all of the account ``domain_id``; with
    an ``enterprise_project_id`` only for what belongs to that enterprise project.
    """

    kind: ClassVar[str] = "grant"
    subject: str
    subject_id: str
    role: str
    domain_id: str
    project_id: str = ""
    enterprise_project_id: str = ""

    @property
    def id(self) -> str:
        """The same for the same grant, so that granting twice is granting once."""
        where = self.project_id or "*"
        if self.enterprise_project_id:
            where = f"{where}/{self.enterprise_project_id}"
        return f"{self.subject}:{self.subject_id}:{where}:{self.role}"


Record = Domain | Project | User | Group | AccessKey | Agency | Policy | Grant

KINDS: Final[dict[str, type[Any]]] = {
    one.kind: one for one in (Domain, Project, User, Group, AccessKey, Agency, Policy, Grant)
}


def name_of(record: Record) -> str:
    """The field under which a record is stored."""
    return f"{record.kind}:{record.id}"


def key_context(access_key: str) -> str:
    """What the vault binds an encrypted secret key to."""
    return f"key:{access_key}"


def passcode_context(user_id: str) -> str:
    """What the vault binds an encrypted secret of passcodes to."""
    return f"passcode:{user_id}"


def encode(record: Record) -> str:
    """The JSON of a record."""
    return json.dumps(asdict(record), separators=(",", ":"))


def decode(name: str, stored: str) -> Record:
    """The record of a stored field; unknown members are those of a later version."""
    kind = KINDS[name.partition(":")[0]]
    given = json.loads(stored)
    known = {
        one.name: tuple(given[one.name]) if isinstance(given[one.name], list) else given[one.name]
        for one in fields(kind)
        if one.name in given
    }
    record: Record = kind(**known)
    return record
