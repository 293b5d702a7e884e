"""Apple's push service, as strict as its documentation: HTTP/2, certificates, headers, payloads."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from tests.apple import BUNDLE, DEVELOPMENT, apple
from tests.endpoints import certificate_for

DEVICE: Final = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
RESET, REFUSE, CUT = "RST_STREAM", "REFUSED_STREAM", "cut"
"""In place of an answer: reset the request, refuse it unseen, or break the connection."""

_TYPES: Final = {"alert", "background", "voip", "complication"}
_COLLAPSE_BYTES: Final = 64


@dataclass(frozen=True)
class Push:
    """A push that was taken."""

    token: str
    headers: dict[str, str]
    payload: dict[str, Any]


@dataclass
class ApplePush:
    """What arrived, and what is answered next instead of the truth.

    ``devices`` are tokens by what they are for; ``arrivals`` every whole request, whatever
    became of it. The ``first`` push to each device is answered with that. New connections are
    ``silent`` if it is; ``held`` answers wait for the event.
    ``seen`` is told of every payload. Requests that come after a goodbye are ``overlooked``.
    """

    url: str = ""
    sandbox: bool = False
    most: int = 100
    devices: dict[str, str] = field(default_factory=lambda: {DEVICE: BUNDLE})
    unregistered: set[str] = field(default_factory=set)
    pushes: list[Push] = field(default_factory=list)
    arrivals: list[str] = field(default_factory=list)
    answers: deque[tuple[int, str] | str] = field(default_factory=deque)
    first: tuple[int, str] | None = None
    retry_after: str | None = None
    silent: bool = False
    held: asyncio.Event | None = None
    seen: Callable[[bytes], object] = lambda _: None
    connections: int = 0
    overlooked: int = 0
    pings: int = 0
    open: int = 0
    most_open: int = 0
    sessions: set[Session] = field(default_factory=set)

    def shown(self) -> Counter[str]:
        """How many notifications each device shows: one for each collapse id."""
        different = {(push.token, push.headers.get("apns-collapse-id")) for push in self.pushes}
        return Counter(token for token, _ in different)

    def go_away(self, last: int | None = None) -> None:
        """Say goodbye on every connection; what comes after the last stream is not looked at."""
        for session in self.sessions:
            session.go_away(last)

    def fall_silent(self) -> None:
        """On every connection that there is take everything and say nothing."""
        for session in self.sessions:
            session.silent = True

    def cut(self) -> None:
        """Break every connection."""
        for session in self.sessions:
            session.abort()


class Session:
    """One connection of a client."""

    def __init__(
        self, apple_push: ApplePush, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.silent = apple_push.silent
        self._apple = apple_push
        self._reader = reader
        self._writer = writer
        tls = writer.get_extra_info("ssl_object")
        self._spoken = tls.selected_alpn_protocol()
        shown = tls.getpeercert(binary_form=True)
        self._certificate = x509.load_der_x509_certificate(shown) if shown else None
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._last: int | None = None
        self._highest = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the client is gone."""
        if self._spoken != "h2":
            self._writer.close()
            return
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._apple.most})
        self._flush()
        with suppress(ConnectionError, ProtocolError):
            while data := await self._reader.read(65_536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                    self._flush()
                self._flush()
        for task in self._tasks:
            task.cancel()
        self._writer.close()

    def go_away(self, last: int | None) -> None:
        """As `ApplePush.go_away`; h2 itself would allow no answer afterwards."""
        self._last = self._highest if last is None else last
        reason = json.dumps({"reason": "Shutdown"}).encode()
        frame = GoAwayFrame(0, last_stream_id=self._last, error_code=0, additional_data=reason)
        self._writer.write(frame.serialize())

    def abort(self) -> None:
        """Break it."""
        self._writer.transport.abort()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self.silent and not self._writer.is_closing():
            self._writer.write(data)

    def _take(self, event: events.Event) -> None:
        number = getattr(event, "stream_id", None) or 0
        if self._last is not None and number > self._last:
            self._apple.overlooked += isinstance(event, events.RequestReceived)
            return
        match event:
            case events.RequestReceived(headers=found):
                self._highest = number
                fields = [(str(name), str(value)) for name, value in found or ()]
                self._requests[number] = fields, bytearray()
                self._apple.open += 1
                self._apple.most_open = max(self._apple.most_open, self._apple.open)
            case events.DataReceived(data=data, flow_controlled_length=length):
                if number in self._requests:
                    self._requests[number][1].extend(data or b"")
                self._h2.acknowledge_received_data(length or 0, number)
            case events.StreamEnded() if number in self._requests:
                headers, body = self._requests.pop(number)
                self._answer(number, headers, bytes(body))
            case events.StreamReset():
                if self._requests.pop(number, None):
                    self._apple.open -= 1
            case events.PingReceived():
                self._apple.pings += 1
            case _:
                pass

    def _answer(self, number: int, headers: list[tuple[str, str]], body: bytes) -> None:
        given = dict(headers)
        token = given[":path"].rpartition("/")[2]
        answer: tuple[int, str] | str
        if self._apple.first is not None and token not in self._apple.arrivals:
            answer = self._apple.first
        elif self._apple.answers:
            answer = self._apple.answers.popleft()
        else:
            answer = fault(self._apple, self._certificate, headers, body) or (200, "")
        self._apple.arrivals.append(token)
        self._apple.seen(body)
        if answer in {(200, ""), CUT}:
            self._apple.pushes.append(Push(token, given, json.loads(body)))
        if self._apple.held is None:
            self._say(number, given, answer)
            return
        task = asyncio.get_running_loop().create_task(self._later(number, given, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(
        self, number: int, given: dict[str, str], answer: tuple[int, str] | str
    ) -> None:
        assert self._apple.held is not None
        await self._apple.held.wait()
        with suppress(ProtocolError):  # the client waits no more
            self._say(number, given, answer)
            self._flush()

    def _say(self, number: int, given: dict[str, str], answer: tuple[int, str] | str) -> None:
        self._apple.open -= 1
        if answer == CUT:
            # Earlier answers still arrive, which an abort would tear along.
            self._last = number
            self._writer.close()
            return
        if isinstance(answer, str):
            code = ErrorCodes.REFUSED_STREAM if answer == REFUSE else ErrorCodes.INTERNAL_ERROR
            self._h2.reset_stream(number, code)
            return
        status, reason = answer
        fields = [(":status", str(status)), ("apns-id", given.get("apns-id", str(uuid.uuid4())))]
        if self._apple.retry_after is not None:
            fields.append(("retry-after", self._apple.retry_after))
        self._h2.send_headers(number, fields, end_stream=not reason)
        if reason:
            said: dict[str, object] = {"reason": reason}
            if status == 410:
                said["timestamp"] = 1_700_000_000_000
            self._h2.send_data(number, json.dumps(said).encode(), end_stream=True)


def fault(  # noqa: C901, PLR0911, PLR0912 - a line a rule
    service: ApplePush,
    certificate: x509.Certificate | None,
    fields: list[tuple[str, str]],
    body: bytes,
) -> tuple[int, str] | None:
    """Status and reason for a request that breaks a rule, the first one that it breaks."""
    headers = dict(fields)
    if len(headers) != len(fields):
        return 400, "DuplicateHeaders"
    if headers[":method"] != "POST":
        return 405, "MethodNotAllowed"
    before, _, token = headers[":path"].rpartition("/")
    if before != "/3/device":
        return 404, "BadPath"
    if not token:
        return 400, "MissingDeviceToken"
    if certificate is None:
        return 403, "MissingProviderToken"
    name = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    if name.startswith(DEVELOPMENT) and not service.sandbox:
        return 403, "BadCertificateEnvironment"
    bundle = str(certificate.subject.get_attributes_for_oid(NameOID.USER_ID)[0].value)
    topic = headers.get("apns-topic", bundle)
    if topic != bundle:
        return 400, "TopicDisallowed"
    if "apns-id" in headers and not _is_canonical(headers["apns-id"]):
        return 400, "BadMessageId"
    if len(headers.get("apns-collapse-id", "").encode()) > _COLLAPSE_BYTES:
        return 400, "BadCollapseId"
    if not re.fullmatch("[0-9]{1,12}", headers.get("apns-expiration", "0")):
        return 400, "BadExpirationDate"
    kind = headers.get("apns-push-type", "alert")
    if kind not in _TYPES or (kind == "voip") != topic.endswith(".voip"):
        return 400, "InvalidPushType"
    if not body:
        return 400, "PayloadEmpty"
    if len(body) > (5120 if kind == "voip" else 4096):
        return 413, "PayloadTooLarge"
    aps = json.loads(body)["aps"]
    silent = bool(aps.get("content-available")) and not {"alert", "badge", "sound"} & set(aps)
    priority = headers.get("apns-priority", "10")
    if priority not in {"1", "5", "10"} or (silent and kind != "voip" and priority == "10"):
        return 400, "BadPriority"
    if silent != (kind == "background") and kind != "voip":
        return 400, "InvalidPushType"
    if token in service.unregistered:
        return 410, "Unregistered"
    if token not in service.devices:
        return 400, "BadDeviceToken"
    if service.devices[token] != topic:
        return 400, "DeviceTokenNotForTopic"
    return None


def _is_canonical(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


@asynccontextmanager
async def apple_push(folder: Path, **options: Any) -> AsyncIterator[tuple[ApplePush, Path]]:
    """The service on this machine, and the file of the authority that its certificate is by."""
    made = ApplePush(**options)
    own, key = certificate_for("127.0.0.1", folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own, key)
    tls.load_verify_locations(cadata=apple().pem.decode())
    # Without a certificate a request could still bring a token.
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.set_alpn_protocols(["h2"])
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        made.connections += 1
        session = Session(made, reader, writer)
        made.sessions.add(session)
        try:
            await session.serve()
        finally:
            made.sessions.discard(session)
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, ssl_shutdown_timeout=1)
    made.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made, own
    finally:
        server.close()
        made.cut()
        if tasks:
            await asyncio.wait(tasks)
