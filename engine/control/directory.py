"""The directory's accounts: domains, projects, users and access keys, as operators manage them.

Groups, agencies, policies and grants are in `engine.control.access`. Every method raises
`DirectoryError` with one sentence for what cannot be, and `StoreError`; names are those of the
account that ``domain`` names.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from engine.control.access import Access
from engine.control.naming import (
    check_name,
    find_domain,
    find_key,
    find_project,
    find_user,
    must_be_new,
)
from engine.errors import DirectoryError
from engine.iam.identities import (
    AccessKey,
    Domain,
    Project,
    Record,
    State,
    Subject,
    User,
    key_context,
    passcode_context,
)
from engine.iam.passcodes import new_secret
from engine.iam.passwords import MAX_BYTES, hash_password

if TYPE_CHECKING:
    from engine.iam.live import LiveDirectory
    from engine.iam.snapshot import Snapshot
    from engine.store.accounts import Accounts

_SERVICE: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MIN_PASSWORD: Final = 8
_ORG_PATH: Final = re.compile(r"o-[^\s/*]+/r-[^\s/*]+(/ou-[^\s/*]+)*")

Change = tuple[Iterable[Record], Iterable[Record]]


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A domain with its default project and its owner, whose password is shown this once."""

    domain: Domain
    project: Project
    user: User
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """An access key with its secret, which is shown this once."""

    key: AccessKey
    secret: str = field(repr=False)


class Directory:
    """Who there is. ``live`` is what this process knows of it, ``access`` who may do what."""

    def __init__(self, live: LiveDirectory, accounts: Accounts) -> None:
        self.live: Final = live
        self.access: Final = Access(live)
        self._accounts = accounts

    async def now(self) -> Snapshot:
        """Everything as it is now."""
        return await self.live.refresh()

    # Domains

    async def create_domain(
        self, name: str, *, org_paths: tuple[str, ...] = (), password: str | None = None
    ) -> NewAccount:
        """An account of its own: its owner has the account's name and every permission."""
        check_name(name)
        _check_org_paths(org_paths)
        password, hashed = await _password(password)
        domain = Domain(secrets.token_hex(16), name, org_paths=org_paths)
        project = Project(secrets.token_hex(16), domain.id, self.live.region)
        owner = User(
            secrets.token_hex(16), domain.id, name, hashed, secrets.token_hex(8), owner=True
        )

        def decide(snapshot: Snapshot) -> Change:
            must_be_new(snapshot.domain_named(name), f"account {name}")
            return (domain, project, owner), ()

        await self.live.change(decide)
        return NewAccount(domain, project, owner, password)

    async def set_state(self, name: str, state: State) -> None:
        """Let an account work, or restrict, suspend or disable it."""

        def decide(snapshot: Snapshot) -> Change:
            return (replace(find_domain(snapshot, name), state=str(state)),), ()

        await self.live.change(decide)

    async def place_domain(self, name: str, org_paths: tuple[str, ...]) -> None:
        """Say where an account stands in its organisation: there alone, or nowhere."""
        _check_org_paths(org_paths)

        def decide(snapshot: Snapshot) -> Change:
            return (replace(find_domain(snapshot, name), org_paths=org_paths),), ()

        await self.live.change(decide)

    async def delete_domain(self, name: str) -> None:
        """Remove an account with everything of it; its topics must be gone before."""
        own = await self._accounts.bootstrap()

        def decide(snapshot: Snapshot) -> Change:
            domain = find_domain(snapshot, name)
            if domain.id == own.domain_id:
                raise DirectoryError("The data set's own account cannot be deleted.")
            users = [one for one in snapshot.users.values() if one.domain_id == domain.id]
            ids = {one.id for one in users}
            agencies = {
                one.id: one
                for one in snapshot.agencies.values()
                if domain.id in {one.domain_id, one.trusted_domain_id}
            }
            return (), (
                domain,
                *users,
                *(one for one in snapshot.keys.values() if one.user_id in ids),
                *(one for one in snapshot.projects.values() if one.domain_id == domain.id),
                *(one for one in snapshot.groups.values() if one.domain_id == domain.id),
                *(one for one in snapshot.policies.values() if one.domain_id == domain.id),
                *agencies.values(),
                *(
                    one
                    for one in snapshot.grants.values()
                    if one.domain_id == domain.id or one.subject_id in agencies
                ),
            )

        await self.live.change(decide)

    # Projects

    async def create_project(self, name: str, *, domain: str) -> Project:
        """A project; beside the default one they are called ``region_name``."""
        made = Project(secrets.token_hex(16), "", name)

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            prefix = f"{snapshot.region}_"
            check_name(name)
            if name != snapshot.region and not name.startswith(prefix):
                raise DirectoryError(f"A project's name begins with {prefix}.")
            owner = find_domain(snapshot, domain)
            must_be_new(snapshot.project_named(owner.id, name), f"project {name}")
            made = replace(made, domain_id=owner.id)
            return (made,), ()

        await self.live.change(decide)
        return made

    async def enable_project(self, name: str, *, domain: str, enabled: bool) -> None:
        """Let a project work, or let nobody into it."""

        def decide(snapshot: Snapshot) -> Change:
            return (replace(find_project(snapshot, domain, name), enabled=enabled),), ()

        await self.live.change(decide)

    async def delete_project(self, name: str, *, domain: str) -> None:
        """Remove a project; its tokens end. Its topics must be gone before."""
        own = await self._accounts.bootstrap()

        def decide(snapshot: Snapshot) -> Change:
            project = find_project(snapshot, domain, name)
            if project.id == own.project_id:
                raise DirectoryError("The data set's own project cannot be deleted.")
            grants = [one for one in snapshot.grants.values() if one.project_id == project.id]
            return (), (project, *grants)

        await self.live.change(decide)

    # Users

    async def create_user(
        self, name: str, *, domain: str, password: str | None = None
    ) -> tuple[User, str]:
        """A user without any permission yet, and the password."""
        check_name(name)
        password, hashed = await _password(password)
        made = User(secrets.token_hex(16), "", name, hashed, secrets.token_hex(8))

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            owner = find_domain(snapshot, domain)
            must_be_new(snapshot.user_named(owner.id, name), f"user {name}")
            made = replace(made, domain_id=owner.id)
            return (made,), ()

        await self.live.change(decide)
        return made, password

    async def set_password(self, name: str, *, domain: str, password: str | None = None) -> str:
        """Another password; the user's tokens end."""
        password, hashed = await _password(password)

        def decide(snapshot: Snapshot) -> Change:
            user = find_user(snapshot, domain, name)
            return (replace(user, password_hash=hashed, epoch=secrets.token_hex(8)),), ()

        await self.live.change(decide)
        return password

    async def demand_passcodes(self, name: str, *, domain: str) -> str:
        """Let a user log in with a password and passcode only, of this secret; its tokens end."""
        secret = new_secret()

        def decide(snapshot: Snapshot) -> Change:
            user = find_user(snapshot, domain, name)
            sealed = self.live.seal(secret, passcode_context(user.id))
            return (replace(user, passcode_secret=sealed, epoch=secrets.token_hex(8)),), ()

        await self.live.change(decide)
        return secret

    async def waive_passcodes(self, name: str, *, domain: str) -> None:
        """Let a user log in with a password alone; its tokens end."""

        def decide(snapshot: Snapshot) -> Change:
            user = find_user(snapshot, domain, name)
            return (replace(user, passcode_secret="", epoch=secrets.token_hex(8)),), ()

        await self.live.change(decide)

    async def enable_user(self, name: str, *, domain: str, enabled: bool) -> None:
        """Let a user in again, or end its tokens and let it in no more."""

        def decide(snapshot: Snapshot) -> Change:
            user = find_user(snapshot, domain, name)
            return (replace(user, enabled=enabled, epoch=secrets.token_hex(8)),), ()

        await self.live.change(decide)

    async def delete_user(self, name: str, *, domain: str) -> None:
        """Remove a user with keys, memberships and grants; its tokens end."""

        def decide(snapshot: Snapshot) -> Change:
            user = find_user(snapshot, domain, name)
            if user.owner:
                raise DirectoryError("The owner of an account goes with the account only.")
            groups = [
                replace(group, members=tuple(one for one in group.members if one != user.id))
                for group in snapshot.groups.values()
                if user.id in group.members
            ]
            keys = [one for one in snapshot.keys.values() if one.user_id == user.id]
            grants = [
                one
                for one in snapshot.grants.values()
                if (one.subject, one.subject_id) == (Subject.USER, user.id)
            ]
            return groups, (user, *keys, *grants)

        await self.live.change(decide)

    # Access keys

    async def create_key(self, user: str, *, domain: str, service: str = "") -> NewKey:
        """A further key of a user, or with ``service`` the identity of a cloud service."""
        if service and _SERVICE.fullmatch(service) is None:
            raise DirectoryError(f"{service!r} cannot be the name of a cloud service.")
        access, secret = _letters(20), _letters(40)
        sealed = self.live.seal(secret, key_context(access))
        made = AccessKey(access, "", sealed, service=service)

        def decide(snapshot: Snapshot) -> Change:
            nonlocal made
            made = replace(made, user_id=find_user(snapshot, domain, user).id)
            return (made,), ()

        await self.live.change(decide)
        return NewKey(made, secret)

    async def enable_key(self, access_key: str, *, enabled: bool) -> None:
        """Let a key sign again, or no more."""

        def decide(snapshot: Snapshot) -> Change:
            return (replace(find_key(snapshot, access_key), enabled=enabled),), ()

        await self.live.change(decide)

    async def delete_key(self, access_key: str) -> None:
        """Remove a key."""

        def decide(snapshot: Snapshot) -> Change:
            return (), (find_key(snapshot, access_key),)

        await self.live.change(decide)


async def _password(given: str | None) -> tuple[str, str]:
    """The password, a fresh one if none is given, and its hash."""
    password = secrets.token_urlsafe(18) if given is None else given
    if not _MIN_PASSWORD <= len(password.encode()) <= MAX_BYTES:
        raise DirectoryError(f"A password has {_MIN_PASSWORD} to {MAX_BYTES} bytes.")
    return password, await asyncio.to_thread(hash_password, password)


def _check_org_paths(org_paths: tuple[str, ...]) -> None:
    for path in org_paths:
        if _ORG_PATH.fullmatch(path) is None:
            raise DirectoryError(f"{path!r} is no path in an organisation: o-…/r-…/ou-….")


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
