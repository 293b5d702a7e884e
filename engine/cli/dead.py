"""``tocsin dead list|redrive|drop``: deliveries that ended undelivered."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run
from engine.times import iso

if TYPE_CHECKING:
    from engine.models import DeadLetter

app = typer.Typer(
    no_args_is_help=True,
    help="List, redrive or drop dead letters.\n\nExample: tocsin dead list --topic orders",
)

Topic = Annotated[
    str | None,
    typer.Option(
        metavar="TOPIC", help="only of this topic (name or URN), application, or …:sms:direct"
    ),
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

    Example: tocsin dead list --topic orders --json
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

    Example: tocsin dead redrive --topic orders
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

    Example: tocsin dead drop --topic orders --message ID
    """
    _check(topic, every=every)
    given = {"config": config, "data": data, "redis": redis}
    count = run(lambda: _drop(given, topic, message))
    _say("dropped", count, as_json=as_json)


async def _list(given: Mapping[str, Any], topic: str | None, limit: int, *, as_json: bool) -> None:
    from engine.cli.attaching import attach, urn_of

    async with attach(given) as engine:
        urn = topic and await urn_of(engine, topic)
        for letter in await engine.dead_letters(urn, limit=limit):
            _show(letter, as_json=as_json)


async def _redrive(
    given: Mapping[str, Any], topic: str | None, message: str | None, ttl: int | None
) -> int:
    from engine.cli.attaching import attach, urn_of

    async with attach(given) as engine:
        urn = topic and await urn_of(engine, topic)
        return await engine.redrive(urn, message_id=message, ttl=ttl)


async def _drop(given: Mapping[str, Any], topic: str | None, message: str | None) -> int:
    from engine.cli.attaching import attach, urn_of

    async with attach(given) as engine:
        urn = topic and await urn_of(engine, topic)
        return await engine.drop(urn, message_id=message)


def _check(topic: str | None, *, every: bool) -> None:
    if (topic is None) != every:
        raise typer.BadParameter("Give either --topic TOPIC or --all.")


def _say(what: str, count: int, *, as_json: bool) -> None:
    typer.echo(json.dumps({what: count}) if as_json else f"{count} {what}")


def _show(letter: DeadLetter, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(letter)))
        return
    typer.echo(
        f"{iso(letter.buried_ms)} {letter.end} {letter.topic_urn} {letter.message_id}"
        f" {letter.protocol} {letter.endpoint}"
        f" tries={letter.tries} code={letter.code} {letter.reason}"
    )
