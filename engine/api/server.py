"""The listening server: sockets, TLS, readiness, draining."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Final

from aiohttp import web

from engine.api.answers import Failure, Shape, request_failure
from engine.api.gateway import Gateway
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.app import Engine
    from engine.settings import Settings

_BACKLOG: Final = 1024
_KEEPALIVE_S: Final = 120.0
"""Bounds idle connections, and those whose request head never ends."""
_LINGER_S: Final = 1.0
"""How long the rest of a refused body is read, so that its client sees the answer."""
_WILDCARDS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


async def serve_api(
    engine: Engine,
    settings: Settings,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[str], None],
) -> None:
    """Serve the API until ``stop`` is set, then finish what is in hand.

    ``on_ready`` is called once with a URL that a client on this machine can use. Requests in
    hand get ``settings.drain_seconds``; new ones are refused with 503 TOCSIN.0002. Raises
    `ConfigurationError` for an address or TLS files that cannot be used.
    """
    context = _tls(settings)
    gateway = Gateway(engine, settings.public_url, settings.trusted_proxies)
    runner = web.ServerRunner(
        _Server(
            gateway.handle,
            access_log=None,
            auto_decompress=False,  # what is signed is what came over the wire
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
        ),
        shutdown_timeout=settings.drain_seconds,
    )
    await runner.setup()
    try:
        sockets = await _listen(settings.host, settings.port)
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=context, backlog=_BACKLOG).start()
        url = _url(settings.host, sockets[0].getsockname()[1], secure=context is not None)
        if not settings.public_url:
            engine.set_public_url(url)
        on_ready(url)
        await stop.wait()
    finally:
        gateway.services.draining = True
        await runner.cleanup()
        gateway.close()


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
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Bind every address of the host, all to one port; raises `ConfigurationError`.

    The port of the first one counts for all, since port 0 would give each its own.
    """
    loop = asyncio.get_running_loop()
    bound: list[socket.socket] = []
    failed: OSError | None = None
    try:
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigurationError(f"The host {host!r} cannot be resolved: {error}.") from error
    for family, kind, number, _, address in dict.fromkeys(found):
        chosen = bound[0].getsockname()[1] if bound else port
        try:
            bound.append(_bind(family, kind, number, (address[0], chosen, *address[2:])))
        except OSError as error:  # one of several may be missing, such as IPv6 in a container
            failed = error
    if not bound:
        raise ConfigurationError(f"Cannot listen on {host!r} port {port}: {failed}.") from failed
    return bound


def _bind(family: int, kind: int, number: int, address: tuple[object, ...]) -> socket.socket:
    new = socket.socket(family, kind, number)
    try:
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        new.bind(address)
        new.settimeout(0)
    except OSError:
        new.close()
        raise
    return new


def _url(host: str, port: int, *, secure: bool) -> str:
    reachable = _WILDCARDS.get(host, host)
    if ":" in reachable:
        reachable = f"[{reachable}]"
    return f"{'https' if secure else 'http'}://{reachable}:{port}"


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
