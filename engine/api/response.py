"""An answer on its way out: status, headers and a whole body, in one write.

aiohttp's own responses can stream, compress and set cookies; for what no answer here does they
take a good part of a small request's time. aiohttp's server asks of a response only what this
one has (`prepare`, `write_eof`, ``keep_alive``).
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp.http import HttpVersion10, HttpVersion11

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_WITHOUT_CONTENT: Final = {204, 304}
"""Statuses of answers that have no content, and no length of one (RFC 9110, 8.6 and 15.3.5)."""


class Response:
    """One answer; ``body`` is None for no content. Header values are visible ASCII."""

    __slots__ = ("_close", "_keep_alive", "body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        for name, value in headers.items():
            # A line break would begin another header, or another answer (CWE-113).
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} is not visible ASCII")
        self.status = status
        self.headers = headers
        self.body = body
        self._close = False
        self._keep_alive = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can serve another request."""
        return self._keep_alive

    def force_close(self) -> None:
        """Let the connection end with this answer."""
        self._close = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write everything; raises `ConnectionResetError` if the client has gone."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        version = request.version
        self._keep_alive = request.keep_alive and not self._close
        lines = [_head(self.status, int(time.time()))]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        body = self.body or b""
        if self.status not in _WITHOUT_CONTENT:
            lines.append(f"Content-Length: {len(body)}")
        if not self._keep_alive and version >= HttpVersion11:
            lines.append("Connection: close")
        elif self._keep_alive and version == HttpVersion10:
            lines.append("Connection: keep-alive")
        lines.append("\r\n")
        head = "\r\n".join(lines).encode()
        transport.write(head if request.method == "HEAD" else head + body)

    async def write_eof(self) -> None:
        """Nothing: `prepare` has written it all."""


@lru_cache(maxsize=64)
def _head(status: int, second: int) -> str:
    """What all answers of one status and second begin with."""
    reason = HTTPStatus(status).phrase
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nServer: Tocsin"
