"""The subscriber: a process of its own that is never killed and forgets nothing.

``python receiver.py`` prints ``ready PORT``. A POST to ``/TOPIC/NUMBER`` is a delivery; every
fifth number fails the first try or two of each message, by a 500 or by a reset. ``GET /count``
answers how many (message, path) pairs got their 200, ``GET /log`` everything: one
``[message id, path, arrived, answered, status]`` a request, times by the monotonic clock, which
all processes of a machine share; status 0 is a reset, ``answered`` null while it is open.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections import Counter
from typing import Any

Record = list[Any]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAILED = b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n"
SLOWEST_S = 0.05


class Diary:
    """Every request that arrived."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.tries: Counter[tuple[str, str]] = Counter()
        self.delivered: set[tuple[str, str]] = set()

    def judge(self, pair: tuple[str, str]) -> int:
        """The status of the next answer: 200, 500 or 0 for a reset."""
        self.tries[pair] += 1
        number = int(pair[1].rpartition("/")[2])
        if number % 5 or self.tries[pair] > 1 + number // 5 % 2:
            return 200
        return 500 if number % 10 else 0


class Connection(asyncio.Protocol):
    """As much HTTP/1.1 as the engine's client speaks."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (li.partition(": ") for li in lines)
            }
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            method, path, _ = line.split(" ")
            if method == "POST":
                self._take(headers["x-smn-message-id"], path)
            else:
                self._tell(path)

    def _take(self, message_id: str, path: str) -> None:
        record: Record = [message_id, path, time.monotonic(), None, None]
        self._diary.records.append(record)
        delay = random.random() * SLOWEST_S
        asyncio.get_running_loop().call_later(delay, self._answer, record)

    def _answer(self, record: Record) -> None:
        pair = (record[0], record[1])
        status = self._diary.judge(pair)
        record[3], record[4] = time.monotonic(), status
        if status == 0:
            self._transport.abort()
            return
        if status == 200:
            self._diary.delivered.add(pair)
        self._transport.write(OK if status == 200 else FAILED)

    def _tell(self, path: str) -> None:
        found: Any = self._diary.records if path == "/log" else len(self._diary.delivered)
        body = json.dumps(found).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def main() -> None:
    """Serve until killed."""
    diary = Diary()
    gc.disable()  # it only ever grows
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(diary), "127.0.0.1", 0, backlog=1024)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - the protocol
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
