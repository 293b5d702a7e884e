"""SMS over SMPP 3.4: one transceiver session that is opened when needed and kept.

To encode requests is the library's business, the session is ours: its keep-alive, window, time-outs
and trust are the operator's to set, and a refused bind must say why. Numbers in brackets are
sections of the SMPP Protocol Specification v3.4.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import smpp34

from adapters import _parts
from adapters._phone import digits
from engine.errors import ConfigurationError
from engine.models import Delivered, Message, Outcome, Rejected, Retry, Throttled

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from adapters._smpp_settings import SmppSettings
    from engine.ports import Clock, Trace

log = logging.getLogger(__name__)

_HEADER: Final = struct.Struct(">IIII")
# The largest that a peer may send: a delivered text of 64 KiB and all else around it.
_LARGEST_PDU: Final = 70_000
_PORTS: Final = {"smpp": 2775, "smpps": 3550}

# Command ids (5.1.2.1); an answer's has the highest bit as well.
_GENERIC_NACK: Final = 0x8000_0000
_BIND_TRANSCEIVER: Final = 0x0000_0009
_UNBIND: Final = 0x0000_0006
_ENQUIRE_LINK: Final = 0x0000_0015
_DELIVER_SM: Final = 0x0000_0005
_ANSWER: Final = 0x8000_0000

# What command statuses mean for a text (5.1.3). Any other may be better with another try: a bind
# that has gone, a system error, a failure to submit, and numbers of the supplier's own.
_BUSY: Final = {0x14: "ESME_RMSGQFUL", 0x58: "ESME_RTHROTTLED"}
_UNBOUND: Final = 0x04
_FINAL: Final = {
    0x01: "ESME_RINVMSGLEN",
    0x02: "ESME_RINVCMDLEN",
    0x03: "ESME_RINVCMDID",
    0x06: "ESME_RINVPRTFLG",
    0x07: "ESME_RINVREGDLVFLG",
    0x0A: "ESME_RINVSRCADR",
    0x0B: "ESME_RINVDSTADR",
    0x15: "ESME_RINVSERTYP",
    0x33: "ESME_RINVNUMDESTS",
    0x40: "ESME_RINVDESTFLAG",
    0x43: "ESME_RINVESMCLASS",
    0x48: "ESME_RINVSRCTON",
    0x49: "ESME_RINVSRCNPI",
    0x50: "ESME_RINVDSTTON",
    0x51: "ESME_RINVDSTNPI",
    0x53: "ESME_RINVSYSTYP",
    0x54: "ESME_RINVREPFLAG",
    0x61: "ESME_RINVSCHED",
    0x62: "ESME_RINVEXPIRY",
    0x63: "ESME_RINVDFTMSGID",
    0x65: "ESME_RX_P_APPN",
    0x66: "ESME_RX_R_APPN",
    0xC0: "ESME_RINVOPTPARSTREAM",
    0xC1: "ESME_ROPTPARNOTALLWD",
    0xC2: "ESME_RINVPARLEN",
    0xC3: "ESME_RMISSINGOPTPARAM",
    0xC4: "ESME_RINVOPTPARAMVAL",
}
_NAMES: Final = {
    **_BUSY,
    **_FINAL,
    0x00: "ESME_ROK",
    _UNBOUND: "ESME_RINVBNDSTS",
    0x05: "ESME_RALYBND",
    0x08: "ESME_RSYSERR",
    0x0D: "ESME_RBINDFAIL",
    0x0E: "ESME_RINVPASWD",
    0x0F: "ESME_RINVSYSID",
    0x45: "ESME_RSUBMITFAIL",
    0x64: "ESME_RX_T_APPN",
    0xFE: "ESME_RDELIVERYFAILURE",
    0xFF: "ESME_RUNKNOWNERR",
}

_MESSAGE_PAYLOAD: Final = 0x0424
# User data headers follow (5.2.12), and the joint one (TS 23.040 §9.2.3.24.1).
_WITH_HEADER: Final = 0x40
_JOIN: Final = bytes((5, 0, 3))
_LONGEST_BACK_OFF_S: Final = 60


class _LostError(Exception):
    """The session has ended; ``sent`` tells whether the PDU may have arrived before."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Parts:
    """One message as the octets of its parts, in one coding; alone if ``joined`` is empty."""

    message_id: str
    data_coding: int
    bodies: tuple[bytes, ...]
    size: int


class Address(NamedTuple):
    """A number or name with its type of number and numbering plan (5.2.5, 5.2.6)."""

    ton: int
    npi: int
    address: str

    @property
    def legible(self) -> str:
        """For a person."""
        return f"{self.address or 'none'} (ton {self.ton}, npi {self.npi})"


class SmppLink:
    """The carrier behind ``smpp://`` and ``smpps://``; one session a process."""

    def __init__(self, settings: SmppSettings, clock: Clock, trace: Trace | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._trace = trace
        self._source = _source(settings.smpp_source)
        self._door = _Door(settings)
        self._window = asyncio.Semaphore(settings.smpp_window)
        self._opening = asyncio.Lock()
        self._session: _Session | None = None
        self._failures = 0
        self._down = ""
        self._closed_until_ms = self._busy_until_ms = 0

    def render(self, message: Message, text: str) -> Parts:
        """The text in GSM-7 if that has all of it, else in UCS-2, in parts if it must be."""
        coding = _parts.alphabet(text)
        whole = self._settings.smpp_long == "payload"
        bodies = tuple(coding.encode(part) for part in ((text,) if whole else _parts.split(text)))
        return Parts(message.id, coding.data_coding, bodies, sum(map(len, bodies)))

    async def send(self, form: Parts, number: str) -> Outcome:
        """Submit the parts in their order; the first that is not taken decides.

        Another try begins with the first part again, under the same reference: what a phone has
        already it gets twice, and shows once.
        """
        try:
            for place in range(len(form.bodies)):
                async with self._window:
                    if not place and self._clock.now_ms() < self._busy_until_ms:
                        return Throttled(self._busy_until_ms, "the SMPP link is to wait")
                    session = await self._bound()
                    if session is None:
                        return Throttled(self._closed_until_ms, self._down)
                    status = await self._submit(session, self._fields(form, place, number))
                if status:
                    if status == _UNBOUND:
                        session.end("the peer says it is not bound")
                    return self._judge(status)
        except _LostError as lost:
            self._heard(str(lost))
            # What was not sent costs no try: the link is down, not the phone.
            if lost.sent:
                return Retry(str(lost))
            return Throttled(self._clock.now_ms() + 1_000, str(lost))
        return Delivered()

    async def close(self) -> None:
        """Say goodbye and close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.unbind()

    async def _submit(self, session: _Session, submit: _Submit) -> int:
        if self._trace is None:
            return await session.submit(submit)
        self._trace.said(self._door.server, submit.legible)
        status = await session.submit(submit)
        self._trace.heard(self._door.server, _named(status))
        return status

    def _heard(self, text: str) -> None:
        if self._trace is not None:
            self._trace.heard(self._door.server, text)

    def _fields(self, form: Parts, place: int, number: str) -> _Submit:
        body, joined = form.bodies[place], len(form.bodies) > 1
        if joined:
            # As good as random between messages, and the same in every try at one.
            reference = zlib.crc32(f"{form.message_id}{number}".encode()) & 0xFF
            body = _JOIN + bytes((reference, len(form.bodies), place + 1)) + body
        return _Submit(self._source, _destination(number), form.data_coding, body, joined)

    def _judge(self, status: int) -> Outcome:
        name = _named(status)
        if status in _BUSY:
            wait_ms = int(self._settings.smpp_throttle_seconds * 1000)
            self._busy_until_ms = self._clock.now_ms() + wait_ms
            return Throttled(self._busy_until_ms, name)
        return Rejected(name) if status in _FINAL else Retry(name)

    async def _bound(self) -> _Session | None:
        """The session, opened if there is none; None until it is time to try again."""
        async with self._opening:
            if self._session is not None and not self._session.ended:
                return self._session
            if self._clock.now_ms() < self._closed_until_ms:
                return None
            if self._trace is not None:
                self._trace.said(self._door.server, self._door.legible)
            try:
                self._session = await self._door.open()
            except _LostError as error:
                self._heard(str(error))
                self._failures += 1
                wait_ms = min(2 ** (self._failures - 1), _LONGEST_BACK_OFF_S) * 1000
                self._closed_until_ms = self._clock.now_ms() + wait_ms
                self._down = f"no SMPP session: {error}"
                log.warning("smpp.down", extra={"reason": str(error), "again_in_ms": wait_ms})
                return None
            self._heard(_named(0))
            self._failures = 0
            log.info("smpp.bound")
            return self._session


class _Submit(NamedTuple):
    """What one submit_sm says (4.4.1)."""

    source: Address
    destination: Address
    data_coding: int
    body: bytes
    joined: bool

    @property
    def long(self) -> bool:
        """Whether one short message has no room for the body."""
        return len(self.body) > _parts.numbered(self.data_coding).single

    def encode(self, sequence: int) -> bytes:
        """The PDU; what short_message has no room for is the payload (5.3.2.32)."""
        tlvs = [smpp34.Tlv(_MESSAGE_PAYLOAD, self.body)] if self.long else []
        return smpp34.SubmitSm(
            self.source.address,
            self.destination.address,
            b"" if self.long else self.body,
            source_addr_ton=self.source.ton,
            source_addr_npi=self.source.npi,
            dest_addr_ton=self.destination.ton,
            dest_addr_npi=self.destination.npi,
            esm_class=_WITH_HEADER if self.joined else 0,
            data_coding=self.data_coding,
            tlvs=tlvs,
            sequence_number=sequence,
        ).encode()

    @property
    def legible(self) -> str:
        """The same as lines, with the text decoded and the header that joins in hexadecimal."""
        header = self.body[: len(_JOIN) + 3] if self.joined else b""
        text = _parts.numbered(self.data_coding).decode(self.body.removeprefix(header))
        lines = [
            "submit_sm",
            f"source_addr: {self.source.legible}",
            f"destination_addr: {self.destination.legible}",
            f"esm_class: 0x{_WITH_HEADER if self.joined else 0:02X}",
            f"data_coding: {self.data_coding}",
            *([f"user data header: {header.hex()}"] if header else ()),
            f"{'message_payload' if self.long else 'short_message'}: {text}",
        ]
        return "\n".join(lines)


class _Door:
    """Where the link leads, and the way through: connection, TLS, bind."""

    def __init__(self, settings: SmppSettings) -> None:
        parts = urlsplit(settings.url)
        try:
            self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            self._host.encode("idna")  # or no resolver would take it
        except ValueError:
            self._host = ""
        system_id, password = unquote(parts.username or ""), settings.smpp_password
        if not self._host or not system_id or parts.password is not None or parts.path.strip("/"):
            raise ConfigurationError(
                "Setting 'adapters.sms.url': an SMPP link is smpp://system_id@host:port."
            )
        self.server = f"{self._host}:{self._port}"
        self.legible = f"bind_transceiver\nsystem_id: {system_id}"
        if settings.smpp_system_type:
            self.legible += f"\nsystem_type: {settings.smpp_system_type}"
        self._bind = b"".join(
            (
                _c_string("url", system_id, 15),
                _c_string("smpp_password", password.get_secret_value(), 32),
                _c_string("smpp_system_type", settings.smpp_system_type, 12),
                b"\x34\x00\x00\x00",  # version 3.4, no address range of ours
            )
        )
        self._tls = None
        if parts.scheme == "smpps":
            try:
                self._tls = ssl.create_default_context(cafile=settings.smpp_ca_file)
            except OSError as error:
                raise ConfigurationError(
                    "Setting 'adapters.sms.smpp_ca_file' names no file of certificates."
                ) from error
        self._settings = settings

    async def open(self) -> _Session:
        """A bound session; raises `_LostError`."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            raise _LostError("no connection in time", sent=False) from error
        except ssl.SSLError as error:
            raise _LostError("TLS failed", sent=False) from error
        except OSError as error:
            raise _LostError("no connection", sent=False) from error
        session = _Session(reader, writer, self._settings)
        try:
            status = await session.ask(_BIND_TRANSCEIVER, self._bind)
        except BaseException:
            await session.abandon()
            raise
        if status:
            await session.abandon()
            raise _LostError(f"the bind was refused: {_named(status)}", sent=False)
        session.keep_alive()
        return session


class _Session:
    """One connection: requests that wait for their answers, until it ends for all of them."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        settings: SmppSettings,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = settings.timeout
        self._enquire_s = settings.smpp_enquire_seconds
        self._sequence = 0
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = ""
        self._start(self._read())

    @property
    def ended(self) -> bool:
        """Whether it can be used no more."""
        return bool(self._ended)

    def keep_alive(self) -> None:
        """Ask now and then whether the other side is still there."""
        self._start(self._enquire())

    async def submit(self, message: _Submit) -> int:
        """The command status of the answer; raises `_LostError`."""
        return await self._ask(message.encode(self._next()))

    async def ask(self, command: int, body: bytes = b"") -> int:
        """The command status of the answer to a request without fields of its own."""
        return await self._ask(_pdu(command, self._next(), body))

    async def unbind(self) -> None:
        """End in order: whoever waits has its answer or does not get it any more."""
        if not self.ended:
            with suppress(_LostError):
                await self.ask(_UNBIND)
        await self.abandon()

    async def abandon(self) -> None:
        """End, and leave nothing behind."""
        self.end("unbound")
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()
        except OSError:
            pass  # it has gone in its own way

    def end(self, reason: str) -> None:
        """Close, and tell all who wait."""
        if self._ended:
            return
        self._ended = reason
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_LostError(reason, sent=True))
        self._waiting.clear()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self) -> int:
        self._sequence = self._sequence % 0x7FFF_FFFF + 1
        return self._sequence

    async def _ask(self, pdu: bytes) -> int:
        if self._ended:
            raise _LostError(self._ended, sent=False)
        sequence = _HEADER.unpack_from(pdu)[3]
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = future
        self._writer.write(pdu)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            # Its answers come for nobody any more, so that they must not come at all.
            reason = "no answer in time"
            self.end(reason)
            raise _LostError(reason, sent=True) from None
        finally:
            self._waiting.pop(sequence, None)

    async def _enquire(self) -> None:
        while not self._ended:
            await asyncio.sleep(self._enquire_s)
            with suppress(_LostError):  # which ends the session for all
                await self.ask(_ENQUIRE_LINK)

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(_HEADER.size)
                length = _HEADER.unpack(head)[0]
                if not _HEADER.size <= length <= _LARGEST_PDU:
                    self.end("the peer does not speak SMPP")
                    return
                # Nothing that a peer says in a body matters, nor whether it says it well.
                await self._reader.readexactly(length - _HEADER.size)
                self._take(*_HEADER.unpack(head)[1:])
        except (OSError, asyncio.IncompleteReadError):
            self.end("the connection was lost")

    def _take(self, command: int, status: int, sequence: int) -> None:
        """One PDU of the peer's: an answer to us, or a request that wants one."""
        if command & _ANSWER:
            future = self._waiting.get(sequence)
            if future is not None and not future.done():
                future.set_result(status or 0xFF if command == _GENERIC_NACK else status)
        elif command in {_ENQUIRE_LINK, _DELIVER_SM, _UNBIND}:
            # Receipts are not asked for, and answers of phones are for nobody.
            body = b"\0" if command == _DELIVER_SM else b""
            self._writer.write(_pdu(command | _ANSWER, sequence, body))
            if command == _UNBIND:
                self.end("the peer has unbound")
        else:
            self._writer.write(_pdu(_GENERIC_NACK, sequence, status=0x03))


def _pdu(command: int, sequence: int, body: bytes = b"", *, status: int = 0) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), command, status, sequence) + body


def _c_string(setting: str, text: str, longest: int) -> bytes:
    """A field that ends with NUL (3.1)."""
    if not text.isascii() or "\0" in text or len(text) > longest:
        raise ConfigurationError(
            f"Setting 'adapters.sms.{setting}': at most {longest} ASCII characters."
        )
    return text.encode() + b"\0"


def _destination(number: str) -> Address:
    """International with a plus sign, else left to the carrier; ISDN numbering."""
    return Address(1 if number.startswith("+") else 0, 1, digits(number))


def _source(text: str) -> Address:
    """A number, a short code, or a name; none: the carrier has one."""
    if not text:
        return Address(0, 0, "")
    if digits(text).isdecimal():
        return _destination(text)
    return Address(5, 0, text)


def _named(status: int) -> str:
    return f"{_NAMES.get(status, 'command_status')} (0x{status:08X})"
