"""Webhooks end to end: a real client, real servers, the outcome table of the contract."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.webhook import WebhookAdapter
from engine.guard import AddressGuard
from engine.links import LinkMaker
from engine.models import (
    Delivered,
    Kind,
    Message,
    Outcome,
    Rejected,
    Retry,
    Throttled,
)
from engine.signing import CertificateSigner, make_certificate
from engine.testing import EPOCH_MS, fake_ports
from engine.transport import AiohttpTransport
from engine.vault import Vault
from tests import sending
from tests.endpoints import Handler, hang, serve
from tests.sending import subscription

TIMEOUT_S = 0.3
MESSAGE = sending.MESSAGE._replace(content={"default": '中文 "text"\n'})
CERTIFICATE = make_certificate("region01")


@pytest.fixture
async def webhook() -> AsyncIterator[WebhookAdapter]:
    """A webhook adapter with everything real but the clock; 127.0.0.2 is not allowed."""
    transport = AiohttpTransport(AddressGuard("127.0.0.1"), timeout_s=TIMEOUT_S)
    yield WebhookAdapter(
        fake_ports(
            transport=transport,
            signer=CertificateSigner(*CERTIFICATE, "https://smn.example.com"),
            links=LinkMaker(Vault(bytes(32)), "https://smn.example.com", "region01"),
        )
    )
    await transport.close()


async def send(webhook: WebhookAdapter, url: str, message: Message = MESSAGE) -> Outcome:
    """One delivery to the URL."""
    target = webhook.prepare(subscription("http", url, header={"X-Token": "value"}))
    return await webhook.send(webhook.render(message, "http"), target)


@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        ("200 OK\r\nContent-Length: 2", Delivered(200)),
        ("204 No Content", Delivered(204)),
        ("301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 2", Rejected("HTTP 301", 301, "ok")),
        ("404 Not Found\r\nContent-Length: 2", Rejected("HTTP 404", 404, "ok")),
        ("429 Slow\r\nContent-Length: 2", Rejected("HTTP 429", 429, "ok")),
        (
            "429 Slow\r\nRetry-After: 30\r\nContent-Length: 2",
            Throttled(EPOCH_MS + 30_000, "HTTP 429", 429),
        ),
        ("500 Oops\r\nContent-Length: 2", Retry("HTTP 500", 500, answer="ok")),
        ("503 Busy\r\nContent-Length: 2", Retry("HTTP 503", 503, answer="ok")),
        (
            "503 Busy\r\nRetry-After: 30\r\nContent-Length: 2",
            Throttled(EPOCH_MS + 30_000, "HTTP 503", 503),
        ),
    ],
)
async def test_status_decides(webhook: WebhookAdapter, head: str, outcome: Outcome) -> None:
    """The outcome table, over a real connection; a redirect is not followed."""
    reply = f"HTTP/1.1 {head}\r\n\r\n".encode() + (b"ok" if "Length" in head else b"")
    async with serve(reply) as server:
        assert await send(webhook, server.url) == outcome
        assert len(server.requests) == 1


async def slow_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Headers that never end."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await drip(writer)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    await drip(writer)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then."""
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(TIMEOUT_S / 10)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection."""
    writer.transport.abort()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Something, but no HTTP."""
    writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (hang, "timed out"),
        (slow_header, "timed out"),
        (slow_body, "timed out"),
        (reset, "connection reset"),
        (garbage, "bad answer"),
    ],
)
async def test_no_complete_answer_is_tried_again(
    webhook: WebhookAdapter, handler: Handler, reason: str
) -> None:
    """An answer that does not come whole within the time is none, whatever it began with."""
    async with serve(handler) as server:
        assert await send(webhook, server.url) == Retry(reason)


async def test_endless_answer_does_not_hold_a_delivery(webhook: WebhookAdapter) -> None:
    """After the bound the status alone counts."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serve(pour) as server:
        assert await send(webhook, server.url) == Delivered(200)


async def test_nobody_there_is_tried_again(webhook: WebhookAdapter) -> None:
    """Refused connections, names without address and failed TLS may pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        assert await send(webhook, url) == Retry("connection refused")
    async with serve(b"not TLS") as server:
        assert isinstance(await send(webhook, server.url.replace("http:", "https:")), Retry)
    assert isinstance(await send(webhook, "http://no-such-host.invalid/"), Retry)


async def test_internal_address_is_rejected_when_it_is_sent_to(webhook: WebhookAdapter) -> None:
    """A subscription made before the address turned inwards delivers nothing."""
    assert await send(webhook, "http://127.0.0.2:1/") == Rejected("address refused")


@pytest.mark.parametrize("kind", [Kind.NOTIFICATION, Kind.CONFIRMATION, Kind.CANCELLATION])
async def test_receiver_verifies_what_arrived(webhook: WebhookAdapter, kind: Kind) -> None:
    """From the bytes on the wire and the certificate alone."""
    message = MESSAGE._replace(kind=kind, link="https://smn.example.com/confirm?token=0")
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        assert await send(webhook, server.url + "/hook", message) == Delivered(200)
    head, _, raw = server.requests[0].partition(b"\r\n\r\n")
    body = json.loads(raw.decode("utf-8"))
    names = ["message", "message_id", "subject", "subscribe_url", "timestamp", "topic_urn", "type"]
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    certificate = x509.load_pem_x509_certificate(CERTIFICATE[1])
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey)
    assert algorithm is not None
    key.verify(base64.b64decode(body["signature"]), text.encode(), padding.PKCS1v15(), algorithm)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["X-SMN-MESSAGE-TYPE"] == body["type"]
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["User-Agent"]
    assert ("X-Token" in headers) == (kind is Kind.NOTIFICATION)
