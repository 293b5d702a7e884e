"""``tocsin serve``: the whole service on this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from engine import logs
from engine.cli import options
from engine.cli.running import announce, run, stop_on_signals
from engine.settings import Settings

_log = logging.getLogger(__name__)


def serve(
    config: options.Config = None,
    data: options.Data = None,
    host: options.Host = None,
    port: options.Port = None,
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    trusted_proxies: options.TrustedProxies = None,
    redis: options.Redis = None,
    workers: options.Workers = None,
    region: options.Region = None,
    durability: options.DurabilityOption = None,
    allow_endpoints: options.AllowEndpoints = None,
    drain_seconds: options.DrainSeconds = None,
    parent: options.Parent = None,
) -> None:
    """Run the whole service: database, API and workers.

    Prints one line, "ready http://HOST:PORT", when it serves. Clients find what they need in
    DIR/credentials.json. SMS is a stub unless a gateway is configured: messages for the
    protocol sms then go to the outbox (see "tocsin outbox"), not to phones.

    Example: tocsin serve --port 8080 --allow-endpoints 127.0.0.0/8
    """
    given = dict(locals())  # the options, under their settings' names
    del given["parent"]
    logs.configure("serve")
    options.live_with(parent)
    run(lambda: _serve(given), fast=False)  # it waits for processes; asyncio does that best


async def _serve(given: Mapping[str, Any]) -> None:
    from engine.app import Engine
    from engine.cli.preparing import prepare
    from engine.listening import listen, public_url, ready_url
    from engine.supervisor import Database, supervise

    stop = stop_on_signals()
    settings = Settings.read(**given)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(settings))
        listener = stack.enter_context(listen(settings.host, settings.port))
        ready = ready_url(settings, listener.getsockname()[1])
        settings = settings.model_copy(
            update={"redis": database.url, "public_url": public_url(settings, ready)}
        )
        async with Engine.open(settings=settings) as engine:
            await prepare(engine)
        await supervise(
            settings,
            listener.fileno(),
            stop=stop,
            on_ready=lambda: announce(f"ready {ready}"),
            beside=[database.keep],
        )
    _log.info("service.stopped")
