"""The transport against real servers: bounded in time, in bytes, and in where it connects."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.guard import AddressGuard
from engine.ports import AddressRefused, Answer, TransportError
from engine.transport import AiohttpTransport
from tests.endpoints import certificate_for, hang, serve

TIMEOUT_S = 0.3


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    """A transport that may connect to this machine and waits a moment only."""
    made = AiohttpTransport(AddressGuard("127.0.0.0/8,::1"), timeout_s=TIMEOUT_S, max_answer=4096)
    yield made
    await made.close()


async def post(transport: AiohttpTransport, url: str, body: bytes = b"{}") -> Answer:
    """POST with one header."""
    return await transport.post(transport.parse(url), {"X-Test": "1"}, body)


async def test_sends_method_headers_and_body_as_given(transport: AiohttpTransport) -> None:
    """What the adapter asked for arrives, byte for byte, with nothing but what HTTP needs."""
    async with serve(b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        answer = await post(transport, server.url + "/a%2Fb?c=%20d&e", b"\x00body")
    assert answer == Answer(204)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert first == "POST /a%2Fb?c=%20d&e HTTP/1.1"
    assert body == b"\x00body"
    assert {header.split(":")[0] for header in headers} == {
        "Host",
        "User-Agent",
        "X-Test",
        "Content-Type",
        "Content-Length",
    }


async def test_connection_is_used_again(transport: AiohttpTransport) -> None:
    """Deliveries to one origin share connections."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        for _ in range(3):
            assert await post(transport, server.url) == Answer(200, None, b"ok")
    assert server.connections == 1


async def test_no_more_connections_are_kept_than_the_bound() -> None:
    """A message to very many origins does not take a descriptor for each."""
    transport = AiohttpTransport(AddressGuard("127.0.0.1"), max_idle=2)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with (
        serve(reply) as one,
        serve(reply) as two,
        serve(reply) as three,
        serve(reply) as four,
    ):
        servers = (one, two, three, four)
        for _ in range(2):
            for server in servers:
                await post(transport, server.url)
        assert [server.connections for server in servers] == [1, 1, 2, 2]
        await transport.close()


async def test_connections_in_flight_are_not_bounded(transport: AiohttpTransport) -> None:
    """How many run at once is the engine's bound, not the pool's."""
    together = 150
    arrived = asyncio.Semaphore(0)
    everybody = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.release()
        await everybody.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    patient = AiohttpTransport(AddressGuard("127.0.0.1"), timeout_s=20)
    async with serve(wait) as server:
        tasks = [asyncio.create_task(post(patient, server.url)) for _ in range(together)]
        for _ in range(together):
            await arrived.acquire()
        everybody.set()
        assert {answer.status for answer in await asyncio.gather(*tasks)} == {200}
    await patient.close()


async def test_redirect_is_an_answer(transport: AiohttpTransport) -> None:
    """An endpoint cannot send the engine elsewhere."""
    async with serve(b"") as target:
        reply = f"HTTP/1.1 307 X\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serve(reply) as server:
            assert (await post(transport, server.url)).status == 307
    assert target.connections == 0


async def test_cookies_are_not_kept(transport: AiohttpTransport) -> None:
    """One subscriber's state never reaches another."""
    reply = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with serve(reply) as server:
        await post(transport, server.url)
        await post(transport, server.url)
    assert b"cookie" not in server.requests[1].lower()


async def test_proxy_of_the_environment_is_ignored(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect where the guard cannot see."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        assert (await post(transport, server.url)).status == 200


async def test_retry_after_is_handed_on(transport: AiohttpTransport) -> None:
    """The adapter judges what the endpoint asks for."""
    reply = b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
    async with serve(reply) as server:
        assert await post(transport, server.url) == Answer(503, "7", b"busy")


async def test_compressed_answer_stays_compressed(transport: AiohttpTransport) -> None:
    """A small answer cannot become a large one here (a decompression bomb, CWE-409)."""
    reply = b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    async with serve(reply) as server:
        assert (await post(transport, server.url)).body == b"\x1f\x8b\x08"


async def test_endless_answer_is_cut(transport: AiohttpTransport) -> None:
    """No more than the bound is read, then the connection goes."""
    ended = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 X\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
        except ConnectionError:
            ended.set()

    async with serve(pour) as server:
        assert (await post(transport, server.url)).body == b"x" * 4096
        await ended.wait()


async def test_long_answer_in_one_piece_is_cut(transport: AiohttpTransport) -> None:
    """The bound also holds for what is already there."""
    reply = b"HTTP/1.1 500 X\r\nContent-Length: 9000\r\n\r\n" + b"y" * 9000
    async with serve(reply) as server:
        assert len((await post(transport, server.url)).body) == 4096


async def test_chunked_answer_is_read(transport: AiohttpTransport) -> None:
    """An answer in pieces is put together and its connection kept."""

    async def pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.write(b"2\r\nde\r\n0\r\n\r\n")

    async with serve(pieces) as server:
        assert (await post(transport, server.url)).body == b"abcde"
        assert (await post(transport, server.url)).body == b"abcde"
    assert server.connections == 1


async def trickle_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Headers, a byte at a time, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await _trickle(writer)


async def trickle_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body, a byte at a time, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    await _trickle(writer)


async def _trickle(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(TIMEOUT_S / 20)


async def unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never reads on, so that a large request never ends."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await hang(reader, writer)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize("handler", [hang, trickle_headers, trickle_body, unread])
async def test_whole_exchange_is_bounded(transport: AiohttpTransport, handler: Handler) -> None:
    """However slowly an endpoint goes on, the deadline holds, and not a second later."""
    async with serve(handler) as server:
        began = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            await post(transport, server.url, b"x" * 8_000_000)
    assert TIMEOUT_S * 0.9 <= time.monotonic() - began < TIMEOUT_S * 3


async def test_five_seconds_are_five(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is not rounded up to a whole second of the loop's clock."""
    loop = asyncio.get_running_loop()
    deadlines: list[float] = []
    call_at = loop.call_at

    def note(when: float, *rest: Any, **options: Any) -> asyncio.TimerHandle:
        deadlines.append(when - loop.time())
        return call_at(when, *rest, **options)

    transport = AiohttpTransport(AddressGuard("127.0.0.1"), timeout_s=5.0)
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        monkeypatch.setattr(loop, "call_at", note)
        await post(transport, server.url)
    assert any(4.9 < deadline <= 5.0 for deadline in deadlines)
    await transport.close()


async def test_large_body_arrives(transport: AiohttpTransport) -> None:
    """A body beyond a megabyte is sent like any other (each character may take six bytes)."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        assert (await post(transport, server.url, b"x" * 2_000_000)).status == 200
    assert server.requests[0].endswith(b"\r\n\r\n" + b"x" * 2_000_000)


async def test_nobody_listens(transport: AiohttpTransport) -> None:
    """A refused connection is named as such."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(TransportError, match="connection refused"):
            await post(transport, f"http://127.0.0.1:{free.getsockname()[1]}/")


async def test_reset_is_named(transport: AiohttpTransport) -> None:
    """A connection that breaks before the answer is a reset."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serve(reset) as server:
        with pytest.raises(TransportError, match="connection reset"):
            await post(transport, server.url)


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header line\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x00" * 64,
    ],
)
async def test_garbage_is_a_bad_answer(transport: AiohttpTransport, reply: bytes) -> None:
    """What is not HTTP is an error of theirs, never an exception of ours."""
    async with serve(reply) as server:
        with pytest.raises(TransportError, match="bad answer"):
            await post(transport, server.url)


async def test_truncated_answer_is_bad(transport: AiohttpTransport) -> None:
    """An answer that ends early is not complete."""

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        writer.close()

    async with serve(short) as server:
        with pytest.raises(TransportError):
            await post(transport, server.url)


async def test_unknown_name(transport: AiohttpTransport) -> None:
    """A name that does not resolve is named as such, also one that DNS cannot carry."""
    for host in ("no-such-host.invalid", "x" * 70 + ".example", "a..b"):
        with pytest.raises(TransportError, match=r"unknown host name|no connection"):
            await post(transport, f"http://{host}/")


@asynccontextmanager
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """An HTTPS server for ``localhost`` and a context that trusts it."""
    certificate, key = certificate_for("localhost", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with serve(reply, tls=context) as server:
        port = server.url.rpartition(":")[2]
        yield f"https://localhost:{port}/", ssl.create_default_context(cafile=str(certificate))


async def test_certificate_of_a_stranger_is_refused(
    transport: AiohttpTransport, tmp_path: Path
) -> None:
    """HTTPS means verified HTTPS."""
    async with tls_server(tmp_path) as (url, _):
        with pytest.raises(TransportError, match="TLS failed"):
            await post(transport, url)


async def test_trusted_certificate_is_accepted_for_its_name_only(tmp_path: Path) -> None:
    """The certificate must be for the host in the URL."""
    async with tls_server(tmp_path) as (url, trusted):
        transport = AiohttpTransport(AddressGuard("127.0.0.0/8,::1"), tls=trusted)
        assert (await post(transport, url)).status == 200
        with pytest.raises(TransportError, match="TLS failed"):
            await post(transport, url.replace("localhost", "127.0.0.1"))
        await transport.close()


async def test_https_to_a_plain_server_fails(transport: AiohttpTransport) -> None:
    """A server that does not speak TLS is a TLS failure."""
    async with serve(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        with pytest.raises(TransportError):
            await post(transport, server.url.replace("http:", "https:"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"]
)
async def test_internal_address_is_refused_at_connect(host: str) -> None:
    """Whatever the URL says, the address that would be connected to decides (DNS rebinding)."""
    transport = AiohttpTransport(AddressGuard())
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        port = server.url.rpartition(":")[2]
        with pytest.raises(AddressRefused) as refused:
            await post(transport, f"http://{host}:{port}/")
    assert server.connections == 0
    assert "127" not in str(refused.value)
    await transport.close()


async def test_errors_tell_nothing_of_the_network(transport: AiohttpTransport) -> None:
    """The text goes into logs that subscribers' owners read: no addresses, no host names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(TransportError) as failed:
            await post(transport, f"http://127.0.0.1:{port}/secret")
    assert str(port) not in str(failed.value)
    assert "secret" not in str(failed.value)


async def test_cancellation_passes_through(transport: AiohttpTransport) -> None:
    """A cancelled send ends as cancelled, not as an error of the endpoint."""
    arrived = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await hang(reader, writer)

    async with serve(note) as server:
        task = asyncio.create_task(post(transport, server.url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_close_may_come_first_and_twice() -> None:
    """A worker that never sent anything can stop, too."""
    transport = AiohttpTransport(AddressGuard())
    await transport.close()
    await transport.close()
