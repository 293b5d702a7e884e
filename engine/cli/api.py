"""``tocsin api``: one API process."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from engine import logs
from engine.cli import options
from engine.cli.running import (
    announce,
    collect_seldom,
    drain_on_signal,
    read_settings,
    run,
    stop_on_signals,
)

_log = logging.getLogger(__name__)


def api(
    config: options.Config = None,
    data: options.Data = None,
    host: options.Host = None,
    port: options.Port = None,
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    trusted_proxies: options.TrustedProxies = None,
    redis: options.RedisServed = None,
    region: options.Region = None,
    durability: options.DurabilityOption = None,
    allow_endpoints: options.AllowEndpoints = None,
    drain_seconds: options.DrainSeconds = None,
    listen_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    parent: options.Parent = None,
) -> None:
    """Run one API process against a Redis or Valkey; start as many as you like.

    Prints one line, "ready http://HOST:PORT", when it serves. SIGTERM ends it; SIGUSR1 before that
    makes it refuse what is new and say that it is not ready.

    Example: tocsin api --redis redis://db.internal:6379/0 --host 0.0.0.0 --port 8080
    """
    given = dict(locals())  # the options, under their settings' names
    del given["listen_fd"], given["parent"]
    logs.configure("api")
    options.live_with(parent)
    run(lambda: _api(given, listen_fd))


async def _api(given: Mapping[str, Any], listen_fd: int | None) -> None:
    from engine.api.server import serve_api
    from engine.app import Engine
    from engine.cli.preparing import prepare
    from engine.listening import listen, public_url, ready_url

    stop, drain = stop_on_signals(), drain_on_signal()
    settings = read_settings(given)
    supervised = listen_fd is not None
    listener = (
        socket.socket(fileno=listen_fd) if supervised else listen(settings.host, settings.port)
    )
    with listener:
        ready = ready_url(settings, listener.getsockname()[1])
        if not supervised:  # else the supervisor has decided, and warned
            settings = settings.model_copy(update={"public_url": public_url(settings, ready)})
        async with Engine.open(settings=settings) as engine:
            if not supervised:
                await prepare(engine)

            def on_ready() -> None:
                collect_seldom()
                announce(f"ready {ready}")

            await serve_api(engine, settings, listener, stop=stop, on_ready=on_ready, drain=drain)
