"""Where the API listens, and the URL by which it is reached."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigurationError
from engine.settings import Settings

_BACKLOG: Final = 1024
"""Connections that wait while a dead API process is replaced."""

_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a lookup

_log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; raises `ConfigurationError` if the address cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # getaddrinfo's numbers are negative and its own
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise ConfigurationError(
            f"Cannot listen on {host} port {port} ({reason}); choose another with --host, --port."
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener


def ready_url(settings: Settings, port: int) -> str:
    """The URL by which this machine reaches a listener on ``settings.host`` and ``port``."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigurationError("HTTPS needs both --tls-cert and --tls-key.")
    host = _EVERYWHERE.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'http' if settings.tls_cert is None else 'https'}://{shown}:{port}"


def public_url(settings: Settings, ready: str) -> str:
    """The base of every link; warns of one that careful receivers refuse."""
    url = (settings.public_url or ready).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"The public URL {url!r} is not an http or https URL.")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        _log.warning(
            "public_url.insecure",
            extra={"url": url, "advice": "careful receivers refuse certificates over plain HTTP"},
        )
    return url


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
