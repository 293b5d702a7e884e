"""Requests over kept HTTP/2 connections, one for each origin and client certificate."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from engine.certificates import client_tls
from engine.http2 import Connection
from engine.ports import CertificateRefused, TransportError, Unsent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from engine.ports import Answer, ClientCertificate

# After so much silence a connection is asked for a sign of life before it is relied upon.
_SILENT_S: Final = 5.0
# Between two attempts to connect: Apple takes clients that come and go quickly for an attack.
_BACK_OFF_S: Final = (0.5, 60.0)
# Connecting again with a certificate that was just refused would not help it.
_REFUSED_S: Final = 30.0
_IDLE_S: Final = 3_600.0
_LINKS: Final = 256


class _Place(NamedTuple):
    """What has a connection of its own."""

    host: str
    port: int
    certificate: ClientCertificate


class Multiplexer:
    """An implementation of the ``Http2`` port; goes wherever the operator says.

    ``timeout_s`` bounds the whole exchange, connecting included.
    """

    def __init__(self, *, timeout_s: float = 5.0) -> None:
        self._timeout_s = timeout_s
        self._links: OrderedDict[_Place, _Link] = OrderedDict()

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        certificate: ClientCertificate,
    ) -> Answer:
        """Send and return the answer; raises `TransportError`, also for what is no URL."""
        try:
            parts = urlsplit(url)
            place = _Place(parts.hostname or "", parts.port or 443, certificate)
        except ValueError as error:
            raise TransportError("not a URL") from error
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", parts.netloc),
            (":path", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"),
            *((name.lower(), value) for name, value in headers.items()),
        ]
        return await self._exchange(self._link(place), fields, body)

    async def close(self) -> None:
        """Close all connections."""
        links, self._links = self._links, OrderedDict()
        await asyncio.gather(*(link.close() for link in links.values()))

    async def _exchange(self, link: _Link, fields: list[tuple[str, str]], body: bytes) -> Answer:
        """One request; one that the server has not begun with gets another connection."""
        sent = again = False
        late = "no connection in time"
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    connection = await link.connected()
                    late = "no turn in time"
                    try:
                        await connection.room()
                        sent = True
                        return await connection.request(fields, body)
                    except Unsent:
                        if again:
                            raise
                        sent, again = False, True
        except TimeoutError as error:
            raise (TransportError("timed out") if sent else Unsent(late)) from error

    def _link(self, place: _Place) -> _Link:
        link = self._links.get(place)
        if link is None:
            link = self._links[place] = _Link(place, self._timeout_s)
        self._links.move_to_end(place)
        link.used = now = time.monotonic()
        oldest = next(iter(self._links.values()))
        unused = len(self._links) > _LINKS or oldest.used < now - _IDLE_S
        if unused and not oldest.opening:
            self._links.popitem(last=False)
            oldest.retire()
        return link


class _Link:
    """The way to one place: its connection, and how the last attempts to connect ended."""

    def __init__(self, place: _Place, timeout_s: float) -> None:
        self.used = 0.0
        self._place = place
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._failures = 0
        self._until = 0.0
        self._refusal = ""

    @property
    def opening(self) -> bool:
        """Whether a connection is being made."""
        return self._opening is not None

    async def connected(self) -> Connection:
        """A connection that works, as far as one can know; raises `TransportError`.

        Whoever comes while it is made waits for it, and is not what it is made by: the one who
        came first may give up.
        """
        kept = self._connection
        if kept is not None and kept.usable and kept.silent_s < _SILENT_S:
            return kept
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def retire(self) -> None:
        """No more requests come; those under way end."""
        if self._connection is not None:
            self._connection.retire()

    async def close(self) -> None:
        """End it, with what is under way."""
        opening = self._opening
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> Connection:
        kept = self._connection
        if kept is not None:
            if kept.usable and await kept.answers():
                return kept
            self._connection = None
            if kept.worked:
                self._failures = 0
            else:
                self._fail()
        wait_s = self._until - time.monotonic()
        if wait_s > 0 and self._refusal:
            raise CertificateRefused(self._refusal)
        if wait_s > 0:
            raise Unsent("no connection", wait_s)
        self._refusal = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._tls is None:
                    self._tls = await asyncio.to_thread(client_tls, self._place.certificate)
                made = await Connection.open(self._place.host, self._place.port, self._tls)
        except CertificateRefused as error:
            self._refusal, self._until = str(error), time.monotonic() + _REFUSED_S
            raise
        except (TransportError, TimeoutError) as error:
            raise Unsent(str(error) or "no connection in time", self._fail()) from error
        self._connection = made
        return made

    def _fail(self) -> float:
        """Leave the server alone for a while, which doubles; the seconds."""
        least, most = _BACK_OFF_S
        wait_s = min(least * (1 << min(self._failures, 10)), most)
        self._failures += 1
        self._until = time.monotonic() + wait_s
        return wait_s

    def _opened(self, task: asyncio.Task[Connection]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # seen, though everybody who waited may have given up
