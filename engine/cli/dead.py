"""``tocsin dead list|redrive|drop``: deliveries that ended undelivered."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run

if TYPE_CHECKING:
    from engine.models import DeadLetter

app = typer.Typer(no_args_is_help=True, help="List, redrive or drop dead letters.")

Topic = Annotated[
    str | None, typer.Option(metavar="URN", help="only of this topic, application, or …:sms:direct")
]
Message = Annotated[str | None, typer.Option(metavar="ID", help="only of this message")]
Every = Annotated[bool, typer.Option("--all", help="of all topics")]


@app.command("list")
def list_(
    *,
    topic: Topic = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="at most this many")] = 100,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List dead letters with their reasons.

    Example: tocsin dead list --topic urn:smn:region01:PROJECT:orders --json
    """
    given = {"config": config, "data": data, "redis": redis}
    run(lambda: _list(given, topic, limit, as_json=as_json))


@app.command()
def redrive(
    *,
    topic: Topic = None,
    message: Message = None,
    every: Every = False,
    ttl: Annotated[
        int | None, typer.Option(min=1, metavar="S", help="seconds for the new tries")
    ] = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Give dead letters a second chance.

    Example: tocsin dead redrive --topic urn:smn:region01:PROJECT:orders
    """
    _check(topic, every=every)
    given = {"config": config, "data": data, "redis": redis}
    count = run(lambda: _redrive(given, topic, message, ttl))
    _say("redriven", count, as_json=as_json)


@app.command()
def drop(
    *,
    topic: Topic = None,
    message: Message = None,
    every: Every = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Delete dead letters for good.

    Example: tocsin dead drop --topic urn:smn:region01:PROJECT:orders --message ID
    """
    _check(topic, every=every)
    given = {"config": config, "data": data, "redis": redis}
    count = run(lambda: _drop(given, topic, message))
    _say("dropped", count, as_json=as_json)


async def _list(given: Mapping[str, Any], topic: str | None, limit: int, *, as_json: bool) -> None:
    from engine.cli.attaching import attach

    async with attach(given) as engine:
        for letter in await engine.dead_letters(topic, limit=limit):
            _show(letter, as_json=as_json)


async def _redrive(
    given: Mapping[str, Any], topic: str | None, message: str | None, ttl: int | None
) -> int:
    from engine.cli.attaching import attach

    async with attach(given) as engine:
        return await engine.redrive(topic, message_id=message, ttl=ttl)


async def _drop(given: Mapping[str, Any], topic: str | None, message: str | None) -> int:
    from engine.cli.attaching import attach

    async with attach(given) as engine:
        return await engine.drop(topic, message_id=message)


def _check(topic: str | None, *, every: bool) -> None:
    if (topic is None) != every:
        raise typer.BadParameter("Give either --topic URN or --all.")


def _say(what: str, count: int, *, as_json: bool) -> None:
    typer.echo(json.dumps({what: count}) if as_json else f"{count} {what}")


def _show(letter: DeadLetter, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(letter)))
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(letter.buried_ms / 1000))
    typer.echo(
        f"{at}Z {letter.end} {letter.message_id} {letter.protocol} {letter.endpoint}"
        f" tries={letter.tries} code={letter.code} {letter.reason}"
    )
