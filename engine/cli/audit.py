"""``tocsin audit``: who did what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run
from engine.cli.since import Since, check_since, moment_ms
from engine.policy.audit import rating
from engine.times import iso

if TYPE_CHECKING:
    from engine.models import Operation


@dataclass(frozen=True)
class Wanted:
    """What of an operation must be so; None is anything."""

    name: str | None
    kind: str | None
    resource: str | None
    user: str | None
    grade: str | None

    def fits(self, one: Operation) -> bool:
        """Whether an operation is wanted."""
        return (
            self.name in {None, one.trace_name}
            and self.kind in {None, one.resource_type}
            and self.resource in {None, one.resource_id, one.resource_name}
            and self.user in {None, one.actor.user_name}
            and self.grade in {None, rating(one.code)}
        )


def audit(
    *,
    name: Annotated[
        str | None, typer.Option(metavar="TRACE", help="only this operation, as createTopic")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="only of this resource type")
    ] = None,
    resource: Annotated[
        str | None, typer.Option(metavar="ID|NAME", help="only on this resource")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="only by this user")] = None,
    grade: Annotated[
        str | None, typer.Option("--rating", metavar="R", help="normal, warning or incident")
    ] = None,
    since: Since = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="newest records to show")] = 100,
    project: Annotated[
        str | None, typer.Option(metavar="NAME|ID", help="default: the account's own project")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="go on as records come")] = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Show the operations that were recorded: who did what to what, and how it ended.

    Example: tocsin audit --name deleteTopic --since 7d
    """
    check_since(since)
    if grade not in {None, "normal", "warning", "incident"}:
        raise typer.BadParameter("--rating is normal, warning or incident.")
    given = {"config": config, "data": data, "redis": redis}
    wanted = Wanted(name, kind, resource, user, grade)
    show = _as_json if as_json else _as_text
    run(lambda: _audit(given, project, wanted.fits, since, count, show, follow=follow))


async def _audit(
    given: Mapping[str, Any],
    project: str | None,
    wanted: Callable[[Operation], bool],
    since: str | None,
    count: int,
    show: Callable[[Operation], str],
    *,
    follow: bool,
) -> None:
    from engine.cli.attaching import attach, project_of

    async with attach(given) as engine:
        project_id = await project_of(engine, project)
        begun_ms = engine.clock.now_ms()
        after_ms = moment_ms(since, begun_ms) - 1
        found = await engine.audit.list(project_id, wanted, limit=count, after_ms=after_ms)
        for operation in reversed(found.operations):
            typer.echo(show(operation))
        if follow:
            last = found.operations[0] if found.operations else None
            async for operation in engine.audit.follow(project_id, last, begun_ms):
                if wanted(operation):
                    typer.echo(show(operation))


def _as_json(one: Operation) -> str:
    from engine.api.traces import item

    return json.dumps(item(one), ensure_ascii=False)


def _as_text(one: Operation) -> str:
    return (
        f"{iso(one.at_ms)} {rating(one.code)} {one.code} {one.trace_name}"
        f" {one.resource_id or one.resource_name or '-'} by {one.actor.user_name or '-'}"
        f" from {one.source_ip or '-'}"
    )
