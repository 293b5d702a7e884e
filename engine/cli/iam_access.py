"""``tocsin iam group|agency|policy``: who is granted things together, and what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.iam_common import Domain, Name, act, command, say, show, where

if TYPE_CHECKING:
    from engine.app import Engine

groups = typer.Typer(
    no_args_is_help=True,
    help="Manage the groups of an account.\n\nExample: tocsin iam group create operators",
)
agencies = typer.Typer(
    no_args_is_help=True,
    help="Let other accounts act in this one.\n\nExample: tocsin iam agency list",
)
policies = typer.Typer(
    no_args_is_help=True, help="Manage custom policies.\n\nExample: tocsin iam policy list"
)

User = Annotated[str, typer.Argument(metavar="USER", show_default=False)]
Trusted = Annotated[
    str, typer.Option(metavar="NAME", help="the account that is trusted", show_default=False)
]
Document = Annotated[
    Path, typer.Argument(metavar="FILE", help="the policy as JSON", show_default=False)
]


@groups.command("create")
def create_group(
    name: Name,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make a group.

    Example: tocsin iam group create ops
    """

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new = await engine.directory.access.create_group(name, domain=account)
        return {"id": new.id, "name": new.name, "domain": account}

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@groups.command("list")
def list_groups(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List an account's groups and their members.

    Example: tocsin iam group list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain

        known = await engine.directory.now()
        owner = find_domain(known, account)
        return [
            {"id": one.id, "name": one.name, "domain": account}
            | {"members": [known.users[user].name for user in one.members]}
            for one in sorted(known.groups.values(), key=lambda one: one.name)
            if one.domain_id == owner.id
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


def _membership(name: str, done: str, about: str, *, member: bool) -> None:
    def change(
        name: Name,
        user: User,
        *,
        domain: Domain = None,
        as_json: options.Json = False,
        config: options.Config = None,
        data: options.Data = None,
        redis: options.Redis = None,
    ) -> None:
        async def work(engine: Engine, account: str) -> None:
            access = engine.directory.access
            await access.set_member(name, user, domain=account, member=member)

        act(where(config, data, redis), domain, work)
        say(done, user, as_json=as_json)

    example = f"Example: tocsin iam group {name} ops alice"
    groups.command(name, help=f"{about}\n\n{example}")(change)


_membership("add", "added", "Take a user into a group.", member=True)
_membership("remove", "removed", "Take a user out of a group.", member=False)


async def _delete_group(engine: Engine, name: str, account: str) -> None:
    await engine.directory.access.delete_group(name, domain=account)


command(
    groups,
    "delete",
    "deleted",
    "Delete a group with its grants.",
    _delete_group,
    example="group delete ops",
)


@agencies.command("create")
def create_agency(
    name: Name,
    *,
    trusted: Trusted,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Let users of another account act in this one, as far as is granted.

    Example: tocsin iam agency create ops --trusted acme
    """

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new = await engine.directory.access.create_agency(name, domain=account, trusted=trusted)
        return {"id": new.id, "name": new.name, "domain": account, "trusted": trusted}

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@agencies.command("list")
def list_agencies(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List an account's agencies.

    Example: tocsin iam agency list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain

        known = await engine.directory.now()
        owner = find_domain(known, account)
        return [
            {"id": one.id, "name": one.name, "domain": account}
            | {"trusted": known.domains[one.trusted_domain_id].name}
            for one in sorted(known.agencies.values(), key=lambda one: one.name)
            if one.domain_id == owner.id
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


async def _delete_agency(engine: Engine, name: str, account: str) -> None:
    await engine.directory.access.delete_agency(name, domain=account)


command(
    agencies,
    "delete",
    "deleted",
    "Delete an agency and end its tokens.",
    _delete_agency,
    example="agency delete ops",
)


@policies.command("create")
def create_policy(
    name: Name,
    document: Document,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make a custom policy from a JSON file.

    Example: tocsin iam policy create publishers policy.json
    """
    text = _read(document)

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new = await engine.directory.access.create_policy(name, text, domain=account)
        return {"id": new.id, "name": new.name, "domain": account}

    show([act(where(config, data, redis), domain, work)], as_json=as_json)
    _advise(text)


@policies.command("list")
def list_policies(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List system roles and policies, and an account's own policies.

    Example: tocsin iam policy list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain
        from engine.policy.permissions import ROLES

        known = await engine.directory.now()
        owner = find_domain(known, account)
        system = [{"id": one.id, "name": one.name, "type": "system"} for one in ROLES.values()]
        return system + [
            {"id": one.id, "name": one.name, "type": "custom", "document": one.document}
            for one in sorted(known.policies.values(), key=lambda one: one.name)
            if one.domain_id == owner.id
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


async def _delete_policy(engine: Engine, name: str, account: str) -> None:
    await engine.directory.access.delete_policy(name, domain=account)


command(
    policies,
    "delete",
    "deleted",
    "Delete a custom policy and take it from everybody who holds it.",
    _delete_policy,
    example="policy delete publishers",
)


def _advise(document: str) -> None:
    """What the policy should allow as well, if nothing else that is held does."""
    from engine.policy.permissions import lacking, read_policy

    missing = lacking(read_policy(json.loads(document)))
    if missing:
        typer.echo(f"What it allows is meant to go with {', '.join(missing)}.", err=True)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}.") from error
