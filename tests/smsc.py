"""A message centre that speaks SMPP with another library than the adapter, as phones see it."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiosmpplib import SmppCommand, SmppMessage, SubmitSm
from aiosmpplib.protocol import MESSAGE_TYPE_MAP
from aiosmpplib.state import SAR_MSG_REF_NUM, SAR_SEGMENT_SEQNUM, SAR_TOTAL_SEGMENTS

SYSTEM_ID, PASSWORD = "tocsin", "s3cret"
DROP, MUTE = -1, -2
"""In place of a status: cut the connection, or never answer."""


@dataclass
class Smsc:
    """What it was sent, and what it answers to the next submits: 0 when nothing is said.

    ``hold`` is awaited before a submit is answered.
    """

    port: int = 0
    submits: list[SubmitSm] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    binds: int = 0
    enquiries: int = 0
    deaf: bool = False
    hold: Callable[[], Awaitable[object]] | None = None
    open: int = 0
    most_open: int = 0
    taken: list[tuple[str, int, int, int, str]] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _held: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"smpp://{SYSTEM_ID}@127.0.0.1:{self.port}"

    def shown(self, number: str) -> list[str]:
        """The texts that the phone has shown: complete ones, each part once."""
        parts: dict[int, dict[int, str]] = {}
        shown = []
        for to, reference, place, total, text in self.taken:
            if to != number:
                continue
            found = parts.setdefault(reference, {})
            found[place] = text
            if len(found) == total:
                shown.append("".join(text for _, text in sorted(parts.pop(reference).items())))
        return shown

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readexactly(16)
                    header = SmppMessage.parse_header(head)
                    pdu = head + await reader.readexactly(header.pdu_length - 16)
                    kind = MESSAGE_TYPE_MAP[header.smpp_command]
                    message = kind.from_pdu(pdu, header, "gsm0338")
                    if not await self._answer(message, header.smpp_command, writer):
                        return
        finally:
            self.writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def stop(self) -> None:
        """Cut all connections, and answer nothing any more."""
        for task in self._held:
            task.cancel()
        for writer in self.writers:
            writer.close()
        if left := self._tasks | self._held:
            await asyncio.wait(left)

    async def _answer(
        self, message: SmppMessage, command: SmppCommand, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection goes on."""
        number = message.sequence_num
        match command:
            case SmppCommand.BIND_TRANSCEIVER:
                self.binds += 1
                known = (message.system_id, message.password) == (SYSTEM_ID, PASSWORD)
                send(writer, 0x80000009, 0 if known else 0x0E, number, b"smsc\0")
            case SmppCommand.ENQUIRE_LINK:
                self.enquiries += 1
                if not self.deaf:
                    send(writer, 0x80000015, 0, number)
            case SmppCommand.UNBIND:
                send(writer, 0x80000006, 0, number)
            case SmppCommand.SUBMIT_SM:
                assert isinstance(message, SubmitSm)
                return await self._submit(message, writer)
            case _:
                pass
        return True

    async def _submit(self, message: SubmitSm, writer: asyncio.StreamWriter) -> bool:
        self.submits.append(message)
        status = self.answers.popleft() if self.answers else 0
        if status in {0, DROP}:
            said = {one.tag: int(one.value) for one in message.optional_params or ()}
            self.taken.append(
                (
                    message.destination.number,
                    said.get(SAR_MSG_REF_NUM, -1),
                    said.get(SAR_SEGMENT_SEQNUM, 1),
                    said.get(SAR_TOTAL_SEGMENTS, 1),
                    message.short_message or message.message_payload,
                )
            )
        if status == DROP:
            return False
        if status == MUTE:
            return True
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        if self.hold is None:
            self._reply(message, status, writer)
        else:
            self._later(self.hold, message, status, writer)
        return True

    def _later(
        self,
        hold: Callable[[], Awaitable[object]],
        message: SubmitSm,
        status: int,
        writer: asyncio.StreamWriter,
    ) -> None:
        async def reply() -> None:
            await hold()
            self._reply(message, status, writer)

        task = asyncio.get_running_loop().create_task(reply())
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    def _reply(self, message: SubmitSm, status: int, writer: asyncio.StreamWriter) -> None:
        self.open -= 1
        send(writer, 0x80000004, status, message.sequence_num, b"" if status else b"id\0")


def send(
    writer: asyncio.StreamWriter, command: int, status: int, number: int, body: bytes = b""
) -> None:
    """One PDU."""
    fields = (16 + len(body), command, status, number)
    writer.write(b"".join(value.to_bytes(4, "big") for value in fields) + body)


@asynccontextmanager
async def smsc(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Smsc]:
    """One on a free port."""
    centre = Smsc()
    server = await asyncio.start_server(centre.serve, "127.0.0.1", port, ssl=tls)
    centre.port = server.sockets[0].getsockname()[1]
    try:
        yield centre
    finally:
        server.close()
        await server.wait_closed()
        await centre.stop()
