"""The endpoints that benchmarks deliver to."""

from __future__ import annotations

import asyncio

from benchmarks.sink import header, recorder, silent

REQUEST = b"POST /r/1 HTTP/1.1\r\nHost: x\r\nX-SMN-MESSAGE-ID: m1\r\nContent-Length: 3\r\n\r\nabc"


async def test_recorder_keeps_what_arrived() -> None:
    """Requests on one connection are told apart however their bytes are cut."""
    async with recorder() as kept:
        reader, writer = await asyncio.open_connection("127.0.0.1", kept.port)
        stream = REQUEST + REQUEST.replace(b"m1", b"m2")
        for start in range(0, len(stream), 50):
            writer.write(stream[start : start + 50])
            await writer.drain()
        async with asyncio.timeout(5):
            second = await kept.first("m2")
            answers = await reader.readexactly(
                2 * len(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            )
        writer.close()
        await writer.wait_closed()
    assert answers.count(b"200 OK") == 2
    assert [each.body for each in kept.arrivals] == [b"abc", b"abc"]
    assert (second.path, header(second.headers, "x-smn-message-id")) == ("/r/1", "m2")


async def test_first_arrival_counts() -> None:
    """Who asks after the arrival gets the first one, not a later one."""
    async with recorder() as kept:
        _, writer = await asyncio.open_connection("127.0.0.1", kept.port)
        writer.write(REQUEST + REQUEST)
        async with asyncio.timeout(5):
            await kept.first("m1")
            while len(kept.arrivals) < 2:
                await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        assert await kept.first("m1") is kept.arrivals[0]


async def test_silent_endpoints_never_answer() -> None:
    """A hung endpoint accepts and counts the request, and sends nothing."""
    async with silent(ports=3, count=7) as hung:
        assert len(set(hung.urls)) == 7
        ports = {int(url.split(":")[2].split("/")[0]) for url in hung.urls}
        assert len(ports) == 3
        reader, writer = await asyncio.open_connection("127.0.0.1", ports.pop())
        writer.write(REQUEST)
        async with asyncio.timeout(5):
            while not hung.attempts:
                await asyncio.sleep(0.01)
        answer = asyncio.create_task(reader.read(1))
        done, _ = await asyncio.wait({answer}, timeout=0.05)
        assert not done
        answer.cancel()
        writer.close()
        await writer.wait_closed()
    assert hung.attempts == 1
