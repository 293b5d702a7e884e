"""A client's HTTP/2 connection (RFC 9113): many requests at once over one TLS connection.

h2 keeps the state of the protocol; waiting, bounds and what a server's leaving means are here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import NoAvailableStreamIDError, ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import HeaderTuple, NeverIndexedHeaderTuple

from engine.http2_sieve import Sieve
from engine.ports import Answer, CertificateRefused, TransportError, Unsent

Headers = Sequence[tuple[str, str]]

_READ_BYTES: Final = 65_536
# An answer is read for its first words only.
_ANSWER_BYTES: Final = 65_536
# Though a server may take more at once: it is more than one process can have under way, and h2
# looks at all of them for each request.
_STREAMS: Final = 256
_PING_S: Final = 2.0
# A server that hangs does not say goodbye.
_GOODBYE_S: Final = 1.0


@dataclass(slots=True)
class _Stream:
    """A request under way, and what has come back so far."""

    answer: asyncio.Future[Answer]
    status: int = 0
    retry_after: str | None = None
    body: bytearray = field(default_factory=bytearray)
    sent: bool = False
    ended: bool = False

    def end(self, failure: TransportError | None = None) -> None:
        """Hand over the answer, or why there is none."""
        self.ended = True
        if self.answer.done():  # nobody waits for it any more
            return
        if failure is None:
            self.answer.set_result(Answer(self.status, self.retry_after, bytes(self.body)))
        else:
            self.answer.set_exception(failure)


class Connection:
    """One connection: ``usable`` for requests until it ends or is retired.

    ``worked`` says whether it was of any use. All methods raise `TransportError`, and
    `Unsent` where the server has certainly done nothing.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.usable = True
        self.worked = False
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(
            client=True, initial_values={SettingCodes.ENABLE_PUSH: 0}
        )
        self._known: dict[str, str] = {}
        self._sieve = Sieve()
        self._streams: dict[int, _Stream] = {}
        self._turns: deque[asyncio.Future[None]] = deque()
        self._window = asyncio.Event()
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._pong: asyncio.Future[None] | None = None
        self._h2.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext) -> Connection:
        """Connect and wait for the server's settings, which say how much it takes at once.

        With TLS 1.3 it is only then that the server is known to accept our certificate.
        """
        tls.set_alpn_protocols(["h2"])
        try:
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, ssl_shutdown_timeout=_GOODBYE_S
            )
        except OSError as error:
            raise _translate(error) from error
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        if spoken != "h2":
            writer.close()
            raise TransportError("the server does not speak HTTP/2")
        connection = cls(reader, writer)
        try:
            await connection._greeted
        except BaseException:
            connection.abort()
            raise
        return connection

    @property
    def silent_s(self) -> float:
        """Seconds since anything was heard of the server."""
        return self._loop.time() - self._heard

    async def room(self) -> None:
        """Wait until the server takes one more request (SETTINGS_MAX_CONCURRENT_STREAMS)."""
        while self.usable and len(self._streams) >= self._most:
            turn = self._loop.create_future()
            self._turns.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._next()
                raise
        if not self.usable:
            raise Unsent("the connection was closed")

    async def request(self, headers: Headers, body: bytes) -> Answer:
        """Send one request, for which there is room, and return its answer."""
        try:
            number = self._h2.get_next_available_stream_id()
        except NoAvailableStreamIDError as error:
            self.retire()
            raise Unsent("the connection is used up") from error
        stream = self._streams[number] = _Stream(self._loop.create_future())
        try:
            self._h2.send_headers(number, self._compressible(headers), end_stream=not body)
            await self._send(number, stream, body)
            return await stream.answer
        except ProtocolError as error:
            self.abort()
            raise TransportError("HTTP/2 failed") from error
        finally:
            self._forget(number, stream)

    async def answers(self) -> bool:
        """Whether the server answers a PING; a connection on which it does not is aborted."""
        if self._pong is None:
            self._pong = self._loop.create_future()
            self._h2.ping(bytes(8))
            self._flush()
        try:
            async with asyncio.timeout(_PING_S):
                await asyncio.shield(self._pong)
        except (TimeoutError, TransportError):
            self.abort()
        return self.usable

    def retire(self) -> None:
        """Take no new request; the connection ends with the last one under way."""
        self.usable = False
        self._wake_all()
        if not self._streams:
            self._writer.close()

    def abort(self) -> None:
        """End it at once, with what is under way."""
        self.usable = False
        self._writer.transport.abort()
        self._end_all(TransportError("connection reset"))

    async def close(self) -> None:
        """Say goodbye and end it."""
        if self.usable:
            self._h2.close_connection()
            self._flush()
        self.usable = False
        self._writer.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._writer.wait_closed()
        except OSError:  # a TimeoutError is one too
            self._writer.transport.abort()

    # Sending

    @property
    def _most(self) -> int:
        return min(self._h2.remote_settings.max_concurrent_streams, _STREAMS)

    def _compressible(self, headers: Headers) -> Iterable[HeaderTuple]:
        """What comes again is worth a place in the small table of the server (RFC 7541 §2.3).

        A name's first value is kept there; a path, and what changes with each request, is not.
        """
        for name, value in headers:
            if name != ":path" and self._known.setdefault(name, value) == value:
                yield HeaderTuple(name, value)
            else:
                yield NeverIndexedHeaderTuple(name, value)

    async def _send(self, number: int, stream: _Stream, body: bytes) -> None:
        """Send the body as fast as the server takes it; an early answer ends that."""
        while body and not stream.ended:
            window = self._h2.local_flow_control_window(number)
            room = min(window, self._h2.max_outbound_frame_size)
            if room <= 0:
                self._flush()
                await self._window.wait()
                continue
            self._h2.send_data(number, body[:room], end_stream=room >= len(body))
            body = body[room:]
        stream.sent = not body
        self._flush()

    def _forget(self, number: int, stream: _Stream) -> None:
        """Make room; what has not finished is cancelled."""
        del self._streams[number]
        _see(stream.answer)
        if not (stream.sent and stream.ended):
            try:
                self._h2.reset_stream(number, ErrorCodes.CANCEL)
            except ProtocolError:
                pass  # closed by the server, or together with the connection
            else:
                self._flush()
        self._next()
        if not self.usable and not self._streams:
            self._writer.close()

    def _next(self) -> None:
        """Let the one who has waited longest look for room."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _wake_all(self) -> None:
        """Let everybody look: there is more room, or no connection any more."""
        turns, self._turns = self._turns, deque()
        for turn in turns:
            if not turn.done():
                turn.set_result(None)
        self._widen()

    def _widen(self) -> None:
        """Let those look who wait for the flow-control window."""
        window, self._window = self._window, asyncio.Event()
        window.set()

    def _flush(self) -> None:
        """Hand over to the system; what it does not take at once is bounded by the streams."""
        data = self._h2.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)

    # Receiving

    async def _read(self) -> None:
        """Take what comes until the connection ends, then fail what is still under way."""
        failure = TransportError("connection reset")
        try:
            while data := await self._reader.read(_READ_BYTES):
                self._heard = self._loop.time()
                passed, last = self._sieve.sift(data)
                for event in self._h2.receive_data(passed):
                    self._take(event)
                if last is not None:
                    self._leave(last)
                self._flush()
        except OSError as error:
            failure = _translate(error)
        except (ProtocolError, ValueError):  # ValueError: a long frame, a status that is no number
            failure = TransportError("HTTP/2 failed")
            self._flush()
        finally:
            self.usable = False
            self._writer.close()
            self._end_all(failure)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.RemoteSettingsChanged():
                if not self._greeted.done():
                    self._greeted.set_result(None)
                self._wake_all()
            case events.WindowUpdated():
                self._widen()
            case events.PingAckReceived() if self._pong is not None:
                if not self._pong.done():
                    self._pong.set_result(None)
                self._pong = None
            case events.DataReceived(stream_id=int(number), flow_controlled_length=int(length)):
                self._h2.acknowledge_received_data(length, number)
                self._take_answer(event)
            case _:
                self._take_answer(event)

    def _take_answer(self, event: events.Event) -> None:
        """A part of an answer, unless nobody waits for it any more."""
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None or stream.ended:
            return
        match event:
            case events.ResponseReceived(headers=headers):
                found = dict(headers or ())
                stream.status = int(found[b":status"])
                after = found.get(b"retry-after")
                stream.retry_after = None if after is None else after.decode("latin-1")
            case events.DataReceived(data=data):
                stream.body += (data or b"")[: _ANSWER_BYTES - len(stream.body)]
            case events.StreamEnded():
                self.worked = True
                self._end(stream)
            case events.StreamReset(error_code=ErrorCodes.REFUSED_STREAM):
                self._end(stream, Unsent("the server refused the request"))
            case events.StreamReset():
                self._end(stream, TransportError("the request was reset"))
            case _:
                pass

    def _end(self, stream: _Stream, failure: TransportError | None = None) -> None:
        stream.end(failure)
        if not stream.sent:
            self._widen()  # it may be waiting there

    def _leave(self, last: int) -> None:
        """The server goes: it has done nothing with what came after ``last``."""
        self.worked |= last > 0
        gone = Unsent("the server is going away")
        for number, stream in self._streams.items():
            if number > last:
                stream.end(gone)
        if not self._greeted.done():
            self._greeted.set_exception(gone)
            _see(self._greeted)
        self.retire()

    def _end_all(self, failure: TransportError) -> None:
        for stream in self._streams.values():
            if not stream.ended:
                stream.end(failure)
        for future in (self._greeted, self._pong):
            if future is not None and not future.done():
                future.set_exception(failure)
                _see(future)
        self._wake_all()


def _see(future: asyncio.Future[Any]) -> None:
    """Call its failure seen, though perhaps nobody waits for it any more."""
    if future.done() and not future.cancelled():
        future.exception()


def _translate(error: OSError) -> TransportError:
    """Our error for the system's; the texts name no address."""
    match error:
        case ssl.SSLCertVerificationError():
            return TransportError("the server's certificate is not trusted")
        case ssl.SSLError(reason=str(reason)) if "ALERT" in reason and (
            "CERTIFICATE" in reason or "UNKNOWN_CA" in reason
        ):
            return CertificateRefused("the server does not accept the certificate")
        case ssl.SSLError():
            return TransportError("TLS failed")
        case ConnectionRefusedError():
            return TransportError("connection refused")
        case ConnectionResetError() | BrokenPipeError():
            return TransportError("connection reset")
        case _:
            return TransportError("no connection")
