"""``tocsin iam domain|project``: accounts and their projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.iam_common import Domain, Name, PasswordStdin, act, password_from, say, show, where

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.iam.snapshot import Snapshot

domains = typer.Typer(no_args_is_help=True, help="Manage accounts (domains).")
projects = typer.Typer(no_args_is_help=True, help="Manage the projects of an account.")

OrgPath = Annotated[
    list[str] | None,
    typer.Option("--org-path", metavar="PATH", help="place in an organisation: o-…/r-…/ou-…"),
]


@domains.command("create")
def create_domain(
    name: Name,
    *,
    org_path: OrgPath = None,
    password_stdin: PasswordStdin = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make an account with a project, and an owner who may do everything in it.

    The owner's password is shown this once.

    Example: tocsin iam domain create acme
    """
    password = password_from(stdin=password_stdin)

    async def work(engine: Engine, _: str) -> dict[str, Any]:
        new = await engine.directory.create_domain(
            name, org_paths=tuple(org_path or ()), password=password
        )
        shown = {"password": new.password} if password is None else {}
        return {
            "domain_id": new.domain.id,
            "domain": new.domain.name,
            "project_id": new.project.id,
            "project": new.project.name,
            "user": new.user.name,
            **shown,
        }

    show([act(where(config, data, redis), None, work)], as_json=as_json)


@domains.command("list")
def list_domains(
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List all accounts.

    Example: tocsin iam domain list --json
    """

    async def work(engine: Engine, _: str) -> list[dict[str, Any]]:
        known = await engine.directory.now()
        return [
            {"id": one.id, "name": one.name, "state": str(one.state), "org_paths": one.org_paths}
            for one in sorted(known.domains.values(), key=lambda one: one.name)
        ]

    show(act(where(config, data, redis), None, work), as_json=as_json)


@domains.command("enable")
def enable_domain(
    name: Name,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Let an account work again.

    Example: tocsin iam domain enable acme
    """
    from engine.iam.identities import State

    async def work(engine: Engine, _: str) -> None:
        await engine.directory.set_state(name, State.ACTIVE)

    act(where(config, data, redis), None, work)
    say("enabled", name, as_json=as_json)


@domains.command("disable")
def disable_domain(
    name: Name,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Let nobody of an account in any more.

    Example: tocsin iam domain disable acme
    """
    from engine.iam.identities import State

    async def work(engine: Engine, _: str) -> None:
        await engine.directory.set_state(name, State.DISABLED)

    act(where(config, data, redis), None, work)
    say("disabled", name, as_json=as_json)


@domains.command("restrict")
def restrict_domain(
    name: Name,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Answer an account's requests with SMN.0070, as for one in arrears.

    Example: tocsin iam domain restrict acme
    """
    from engine.iam.identities import State

    async def work(engine: Engine, _: str) -> None:
        await engine.directory.set_state(name, State.RESTRICTED)

    act(where(config, data, redis), None, work)
    say("restricted", name, as_json=as_json)


@domains.command("suspend")
def suspend_domain(
    name: Name,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Answer an account's requests with SMN.0071, as for a frozen one.

    Example: tocsin iam domain suspend acme
    """
    from engine.iam.identities import State

    async def work(engine: Engine, _: str) -> None:
        await engine.directory.set_state(name, State.SUSPENDED)

    act(where(config, data, redis), None, work)
    say("suspended", name, as_json=as_json)


@domains.command("delete")
def delete_domain(
    name: Name,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Delete an account with its users, keys and grants; its topics must be gone before.

    Example: tocsin iam domain delete acme
    """

    async def work(engine: Engine, _: str) -> None:
        known = await engine.directory.now()
        found = known.domain_named(name)
        for project in known.projects.values():
            if found is not None and project.domain_id == found.id:
                await _must_be_empty(engine, project.id, project.name)
        await engine.directory.delete_domain(name)

    act(where(config, data, redis), None, work)
    say("deleted", name, as_json=as_json)


@projects.command("create")
def create_project(
    name: Name,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make a project; its name is the region's, an underscore and a word.

    Example: tocsin iam project create region01_dev
    """

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new = await engine.directory.create_project(name, domain=account)
        return {"id": new.id, "name": new.name, "domain": account}

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@projects.command("list")
def list_projects(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List an account's projects.

    Example: tocsin iam project list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        known = await engine.directory.now()
        return [
            {"id": one.id, "name": one.name, "domain": account, "enabled": one.enabled}
            for one in sorted(known.projects.values(), key=lambda one: one.name)
            if one.domain_id == _id(known, account)
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


@projects.command("enable")
def enable_project(
    name: Name,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Let callers into a project again.

    Example: tocsin iam project enable region01_dev
    """

    async def work(engine: Engine, account: str) -> None:
        await engine.directory.enable_project(name, domain=account, enabled=True)

    act(where(config, data, redis), domain, work)
    say("enabled", name, as_json=as_json)


@projects.command("disable")
def disable_project(
    name: Name,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Let nobody into a project.

    Example: tocsin iam project disable region01_dev
    """

    async def work(engine: Engine, account: str) -> None:
        await engine.directory.enable_project(name, domain=account, enabled=False)

    act(where(config, data, redis), domain, work)
    say("disabled", name, as_json=as_json)


@projects.command("delete")
def delete_project(
    name: Name,
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Delete a project and end its tokens; its topics must be gone before.

    Example: tocsin iam project delete region01_dev
    """

    async def work(engine: Engine, account: str) -> None:
        known = await engine.directory.now()
        found = known.project_named(_id(known, account), name)
        if found is not None:
            await _must_be_empty(engine, found.id, name)
        await engine.directory.delete_project(name, domain=account)

    act(where(config, data, redis), domain, work)
    say("deleted", name, as_json=as_json)


async def _must_be_empty(engine: Engine, project_id: str, name: str) -> None:
    from engine.errors import DirectoryError

    count = (await engine.topics.list(project_id, limit=1)).total
    if count:
        raise DirectoryError(f"The project {name} still has topics ({count}): delete them first.")


def _id(known: Snapshot, account: str) -> str:
    from engine.control.naming import find_domain

    return find_domain(known, account).id
