"""What the directory's commands have in common: names, and records by name.

All raise `DirectoryError` with one sentence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from engine.errors import DirectoryError

if TYPE_CHECKING:
    from engine.iam.identities import (
        AccessKey,
        Agency,
        Domain,
        Group,
        Policy,
        Project,
        Record,
        User,
    )
    from engine.iam.snapshot import Snapshot

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@ -]{0,63}", re.ASCII)


def check_name(name: str) -> None:
    """Refuse what cannot be a name."""
    if _NAME.fullmatch(name) is None:
        raise DirectoryError(
            f"{name!r} cannot be a name: it has 1 to 64 letters, digits, spaces and . _ - @,"
            " and begins with a letter or digit."
        )


def must_be_new(record: Record | None, what: str) -> None:
    """Refuse a second one."""
    if record is not None:
        raise DirectoryError(f"There is a {what} already.")


def find_domain(snapshot: Snapshot, name: str) -> Domain:
    """The account of that name."""
    found = snapshot.domain_named(name)
    if found is None:
        raise DirectoryError(f"There is no account {name}.")
    return found


def find_project(snapshot: Snapshot, domain: str, name: str) -> Project:
    """The account's project of that name."""
    found = snapshot.project_named(find_domain(snapshot, domain).id, name)
    if found is None:
        raise DirectoryError(f"The account {domain} has no project {name}.")
    return found


def find_user(snapshot: Snapshot, domain: str, name: str) -> User:
    """The account's user of that name."""
    found = snapshot.user_named(find_domain(snapshot, domain).id, name)
    if found is None:
        raise DirectoryError(f"The account {domain} has no user {name}.")
    return found


def find_group(snapshot: Snapshot, domain: str, name: str) -> Group:
    """The account's group of that name."""
    found = snapshot.group_named(find_domain(snapshot, domain).id, name)
    if found is None:
        raise DirectoryError(f"The account {domain} has no group {name}.")
    return found


def find_agency(snapshot: Snapshot, domain: str, name: str) -> Agency:
    """The account's agency of that name."""
    found = snapshot.agency_named(find_domain(snapshot, domain).id, name)
    if found is None:
        raise DirectoryError(f"The account {domain} has no agency {name}.")
    return found


def find_policy(snapshot: Snapshot, domain: str, name: str) -> Policy:
    """The account's custom policy of that name."""
    found = snapshot.policy_named(find_domain(snapshot, domain).id, name)
    if found is None:
        raise DirectoryError(f"The account {domain} has no policy {name}.")
    return found


def find_key(snapshot: Snapshot, access_key: str) -> AccessKey:
    """The access key."""
    found = snapshot.keys.get(access_key)
    if found is None:
        raise DirectoryError(f"There is no access key {access_key}.")
    return found
