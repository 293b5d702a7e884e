"""``tocsin worker``: one worker process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from engine import logs
from engine.cli import options
from engine.cli.running import (
    announce,
    collect_seldom,
    read_settings,
    run,
    stop_on_signals,
)

_log = logging.getLogger(__name__)


def worker(
    config: options.Config = None,
    data: options.Data = None,
    public_url: options.PublicUrl = None,
    redis: options.RedisServed = None,
    region: options.Region = None,
    durability: options.DurabilityOption = None,
    allow_endpoints: options.AllowEndpoints = None,
    drain_seconds: options.DrainSeconds = None,
    name: Annotated[str | None, typer.Option(help="name in logs [default: made up]")] = None,
    parent: options.Parent = None,
) -> None:
    """Run one worker process against a Redis or Valkey; start as many as you like.

    Prints one line, "ready worker NAME", when it has joined. SMS is a stub unless a gateway is
    configured: messages for the protocol sms then go to the outbox (see "tocsin outbox"), not to
    phones.

    Example: tocsin worker --redis redis://db.internal:6379/0 --public-url https://smn.example.com
    """
    given = dict(locals())  # the options, under their settings' names
    del given["name"], given["parent"]
    logs.configure("worker")
    options.live_with(parent)
    run(lambda: _worker(given, name))


async def _worker(given: Mapping[str, Any], name: str | None) -> None:
    from engine.app import Engine

    stop = stop_on_signals()
    settings = read_settings(given)
    if not settings.public_url:
        _log.warning("public_url.missing", extra={"advice": "links in messages lead nowhere"})
    async with Engine.open(settings=settings) as engine:

        def on_ready(joined: str) -> None:
            collect_seldom()
            announce(f"ready worker {joined}")

        await engine.run_worker(stop, name=name, on_ready=on_ready)
