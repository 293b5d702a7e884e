"""Sends HTTP requests to addresses that callers supplied; the only module that knows how.

Every such request is bounded in time (the whole exchange), in what it reads, and in where it
may go: the guard sees the address that the socket connects to, after name resolution. No
cookies, redirects, proxies, credentials from files or decompression: an endpoint must not be
able to steer the sender.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import io
import socket
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from engine.ports import AddressRefused, Answer, TransportError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from aiohappyeyeballs import AddrInfoType
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey

    from engine.guard import AddressGuard

USER_AGENT: Final = "Tocsin"

# An answer is read for its first words only; a page or two is plenty for any protocol.
MAX_ANSWER: Final = 65_536
# What one connection buffers while nobody reads: thousands of them may be in flight at once.
_READ_BUFFER: Final = 16_384
# Idle connections kept for reuse: enough for the endpoints of a busy worker, and well within
# the descriptors of a process beside those in flight.
MAX_IDLE: Final = 4096
_KEEPALIVE_SECONDS: Final = 15.0
_DNS_SECONDS: Final = 30
# Threads that wait for the resolver: a name whose servers are silent holds one for seconds.
_DNS_THREADS: Final = 32
# aiohttp rounds longer timeouts up to whole seconds, which would make 5 s up to 6.
_EXACT_TIMEOUTS: Final = 86_400.0
# Above this aiohttp wants a file and writes it in pieces, so as not to hold the event loop.
_LARGE_BODY: Final = 1_048_576


class _Blocked(OSError):
    """The guard refused the address; an OSError so that another address is tried."""

    def __init__(self) -> None:
        # One text for all: of several equal failures the connector hands on the first.
        super().__init__("address refused")


class AiohttpTransport:
    """An implementation of the ``Transport`` and ``Gateway`` ports with aiohttp's client.

    Without a ``guard`` it goes wherever it is told to: where the operator says. ``timeout_s``
    bounds the whole exchange, name resolution included; ``max_answer`` is how many bytes of an
    answer's body are kept. Opened by the first request, in its event loop. How many requests
    run at once is the caller's bound.
    """

    def __init__(
        self,
        guard: AddressGuard | None,
        *,
        timeout_s: float = 5.0,
        max_answer: int = MAX_ANSWER,
        max_idle: int = MAX_IDLE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._timeout = _whole_exchange(timeout_s)
        self._max_answer = max_answer
        self._max_idle = max_idle
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None
        self._resolver = _Resolver()

    def parse(self, url: str) -> URL:
        """The URL as it is sent, without any re-encoding; ValueError if it is none."""
        return URL(url, encoded=True)

    async def post(self, url: object, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST and return the answer; raises `TransportError` with a text that is safe to show."""
        return await self._exchange("POST", url, headers, body, self._timeout)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send and return the answer; raises `TransportError`, also for what is no URL."""
        try:
            parsed = self.parse(url)
        except ValueError as error:
            raise TransportError("not a URL") from error
        bound = self._timeout if timeout_s is None else _whole_exchange(timeout_s)
        return await self._exchange(method, parsed, headers, body, bound)

    async def _exchange(
        self,
        method: str,
        url: object,
        headers: Mapping[str, str],
        body: bytes,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - handed on to aiohttp
    ) -> Answer:
        session = self._session or self._open()
        data: Any = body if len(body) <= _LARGE_BODY else io.BytesIO(body)
        try:
            response = await session.request(
                method,
                url,  # type: ignore[arg-type]  # what parse() returned
                data=data or None,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            )
            content = response.content
            if content.is_eof():  # the usual short answer: all of it came with the headers
                text = content.read_nowait(self._max_answer)
            else:
                text = await self._read(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translate(error) from error
        return Answer(response.status, response.headers.get("Retry-After"), text)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._resolver.close()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, at most the bound; a longer one ends with the connection."""
        text = bytearray()
        try:
            while len(text) < self._max_answer:
                piece = await response.content.readany()
                if not piece:
                    break
                text += piece
        finally:
            response.close()  # does nothing after the body's end: that one is back in the pool
        return bytes(text[: self._max_answer])

    def _open(self) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0,
            ssl=self._tls,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            resolver=self._resolver,
            guard=self._guard,
            max_idle=self._max_idle,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            skip_auto_headers=("Accept", "Accept-Encoding"),
            read_bufsize=_READ_BUFFER,
            auto_decompress=False,
            trust_env=False,
        )
        return self._session


class _Connector(aiohttp.TCPConnector):
    """A pool with two bounds that aiohttp's lacks: where it connects to and how much it keeps."""

    def __init__(self, *, guard: AddressGuard | None, max_idle: int, **options: Any) -> None:
        super().__init__(socket_factory=self._socket, **options)
        self._guard = guard
        self._max_idle = max_idle
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for an address that the guard allows: the last word before it connects.

        An address in the URL itself bypasses the resolver, and a name may resolve differently
        than it did when the subscription was made; both end here (CWE-918, CWE-367).
        """
        family, kind, protocol, _, address = info
        if self._guard is not None and not self._guard.allows(address[0]):
            raise _Blocked
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        """Close instead of keeping when there is enough to keep.

        aiohttp keeps every idle connection for the keep-alive time, however many: a message
        to 100,000 origins would take as many descriptors.
        """
        idle = len(self._sockets) - len(self._acquired)
        super()._release(key, protocol, should_close=should_close or idle >= self._max_idle)


class _Resolver(AbstractResolver):
    """getaddrinfo() in threads of its own.

    The event loop's own executor has a handful of threads (uvloop: four) for everything, so
    that a few names with silent servers would stop all others.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All stream addresses of a name; OSError if it has none."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="resolver")
        ask = functools.partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM
        )
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except UnicodeError as error:  # a label that DNS cannot carry
            raise OSError(errno.EINVAL, "not a host name") from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Give up the names still asked for; their threads end when the system answers."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


def _whole_exchange(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, ceil_threshold=_EXACT_TIMEOUTS)


def _translate(error: Exception) -> TransportError:  # noqa: PLR0911 - one line a kind of error
    """Our error for aiohttp's, the most specific first. The texts name no address."""
    match error:
        case TimeoutError():
            return TransportError("timed out")
        case aiohttp.ClientConnectorDNSError():
            return TransportError("unknown host name")
        case aiohttp.ClientSSLError():
            return TransportError("TLS failed")
        # An odd spelling of an address is not even looked up (2130706433, 127.1).
        case aiohttp.InvalidURL() | aiohttp.ClientConnectorError(os_error=_Blocked()):
            return AddressRefused("address refused")
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return TransportError("connection refused")
        case aiohttp.ClientConnectorError():
            return TransportError("no connection")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return TransportError("connection reset")
        case _:
            return TransportError("bad answer")
