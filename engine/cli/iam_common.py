"""What the commands of ``tocsin iam`` have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from engine.cli import options
from engine.cli.running import run

if TYPE_CHECKING:
    from engine.app import Engine

Result = TypeVar("Result")
Work = Callable[["Engine", str, str], Awaitable[None]]
"""Does something to a name in an account."""
PlainWork = Callable[["Engine", str], Awaitable[None]]
"""Does something to a name."""

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
Domain = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="account [default: the data set's own]", show_default=False),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="read the password from standard input")
]


def where(config: Path | None, data: Path | None, redis: str | None) -> dict[str, Any]:
    """The settings that say which service is meant."""
    return {"config": config, "data": data, "redis": redis}


def act(
    given: Mapping[str, Any],
    domain: str | None,
    work: Callable[[Engine, str], Awaitable[Result]],
) -> Result:
    """Run ``work`` with an engine and the name of the account that is meant."""
    return run(lambda: _attached(given, domain, work))


async def _attached(
    given: Mapping[str, Any],
    domain: str | None,
    work: Callable[[Engine, str], Awaitable[Result]],
) -> Result:
    from engine.cli.attaching import attach

    async with attach(given) as engine:
        own = await engine.accounts.bootstrap()
        return await work(engine, domain or own.domain_name)


def show(items: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print records, one a line."""
    for item in items:
        if as_json:
            typer.echo(json.dumps(item))
        else:
            typer.echo("  ".join(f"{name}={_plain(value)}" for name, value in item.items()))


def say(done: str, name: str, *, as_json: bool) -> None:
    """Print what was done to whom."""
    typer.echo(json.dumps({done: name}) if as_json else f"{done} {name}")


def command(
    commands: typer.Typer, name: str, done: str, about: str, work: Work, *, example: str
) -> None:
    """Add a command that does something to the one that is named, in an account."""

    def perform(
        name: Name,
        *,
        domain: Domain = None,
        as_json: options.Json = False,
        config: options.Config = None,
        data: options.Data = None,
        redis: options.Redis = None,
    ) -> None:
        act(where(config, data, redis), domain, lambda engine, account: work(engine, name, account))
        say(done, name, as_json=as_json)

    commands.command(name, help=_help(about, example))(perform)


def command_for_all(
    commands: typer.Typer, name: str, done: str, about: str, work: PlainWork, *, example: str
) -> None:
    """Add a command that does something to the one that is named, which no account holds."""

    def perform(
        name: Name,
        *,
        as_json: options.Json = False,
        config: options.Config = None,
        data: options.Data = None,
        redis: options.Redis = None,
    ) -> None:
        act(where(config, data, redis), None, lambda engine, _: work(engine, name))
        say(done, name, as_json=as_json)

    commands.command(name, help=_help(about, example))(perform)


def _help(about: str, example: str) -> str:
    return f"{about}\n\nExample: tocsin iam {example}"


def password_from(*, stdin: bool) -> str | None:
    """The password that the operator gives, if any."""
    return sys.stdin.readline().rstrip("\n") if stdin else None


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "-"
