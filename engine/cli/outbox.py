"""``tocsin outbox``: what stubs and unconfigured relays would have sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run
from engine.times import iso

if TYPE_CHECKING:
    from engine.store.outbox import OutboxEntry


def outbox(
    *,
    protocol: Annotated[
        str | None, typer.Option(metavar="P", help="only this protocol, such as sms")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="go on as entries come")] = False,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="newest entries to show")] = 100,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Show what would have been sent: without a gateway SMS is a stub that writes here.

    Example: tocsin outbox --protocol sms --follow
    """
    given = {"config": config, "data": data, "redis": redis}
    run(lambda: _outbox(given, protocol, count, follow=follow, as_json=as_json))


async def _outbox(
    given: Mapping[str, Any], protocol: str | None, count: int, *, follow: bool, as_json: bool
) -> None:
    from engine.cli.attaching import attach

    async with attach(given) as engine:
        entries = await engine.outbox.last(protocol, count)
        for entry in entries:
            _show(entry, as_json=as_json)
        if follow:
            after = entries[-1].id if entries else None
            async for entry in engine.outbox.follow(after, protocol):
                _show(entry, as_json=as_json)


def _show(entry: OutboxEntry, *, as_json: bool) -> None:
    if as_json:
        fields = {"id": entry.id, "at_ms": entry.at_ms, "protocol": entry.protocol}
        typer.echo(json.dumps({**fields, "endpoint": entry.endpoint, "fields": entry.fields}))
        return
    text = json.dumps(entry.fields, ensure_ascii=False)
    typer.echo(f"{iso(entry.at_ms)} {entry.protocol} {entry.endpoint} {text}")
