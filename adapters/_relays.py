"""Kept connections to mail relays, and which relay a mail goes to.

Each relay has a bounded number of connections; a mail takes one, and hands it on. The first
relay that is up gets everything. One that fails is left alone for a while that doubles, then
one mail tries it. Nothing is sent again once the whole mail has been handed over: only until
then is it certain that nobody has it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import aiosmtplib
from aiosmtplib import SMTP

from adapters import _mail
from adapters._relay_faults import (
    Busy,
    Down,
    Lost,
    Unavailable,
    Uncertain,
    is_unwell,
    refuses_us,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.ports import Trace

log = logging.getLogger(__name__)

_BACK_OFF_S: Final = (1.0, 60.0)
_IDLE_S: Final = 15.0
"""Shorter than any server's patience, long enough for a busy worker to keep what it has."""
_CAP_S: Final = 60.0
"""How long a relay that refused one more connection is not asked for more than it took."""
_QUEUE: Final = 256
"""Mails that wait for a connection of one relay: more are put off, or a slow relay would hold
the places of other deliveries."""
_TURN_S: Final = (0.25, 5.0)
"""For how long they are put off: about until those before them are through."""
_LEFT_ALONE: Final = "the mail relay is down"
_QUIT_S: Final = 2.0
_SMOOTHING: Final = 0.1

# Replies (RFC 5321 §4.2.3).
_DONE: Final = frozenset({250, 251, 252})
_GO_ON: Final = frozenset({354})
_CLOSING: Final = 421
_HANDED_OVER: Final = 0
"""No code of a relay's: the answer is still to come."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a relay is told; ``data`` is dot-stuffed and has its end."""

    sender: bytes
    recipient: bytes
    data: bytes


class Reply(NamedTuple):
    """A relay's last word on one mail: after which command, and what."""

    command: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay is and how to talk to it; ``tls`` is None for none."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    implicit: bool
    username: str
    password: str = field(repr=False)
    connections: int
    timeout_s: float
    ehlo: str

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.host}:{self.port}"

    @property
    def way(self) -> str:
        """How a connection to it begins, without the password."""
        tls = "" if self.tls is None else " with TLS" if self.implicit else " with STARTTLS"
        return f"connect{tls}, AUTH as {self.username}" if self.username else f"connect{tls}"


def stuffed(mail: bytes) -> bytes:
    """A mail as DATA transfers it (RFC 5321 §4.5.2): no line of it can be taken for its end.

    It has no bare CR or LF, which some servers take for line ends (SMTP smuggling).
    """
    return mail.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _unstuffed(data: bytes) -> bytes:
    return data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are checked, names too; raises `OSError` for a file that holds none."""
    return ssl.create_default_context(cafile=ca_file)


class Relays:
    """Sends mails by the first relay that is up."""

    def __init__(self, addresses: Sequence[Address], trace: Trace | None = None) -> None:
        self._relays = [_Relay(address, trace) for address in addresses]

    async def send(self, envelope: Envelope) -> Reply:
        """The reply that settles it; raises `Unavailable`, `Busy`, `Uncertain`."""
        failed: Unavailable | None = None
        unwell: Reply | None = None
        downs: list[Down] = []
        for relay in self._relays:
            try:
                reply = await relay.send(envelope)
            except Down as down:
                downs.append(down)
            except Unavailable as error:
                failed = error
            else:
                if not is_unwell(reply.code, reply.text):
                    return reply
                # It may be well for the next mail: a look-up that failed was this one's.
                unwell = reply
        if unwell is not None:
            return unwell
        raise failed or min(downs, key=lambda down: down.wait_s)

    async def close(self) -> None:
        """Say goodbye on every connection."""
        await asyncio.gather(*(relay.close() for relay in self._relays))


class _Relay:
    """One relay: its connections, who waits for them, and how it is."""

    def __init__(self, address: Address, trace: Trace | None) -> None:
        self._address = address
        self._trace = trace
        self._idle: deque[tuple[float, SMTP]] = deque()
        self._in_use: set[SMTP] = set()
        self._open = 0  # in use, idle, or on their way
        self._waiting: deque[asyncio.Future[SMTP | None]] = deque()
        self._cap, self._cap_until = 0, 0.0
        self._failures, self._down_until = 0, 0.0
        self._tried = False  # since the last failure, by one mail
        self._exchange_s = 0.01
        self._sweeping: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    async def send(self, envelope: Envelope) -> Reply:
        """As `Relays.send`; `Down` if it is to be left alone."""
        if self._failures:
            self._ask_leave()
        for fresh in (False, True):
            smtp, kept = await self._take(fresh=fresh)
            try:
                return await self._exchange(smtp, envelope, kept=kept)
            except Lost:
                # Servers close what has been idle; it says nothing about how the relay is.
                continue
        raise Unavailable("the mail relay closes its connections")

    async def close(self) -> None:
        """Say goodbye on idle connections, wait for those that are at it."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        while self._idle:
            self._part(self._idle.popleft()[1])
        await asyncio.gather(*self._farewells)

    # One mail

    async def _exchange(self, smtp: SMTP, envelope: Envelope, *, kept: bool) -> Reply:
        """One transaction; afterwards the connection is free for the next, or closed."""
        begun = time.monotonic()
        clean = False
        try:
            reply = await self._announce(smtp, envelope, kept=kept)
            if reply.code == _HANDED_OVER:
                reply = await self._answer(smtp)
                clean = True
                self._exchange_s += _SMOOTHING * (time.monotonic() - begun - self._exchange_s)
                self._recover()
            else:
                self._recover()
                # Without it the next MAIL would be out of sequence (RFC 5321 §4.1.4).
                clean = await self._reset(smtp)
        finally:
            self._give_back(smtp, clean=clean)
        return reply

    async def _announce(self, smtp: SMTP, envelope: Envelope, *, kept: bool) -> Reply:
        """Sender, recipient and mail, up to the first refusal; the answer is still to come."""
        try:
            async with asyncio.timeout(self._address.timeout_s):
                for name, command, good in (
                    ("mail", _mail_command(smtp, envelope), _DONE),
                    ("rcpt", b"RCPT TO:<" + envelope.recipient + b">", _DONE),
                    ("data", b"DATA", _GO_ON),
                ):
                    self._said(command.decode())
                    code, text = await smtp.execute_command(command)
                    self._heard(code, text)
                    if code == _CLOSING and kept:
                        raise Lost
                    if code == _CLOSING or (name == "mail" and 400 <= code < 500):
                        raise self._down(f"the mail relay is not available (SMTP {code})")
                    if refuses_us(code, text):
                        raise self._refused(code)
                    if code not in good:
                        return Reply(name, code, text)
                if smtp.protocol is None:
                    raise aiosmtplib.SMTPServerDisconnected("Connection lost")
                smtp.protocol.write(envelope.data)
                if self._trace is not None:
                    self._said(_mail.legible(_unstuffed(envelope.data)))
        except (aiosmtplib.SMTPException, OSError) as error:
            self._heard(why(error))
            if kept:
                raise Lost from error
            self._fail(why(error))
            raise Unavailable(why(error)) from error
        return Reply("data", _HANDED_OVER, "")

    async def _answer(self, smtp: SMTP) -> Reply:
        """What becomes of a mail that was handed over."""
        try:
            if smtp.protocol is None:
                raise aiosmtplib.SMTPServerDisconnected("Connection lost")
            async with asyncio.timeout(self._address.timeout_s):
                code, text = await smtp.protocol.read_response()
        except (aiosmtplib.SMTPException, OSError) as error:
            self._heard(why(error))
            raise Uncertain(why(error)) from error
        self._heard(code, text)
        if code == _CLOSING:
            # A refusal, so that another relay may have it (RFC 5321 §3.8).
            raise self._down(f"the mail relay is not available (SMTP {code})")
        if refuses_us(code, text):
            raise self._refused(code)
        return Reply("content", code, text)

    async def _reset(self, smtp: SMTP) -> bool:
        try:
            async with asyncio.timeout(self._address.timeout_s):
                return (await smtp.execute_command(b"RSET")).code in _DONE
        except (aiosmtplib.SMTPException, OSError):
            return False  # the mail has its reply; only the connection goes

    # Connections

    async def _take(self, *, fresh: bool) -> tuple[SMTP, bool]:
        """A connection, and whether it was used before; ``fresh`` wants a new one."""
        while True:
            while self._idle:
                _, smtp = self._idle.pop()
                if smtp.is_connected and not fresh:
                    self._in_use.add(smtp)
                    return smtp, True
                smtp.close()
                self._open -= 1
            if self._open < self._limit:
                found = await self._connect()
            else:
                found = await self._wait()
                if found is not None:
                    return found, True
                if self._failures:
                    raise Down(max(self._down_until - time.monotonic(), 0.0), _LEFT_ALONE)
            if found is not None:
                return found, False

    @property
    def _limit(self) -> int:
        most = self._address.connections
        return min(most, self._cap) if time.monotonic() < self._cap_until else most

    async def _connect(self) -> SMTP | None:
        """A new connection; None if the relay wants no more than there are."""
        address = self._address
        smtp = SMTP(
            hostname=address.host,
            port=address.port,
            username=address.username or None,
            password=address.password or None,
            local_hostname=address.ehlo or None,
            timeout=None,
            use_tls=address.tls is not None and address.implicit,
            start_tls=address.tls is not None and not address.implicit,
            tls_context=address.tls,
        )
        self._said(address.way)
        self._open += 1
        connected = False
        try:
            async with asyncio.timeout(address.timeout_s):
                await smtp.connect()
                if smtp.is_ehlo_or_helo_needed:
                    await smtp.ehlo()
            connected = True
        except (aiosmtplib.SMTPException, OSError) as error:
            self._heard(why(error))
            alive = [*self._in_use, *(kept for _, kept in self._idle)]
            established = sum(one.is_connected for one in alive)
            if not established:
                raise self._down(why(error)) from error
            self._cap, self._cap_until = established, time.monotonic() + _CAP_S
        finally:
            if not connected:
                smtp.close()
                self._free_place()
        if not connected:
            return None
        self._heard("connected")
        self._in_use.add(smtp)
        return smtp

    async def _wait(self) -> SMTP | None:
        """A connection that another mail hands on, or None when there may be a place for one."""
        if len(self._waiting) >= _QUEUE:
            least, most = _TURN_S
            drained_s = len(self._waiting) * self._exchange_s / self._limit
            wait_s = min(max(drained_s, least), most)
            raise Busy(wait_s, "many mails wait for the mail relay")
        future: asyncio.Future[SMTP | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled():
                handed = future.result()
                if handed is None:
                    self._hand_on(None)
                else:
                    self._give_back(handed, clean=True)
            raise

    def _give_back(self, smtp: SMTP, *, clean: bool) -> None:
        self._in_use.discard(smtp)
        if not clean or not smtp.is_connected:
            smtp.close()
            self._free_place()
        elif self._open > self._limit:
            self._part(smtp)
        elif self._hand_on(smtp):
            self._in_use.add(smtp)
        else:
            self._idle.append((time.monotonic(), smtp))
            if self._sweeping is None:
                self._sweep_later(_IDLE_S)

    def _free_place(self) -> None:
        self._open -= 1
        self._hand_on(None)

    def _hand_on(self, smtp: SMTP | None) -> bool:
        """Give a connection, or the place for one, to whoever has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(smtp)
                return True
        return False

    def _sweep_later(self, seconds: float) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        self._sweeping = None
        limit = time.monotonic() - _IDLE_S
        while self._idle and self._idle[0][0] <= limit:
            self._part(self._idle.popleft()[1])
        if self._idle:
            self._sweep_later(max(self._idle[0][0] - limit, 0.1))

    def _part(self, smtp: SMTP) -> None:
        self._free_place()
        task = asyncio.get_running_loop().create_task(_say_goodbye(smtp))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    # How it is

    def _said(self, text: str) -> None:
        if self._trace is not None:
            self._trace.said(self._address.name, text)

    def _heard(self, *words: object) -> None:
        if self._trace is not None:
            self._trace.heard(self._address.name, " ".join(map(str, words)))

    def _ask_leave(self) -> None:
        """Raise `Down` while it is left alone.

        When a back-off ends one mail tries it, and others wait for what comes of that.
        """
        now = time.monotonic()
        if now < self._down_until:
            raise Down(self._down_until - now, _LEFT_ALONE)
        self._down_until = now + self._back_off_s
        self._tried = True

    @property
    def _back_off_s(self) -> float:
        least, most = _BACK_OFF_S
        return float(min(least * 2 ** min(self._failures - 1, 10), most))

    def _fail(self, reason: str) -> None:
        """Leave it alone from now on; tells those who wait.

        What fails on several connections at once is one failure.
        """
        if self._tried or not self._failures:
            self._failures += 1
            self._tried = False
            self._down_until = time.monotonic() + self._back_off_s
            if self._failures == 1:
                extra = {"relay": self._address.name, "reason": reason}
                log.warning("relay.failed", extra=extra)
        while self._hand_on(None):
            pass

    def _down(self, reason: str) -> Down:
        """The same, where it is certain that no mail is why."""
        self._fail(reason)
        return Down(self._back_off_s, reason)

    def _refused(self, code: int) -> Down:
        # What the relay says may be about our password.
        return self._down(f"the mail relay refuses us (SMTP {code}): check its settings")

    def _recover(self) -> None:
        if self._failures:
            extra = {"relay": self._address.name, "failures": self._failures}
            log.info("relay.recovered", extra=extra)
            self._failures = 0
            self._tried = False


def _mail_command(smtp: SMTP, envelope: Envelope) -> bytes:
    command = b"MAIL FROM:<" + envelope.sender + b">"
    if smtp.supports_extension("size"):
        command += b" SIZE=%d" % len(envelope.data)
    return command


async def _say_goodbye(smtp: SMTP) -> None:
    try:
        async with asyncio.timeout(_QUIT_S):
            await smtp.quit()
    except (aiosmtplib.SMTPException, OSError):
        log.debug("relay.left", exc_info=True)
    finally:
        smtp.close()
