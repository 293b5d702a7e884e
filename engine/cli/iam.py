"""``tocsin iam …``: who may call, and what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import iam_access, iam_accounts, iam_users, options
from engine.cli.iam_common import Domain, act, say, show, where

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.iam.identities import Grant, Subject
    from engine.iam.snapshot import Snapshot

app = typer.Typer(
    no_args_is_help=True,
    help="Manage accounts, users, keys and permissions.\n\nExample: tocsin iam user create alice",
)
app.add_typer(iam_accounts.domains, name="domain")
app.add_typer(iam_accounts.projects, name="project")
app.add_typer(iam_users.users, name="user")
app.add_typer(iam_users.keys, name="key")
app.add_typer(iam_access.groups, name="group")
app.add_typer(iam_access.agencies, name="agency")
app.add_typer(iam_access.policies, name="policy")

Role = Annotated[str, typer.Argument(metavar="ROLE", show_default=False)]
User = Annotated[str | None, typer.Option(metavar="NAME", help="to this user")]
Group = Annotated[str | None, typer.Option(metavar="NAME", help="to this group")]
Agency = Annotated[str | None, typer.Option(metavar="NAME", help="to this agency")]
Project = Annotated[
    str | None, typer.Option(metavar="NAME", help="in this project alone [default: in all]")
]
EnterpriseProject = Annotated[
    str,
    typer.Option(metavar="ID", help="for topics of this enterprise project alone"),
]


@app.command()
def grant(
    role: Role,
    *,
    user: User = None,
    group: Group = None,
    agency: Agency = None,
    project: Project = None,
    enterprise_project: EnterpriseProject = "",
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Grant a system role or policy, or a custom one, to a user, group or agency.

    Example: tocsin iam grant "SMN FullAccess" --user alice --project region01
    """
    subject, name = _subject(user, group, agency)

    async def work(engine: Engine, account: str) -> None:
        await engine.directory.access.grant(
            role,
            subject,
            name,
            domain=account,
            project=project,
            enterprise_project_id=enterprise_project,
        )

    act(where(config, data, redis), domain, work)
    say("granted", role, as_json=as_json)


@app.command()
def revoke(
    role: Role,
    *,
    user: User = None,
    group: Group = None,
    agency: Agency = None,
    project: Project = None,
    enterprise_project: EnterpriseProject = "",
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Take back what was granted.

    Example: tocsin iam revoke "SMN FullAccess" --user alice --project region01
    """
    subject, name = _subject(user, group, agency)

    async def work(engine: Engine, account: str) -> None:
        await engine.directory.access.revoke(
            role,
            subject,
            name,
            domain=account,
            project=project,
            enterprise_project_id=enterprise_project,
        )

    act(where(config, data, redis), domain, work)
    say("revoked", role, as_json=as_json)


@app.command()
def grants(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List who holds what, and where.

    Example: tocsin iam grants --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain

        known = await engine.directory.now()
        owner = find_domain(known, account)
        own = [one for one in known.grants.values() if one.domain_id == owner.id]
        return [_item(known, one) for one in sorted(own, key=lambda one: one.id)]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


def _subject(user: str | None, group: str | None, agency: str | None) -> tuple[Subject, str]:
    from engine.iam.identities import Subject

    given = {Subject.USER: user, Subject.GROUP: group, Subject.AGENCY: agency}
    named = [(kind, name) for kind, name in given.items() if name is not None]
    if len(named) != 1:
        raise typer.BadParameter("Give one of --user, --group and --agency.")
    return named[0]


def _item(known: Snapshot, grant: Grant) -> dict[str, Any]:
    found = (
        known.users.get(grant.subject_id)
        or known.groups.get(grant.subject_id)
        or known.agencies.get(grant.subject_id)
    )
    policy, project = known.policies.get(grant.role), known.projects.get(grant.project_id)
    return {
        "role": policy.name if policy else grant.role,
        grant.subject: found.name if found else grant.subject_id,
        "project": project.name if project else "*",
        "enterprise_project": grant.enterprise_project_id or "*",
    }
