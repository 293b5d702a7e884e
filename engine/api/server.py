"""The listening server: TLS, readiness, draining."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from engine.api.answers import Failure, Shape, request_failure
from engine.api.gateway import Gateway
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from engine.app import Engine
    from engine.settings import Settings

_BACKLOG: Final = 1024
_KEEPALIVE_S: Final = 120.0
"""Bounds idle connections, and those whose request head never ends."""
_LINGER_S: Final = 1.0
"""How long the rest of a refused body is read, so that its client sees the answer."""


async def serve_api(
    engine: Engine,
    settings: Settings,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    drain: asyncio.Event | None = None,
) -> None:
    """Serve the API on a listening socket until ``stop`` is set, then finish what is in hand.

    ``on_ready`` is called once, when requests are answered. From ``drain`` on new requests are
    refused with 503 TOCSIN.0002, and the service is not ready; requests in hand when the stop
    comes get ``settings.drain_seconds``. Raises `ConfigurationError` for TLS files that cannot
    be used.
    """
    context = _tls(settings)
    gateway = Gateway(engine, settings.public_url, settings.trusted_proxies)
    if drain is not None:
        gateway.services.draining = drain
    runner = web.ServerRunner(
        _Server(
            cast("Any", gateway.handle),  # our responses have what aiohttp's server asks of one
            access_log=None,
            auto_decompress=False,  # what is signed is what came over the wire
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
        ),
        shutdown_timeout=settings.drain_seconds,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=context, backlog=_BACKLOG).start()
        on_ready()
        await stop.wait()
    finally:
        gateway.services.draining.set()
        await runner.cleanup()
        await gateway.close()


class _Connection(web.RequestHandler):
    """Answers what is not HTTP in the same shape, with a request id, as everything else."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Only requests that cannot be parsed come here: the gateway handles all other errors."""
        failure = Failure(400, "APIGW.0201", "API request error. This is not an HTTP request.")
        response = request_failure(failure, Shape.SMN, secrets.token_hex(16))
        response.force_close()
        return cast("web.StreamResponse", response)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise ConfigurationError("tls_key is set but tls_cert is not.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"The certificate {settings.tls_cert} or its key cannot be used: {error}."
        ) from error
    return context
