"""``tocsin iam domain|project``: accounts and their projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.iam_common import (
    Domain,
    Name,
    PasswordStdin,
    PlainWork,
    Work,
    act,
    command,
    command_for_all,
    password_from,
    say,
    show,
    where,
)

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.iam.snapshot import Snapshot

domains = typer.Typer(
    no_args_is_help=True, help="Manage accounts (domains).\n\nExample: tocsin iam domain list"
)
projects = typer.Typer(
    no_args_is_help=True,
    help="Manage the projects of an account.\n\nExample: tocsin iam project list",
)

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


def _let(state: str) -> PlainWork:
    async def work(engine: Engine, name: str) -> None:
        from engine.iam.identities import State

        await engine.directory.set_state(name, State(state))

    return work


async def _delete_domain(engine: Engine, name: str) -> None:
    known = await engine.directory.now()
    found = known.domain_named(name)
    for project in known.projects.values():
        if found is not None and project.domain_id == found.id:
            await _must_be_empty(engine, project.id, project.name)
    await engine.directory.delete_domain(name)


for _verb, _done, _state, _about in (
    ("enable", "enabled", "active", "Let an account work again."),
    ("disable", "disabled", "disabled", "Let nobody of an account in any more."),
    (
        "restrict",
        "restricted",
        "restricted",
        "Answer an account's requests with SMN.0070, as for one in arrears.",
    ),
    (
        "suspend",
        "suspended",
        "suspended",
        "Answer an account's requests with SMN.0071, as for a frozen one.",
    ),
):
    command_for_all(domains, _verb, _done, _about, _let(_state), example=f"domain {_verb} acme")
command_for_all(
    domains,
    "delete",
    "deleted",
    "Delete an account with its users, keys and grants; its topics must be gone before.",
    _delete_domain,
    example="domain delete acme",
)


@domains.command("place")
def place_domain(
    name: Name,
    *,
    org_path: OrgPath = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Say where an account stands in its organisation; without a path, nowhere.

    Access policies of topics let accounts in by these paths.

    Example: tocsin iam domain place acme --org-path o-1/r-1/ou-sales
    """

    async def work(engine: Engine, _: str) -> None:
        await engine.directory.place_domain(name, tuple(org_path or ()))

    act(where(config, data, redis), None, work)
    say("placed", name, as_json=as_json)


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


def _let_into(*, enabled: bool) -> Work:
    async def work(engine: Engine, name: str, account: str) -> None:
        await engine.directory.enable_project(name, domain=account, enabled=enabled)

    return work


async def _delete_project(engine: Engine, name: str, account: str) -> None:
    known = await engine.directory.now()
    found = known.project_named(_id(known, account), name)
    if found is not None:
        await _must_be_empty(engine, found.id, name)
    await engine.directory.delete_project(name, domain=account)


command(
    projects,
    "enable",
    "enabled",
    "Let callers into a project again.",
    _let_into(enabled=True),
    example="project enable region01_dev",
)
command(
    projects,
    "disable",
    "disabled",
    "Let nobody into a project.",
    _let_into(enabled=False),
    example="project disable region01_dev",
)
command(
    projects,
    "delete",
    "deleted",
    "Delete a project and end its tokens; its topics must be gone before.",
    _delete_project,
    example="project delete region01_dev",
)


async def _must_be_empty(engine: Engine, project_id: str, name: str) -> None:
    from engine.errors import DirectoryError

    count = (await engine.topics.list(project_id, limit=1)).total
    if count:
        raise DirectoryError(f"The project {name} still has topics ({count}): delete them first.")


def _id(known: Snapshot, account: str) -> str:
    from engine.control.naming import find_domain

    return find_domain(known, account).id
