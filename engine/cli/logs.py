"""``tocsin logs``: what became of deliveries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run
from engine.cli.since import Since, check_since, moment_ms
from engine.times import iso

if TYPE_CHECKING:
    from engine.models import LogLine

_STATUSES = ("DELIVERED", "FAIL_DELIVERED", "REJECTED")


def logs(
    topic: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC", help="a topic (name or URN), an application, or …:sms:direct"
        ),
    ],
    *,
    since: Since = None,
    status: Annotated[
        str | None, typer.Option(metavar="S", help=f"only {', '.join(_STATUSES)}")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="go on as deliveries end")] = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Show the delivery log of a topic: one line for each delivery that has ended.

    Confirmations and the like stand beside notifications: the kind of a message is named.
    It is gone with the topic. Direct messages are those of their application, SMS to numbers
    those of urn:smn:REGION:PROJECT:sms:direct.

    Example: tocsin logs orders --since 1h --status FAIL_DELIVERED
    """
    check_since(since)
    if status is not None and status not in _STATUSES:
        raise typer.BadParameter(f"--status is one of {', '.join(_STATUSES)}.")
    given = {"config": config, "data": data, "redis": redis}
    show = _as_json if as_json else _as_text

    def see(line: LogLine) -> None:
        if status in {None, line.status}:
            typer.echo(show(line))

    run(lambda: _logs(given, topic, since, see, follow=follow))


async def _logs(
    given: Mapping[str, Any],
    name: str,
    since: str | None,
    see: Callable[[LogLine], None],
    *,
    follow: bool,
) -> None:
    from engine.cli.attaching import attach, urn_of

    async with attach(given) as engine:
        topic = await engine.topic_or_home(await urn_of(engine, name))
        since_ms = moment_ms(since, engine.clock.now_ms())
        if follow:
            async for line in engine.log.follow(topic, since_ms):
                see(line)
        else:
            async for line in engine.log.read(topic, since_ms=since_ms):
                see(line)


def _as_json(line: LogLine) -> str:
    from engine.control.logs import written

    attempts = [asdict(attempt) for attempt in line.attempts]
    return json.dumps(
        {**written(line), "kind": line.kind, "reason": line.reason, "attempts": attempts},
        ensure_ascii=False,
    )


def _as_text(line: LogLine) -> str:
    return (
        f"{iso(line.send_ms)} {line.status} {line.message_id} {line.kind} {line.protocol_name}"
        f" {line.endpoint} tries={len(line.attempts)} code={line.http_code} {line.reason}"
    ).rstrip()
