"""Mail relays for tests: one that behaves as told, and aiosmtpd with TLS and AUTH."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.engines import eventually

CLOSE: Final = b""
"""An answer: the connection ends instead."""
HANG: Final = b"hang"
"""An answer that never comes."""
_LONGEST_MAIL: Final = 10_000_000
_GOOD: Final = {"DATA": b"354 go on", "QUIT": b"221 bye", "": b"220 ready"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail as a relay took it."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def mail(self) -> EmailMessage:
        """Parsed by the standard library."""
        return parsed(self.raw)


def parsed(raw: bytes) -> EmailMessage:
    """A mail as the standard library reads it."""
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def body(mail: EmailMessage, subtype: str) -> str:
    """The text or HTML part, with line ends as in Python."""
    part = mail.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@dataclass
class Relay:
    """A server on loopback that answers as scripted, well otherwise.

    ``script`` holds answers by command (``MAIL``, ``RCPT``, ``DATA``, ``RSET``; ``.`` for what
    follows a whole mail, empty for the greeting): each is given once, the last one for ever if
    it is in ``always``.
    """

    port: int = 0
    extensions: tuple[str, ...] = ("SIZE 10000000", "8BITMIME")
    arrivals: list[Arrival] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    script: defaultdict[str, deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, bytes] = field(default_factory=dict)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def answer(self, command: str, *answers: bytes) -> None:
        """Script the next answers to a command."""
        self.script[command].extend(answers)

    async def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_LONGEST_MAIL
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone at once, as if killed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.hang_up()

    async def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side, or the test, has hung up
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = recipient = command = ""
        raw = b""
        while True:
            answer = self._answer(command)
            if answer == HANG:
                self.held.set()
                await reader.read()
                return
            if answer == CLOSE:
                return
            writer.write(answer + b"\r\n")
            if command == "." and answer.startswith(b"250"):
                self.arrivals.append(Arrival(sender, recipient, raw))
            if command == "QUIT":
                return
            if command == "DATA" and answer.startswith(b"354"):
                raw = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                command = "."
                continue
            line = (await reader.readuntil(b"\r\n")).decode()
            self.commands.append(line.strip())
            command = line[:4].upper()
            address = line.partition("<")[2].partition(">")[0]
            if command == "MAIL":
                sender = address
            if command == "RCPT":
                recipient = address

    def _answer(self, command: str) -> bytes:
        if self.script[command]:
            return self.script[command].popleft()
        if command in self.always:
            return self.always[command]
        if command == "EHLO":
            lines = ["relay.test", *self.extensions]
            return "\r\n".join(
                f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines
            ).encode()
        return _GOOD.get(command, b"250 2.0.0 fine")


@asynccontextmanager
async def relay(**options: Any) -> AsyncIterator[Relay]:
    """A relay until the block ends."""
    made = Relay(**options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@dataclass
class RealServer:
    """An aiosmtpd server and what it got; ``hold`` is awaited before a mail is answered."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    tls: bool = False
    hold: Callable[[], Awaitable[object]] | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's hook
        """Keep the mail."""
        if self.hold is not None:
            await self.hold()
        content = envelope.content
        assert isinstance(content, bytes)
        self.tls = session.ssl is not None
        self.arrivals.append(Arrival(str(envelope.mail_from), envelope.rcpt_tos[0], content))
        return "250 2.0.0 kept"


class _Connection(SMTP):
    """A connection to aiosmtpd that is known to its server until it has ended."""

    def __init__(self, *given: Any, ongoing: set[_Connection], **options: Any) -> None:
        super().__init__(*given, **options)
        self._ongoing = ongoing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ongoing.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._ongoing.discard(self)

    def abort(self) -> None:
        """Break it."""
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.abort()


@asynccontextmanager
async def real_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, password: str = ""
) -> AsyncIterator[RealServer]:
    """One of aiosmtpd's on loopback; with a ``password`` one has to log in, as ``tocsin``."""
    made = RealServer()
    ongoing: set[_Connection] = set()

    def authenticate(server: SMTP, session: Session, *given: Any) -> AuthResult:
        login = given[-1]
        assert isinstance(login, LoginPassword)
        made.logins.append(login.login.decode())
        good = login == LoginPassword(b"tocsin", password.encode())
        return AuthResult(success=good, handled=False)

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # It does not see the TLS that is there from the beginning.
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            return _Connection(
                made,
                ongoing=ongoing,
                hostname="relay.test",
                tls_context=None if implicit else tls,
                require_starttls=tls is not None and not implicit,
                authenticator=authenticate if password else None,
                auth_required=bool(password),
                auth_require_tls=not implicit,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for connection in ongoing:
            connection.abort()
        await eventually(lambda: not ongoing, "every connection has ended")
