"""Kept HTTP/2 connections, against a server that leaves, hangs, refuses and is cut off."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engine import http2, multiplex
from engine.multiplex import Multiplexer
from engine.ports import Answer, CertificateRefused, ClientCertificate, TransportError, Unsent
from tests.apple import BUNDLE, Authority, apple, client_certificate, push_certificate
from tests.apple_push import CUT, DEVICE, REFUSE, RESET, ApplePush, apple_push
from tests.endpoints import certificate_for, serve
from tests.engines import eventually
from tests.servers import free_port

BODY = json.dumps({"aps": {"alert": "hello"}}).encode()


class Client:
    """Requests to one server."""

    def __init__(self, apple: ApplePush, ca_file: Path | None) -> None:
        self.apple = apple
        self.url = apple.url
        self.multiplexer = Multiplexer(timeout_s=20)
        self.certificate = client_certificate(ca_file)

    async def push(
        self, token: str = DEVICE, *, body: bytes = BODY, by: ClientCertificate | None = None
    ) -> Answer:
        """One push."""
        headers = {"Content-Type": "application/json", "apns-topic": BUNDLE}
        url = f"{self.url}/3/device/{token}"
        return await self.multiplexer.request(
            "POST", url, headers, body, certificate=by or self.certificate
        )

    def pushing(self, tokens: list[str]) -> list[asyncio.Task[Answer]]:
        """Pushes to devices that are there, at once."""
        self.apple.devices |= dict.fromkeys(tokens, BUNDLE)
        return [asyncio.create_task(self.push(token)) for token in tokens]

    async def arrived(self, count: int) -> None:
        """Wait until the server has so many requests."""
        await eventually(lambda: len(self.apple.arrivals) >= count, f"{count} arrive")


@contextmanager
def strict_server(folder: Path) -> Iterator[tuple[str, list[ssl.SSLError]]]:
    """One that says why it ends a handshake, as asyncio's servers do not; its refusals."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate_for("127.0.0.1", folder))
    tls.load_verify_locations(cadata=apple().pem.decode())
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.set_alpn_protocols(["h2"])
    refusals: list[ssl.SSLError] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return  # the test is over
            with tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as wrapped:
                try:
                    wrapped.do_handshake()
                except ssl.SSLError as error:
                    refusals.append(error)
                with suppress(OSError):
                    while socket.socket.recv(wrapped, 65_536):
                        """Until the client has read why, and is gone."""

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", refusals
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def tokens(count: int) -> list[str]:
    """Of different devices."""
    return [f"{number:064x}" for number in range(count)]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client and its server."""
    async with apple_push(tmp_path) as (apple, ca_file):
        made = Client(apple, ca_file)
        yield made
        await made.multiplexer.close()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection is asked for a sign of life, which is not waited for long."""
    monkeypatch.setattr(multiplex, "_SILENT_S", 0.0)
    monkeypatch.setattr(http2, "_PING_S", 0.1)


# Many at once


async def test_many_requests_share_one_connection(client: Client) -> None:
    """As many at once as the server takes, the others after them."""
    client.apple.held = asyncio.Event()
    pushing = client.pushing(tokens(400))
    await client.arrived(client.apple.most)
    client.apple.held.set()
    assert {answer.status for answer in await asyncio.gather(*pushing)} == {200}
    assert sorted(push.token for push in client.apple.pushes) == tokens(400)
    assert client.apple.connections == 1
    assert client.apple.most_open == client.apple.most


async def test_each_request_gets_its_own_answer(client: Client) -> None:
    """Though they are answered in one stream of bytes."""
    client.apple.answers.extend((400, f"Reason{chr(97 + number)}") for number in range(20))
    done = await asyncio.gather(*client.pushing(tokens(20)))
    said = {token: answer.body for token, answer in zip(tokens(20), done, strict=True)}
    for number, token in enumerate(client.apple.arrivals):
        assert json.loads(said[token]) == {"reason": f"Reason{chr(97 + number)}"}


async def test_a_place_and_a_certificate_have_their_own_connection(client: Client) -> None:
    """Two applications do not share one."""
    other = client_certificate(client.certificate.ca_file)
    for by in (client.certificate, other, client.certificate, other):
        assert (await client.push(by=by)).status == 200
    assert client.apple.connections == 2


async def test_connections_of_the_past_are_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a bound for how many are kept."""
    monkeypatch.setattr(multiplex, "_LINKS", 1)
    await client.push()
    await client.push(by=client_certificate(client.certificate.ca_file))
    await eventually(lambda: len(client.apple.sessions) == 1, "the first is closed")
    assert (await client.push()).status == 200


async def test_a_body_waits_for_the_servers_window(client: Client) -> None:
    """One that is longer than what may be sent at once arrives whole."""
    long = json.dumps({"aps": {"alert": "x" * 300_000}}).encode()
    seen: list[int] = []
    client.apple.seen = lambda body: seen.append(len(body))
    done = await asyncio.gather(*(client.push(body=long) for _ in range(3)))
    assert {answer.status for answer in done} == {413}
    assert seen == [len(long)] * 3


async def test_of_a_long_answer_the_beginning_is_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the connection goes on."""
    monkeypatch.setattr(http2, "_ANSWER_BYTES", 1_000)
    client.apple.answers.append((400, "x" * 10_000))
    assert len((await client.push()).body) == 1_000
    assert (await client.push()).status == 200
    assert client.apple.connections == 1


async def test_retry_after_is_told(client: Client) -> None:
    """As it was said."""
    client.apple.retry_after = "30"
    client.apple.answers.append((503, "ServiceUnavailable"))
    answer = await client.push()
    assert (answer.status, answer.retry_after) == (503, "30")


# A server that leaves


async def test_after_a_goodbye_earlier_requests_get_their_answers_and_later_ones_a_new_connection(
    client: Client,
) -> None:
    """Every device is pushed to exactly once."""
    client.apple.held = asyncio.Event()
    early = client.pushing(tokens(20)[:10])
    await client.arrived(10)
    client.apple.go_away()
    late = client.pushing(tokens(20)[10:])  # before the goodbye is read
    await client.arrived(20)
    client.apple.held.set()
    assert {answer.status for answer in await asyncio.gather(*early, *late)} == {200}
    assert client.apple.overlooked == 10
    assert sorted(client.apple.arrivals) == tokens(20)
    assert client.apple.connections == 2


async def test_a_connection_that_was_left_is_closed_when_its_last_request_is_done(
    client: Client,
) -> None:
    """It does not linger."""
    client.apple.held = asyncio.Event()
    (pushing,) = client.pushing(tokens(1))
    await client.arrived(1)
    client.apple.go_away()
    client.apple.held.set()
    await pushing
    await eventually(lambda: not client.apple.sessions, "it is closed")


async def test_a_request_that_the_server_refused_unseen_is_sent_again_once(client: Client) -> None:
    """After that, others may have it."""
    client.apple.answers.append(REFUSE)
    assert (await client.push()).status == 200
    client.apple.answers.extend([REFUSE, REFUSE])
    with pytest.raises(Unsent, match="refused the request"):
        await client.push()


async def test_a_request_that_was_reset_may_have_been_seen(client: Client) -> None:
    """So it is not sent again from here."""
    client.apple.answers.append(RESET)
    with pytest.raises(TransportError, match="reset") as failed:
        await client.push()
    assert not isinstance(failed.value, Unsent)
    assert (await client.push()).status == 200
    assert client.apple.connections == 1


async def test_what_was_under_way_when_the_connection_broke_fails(client: Client) -> None:
    """Nothing else: what comes next goes by a new one."""
    await client.push()
    client.apple.held = asyncio.Event()
    pushing = client.pushing(tokens(10))
    await client.arrived(11)
    client.apple.cut()
    for done in await asyncio.gather(*pushing, return_exceptions=True):
        assert isinstance(done, TransportError)
        assert not isinstance(done, Unsent)
        assert str(done) == "connection reset"
    client.apple.held = None
    assert (await client.push()).status == 200


async def test_a_cut_in_the_middle_costs_what_was_under_way_alone(client: Client) -> None:
    """Before and after it everything is answered."""
    client.apple.answers.extend([(200, "")] * 50 + [CUT])
    done = await asyncio.gather(*client.pushing(tokens(99)), return_exceptions=True)
    failed = [one for one in done if isinstance(one, BaseException)]
    assert {str(one) for one in failed} == {"connection reset"}
    assert len(failed) == 49
    assert (await client.push()).status == 200
    assert client.apple.connections == 2


# A server that hangs


@pytest.mark.usefixtures("_impatient")
async def test_a_kept_connection_is_asked_whether_it_lives(client: Client) -> None:
    """By a PING, however many want to know."""
    await client.push()
    await asyncio.gather(*(client.push() for _ in range(5)))
    assert client.apple.pings == 1
    assert client.apple.connections == 1


@pytest.mark.usefixtures("_impatient")
async def test_a_connection_that_does_not_answer_is_replaced(client: Client) -> None:
    """Before a request is entrusted to it."""
    await client.push()
    client.apple.fall_silent()
    assert (await client.push()).status == 200
    assert client.apple.connections == 2
    assert client.apple.arrivals == [DEVICE] * 2


async def test_an_exchange_is_bounded(client: Client) -> None:
    """A request that has been sent and is not answered may have been seen."""
    client.multiplexer = Multiplexer(timeout_s=0.2)
    await client.push()
    client.apple.fall_silent()
    with pytest.raises(TransportError, match="timed out") as failed:
        await client.push()
    assert not isinstance(failed.value, Unsent)
    await client.multiplexer.close()


async def test_connecting_is_bounded(client: Client) -> None:
    """A server that never greets has got nothing."""
    client.apple.silent = True
    client.multiplexer = Multiplexer(timeout_s=0.2)
    with pytest.raises(Unsent):
        await client.push()
    assert client.apple.arrivals == []
    await client.multiplexer.close()


async def test_a_request_whose_turn_does_not_come_was_not_sent(client: Client) -> None:
    """The server takes no more at once; whoever asks may come again."""
    client.apple.held = asyncio.Event()
    pushing = client.pushing(tokens(100))
    await client.arrived(100)
    client.multiplexer._timeout_s = 0.1
    with pytest.raises(Unsent, match="no turn in time"):
        await client.push()
    client.apple.held.set()
    await asyncio.gather(*pushing)
    assert len(client.apple.arrivals) == 100


# Who gives up


async def test_a_cancelled_request_is_reset_and_its_place_is_free(client: Client) -> None:
    """The others go on."""
    client.apple.held = asyncio.Event()
    pushing = client.pushing(tokens(101))
    await client.arrived(100)
    pushing[0].cancel()
    await client.arrived(101)
    client.apple.held.set()
    done = await asyncio.gather(*pushing, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert {one.status for one in done if isinstance(one, Answer)} == {200}
    assert client.apple.connections == 1


async def test_one_who_gives_up_its_turn_hands_it_on(client: Client) -> None:
    """Just when it has been told to go."""
    client.apple.held = asyncio.Event()
    pushing = client.pushing(tokens(102))
    await client.arrived(100)
    pushing[0].cancel()
    pushing[100].cancel()
    await client.arrived(101)
    client.apple.held.set()
    done = await asyncio.gather(*pushing, return_exceptions=True)
    assert sum(isinstance(one, Answer) for one in done) == 100


async def test_one_who_gives_up_while_it_is_connected_takes_nobody_along(client: Client) -> None:
    """The connection is for all who wait for it."""
    first, second = client.pushing(tokens(2))
    await asyncio.sleep(0)  # the first has begun to connect
    first.cancel()
    assert (await second).status == 200
    assert client.apple.connections == 1


async def test_close_ends_everything(client: Client) -> None:
    """Requests under way fail, and no task is left."""
    before = asyncio.all_tasks()
    client.apple.held = asyncio.Event()
    (pushing,) = client.pushing(tokens(1))
    await client.arrived(1)
    await client.multiplexer.close()
    with pytest.raises(TransportError):
        await pushing
    await eventually(lambda: not client.apple.sessions, "the server is told")
    await eventually(lambda: asyncio.all_tasks() <= before, "no task is left")


# A server that cannot be reached


async def test_a_server_that_is_not_there_is_left_alone_for_longer_and_longer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, and it is said when to come again."""
    monkeypatch.setattr(multiplex, "_BACK_OFF_S", (0.05, 60.0))
    there, client.url = client.url, f"https://127.0.0.1:{free_port()}"
    waits = []
    for _ in range(3):
        with pytest.raises(Unsent, match="connection refused") as failed:
            await client.push()
        waits.append(failed.value.wait_s)
        with pytest.raises(Unsent, match="no connection"):
            await client.push()
        await asyncio.sleep(failed.value.wait_s)
    assert waits == [0.05, 0.1, 0.2]
    client.url = there
    assert (await client.push()).status == 200


async def test_a_server_that_comes_back_is_found(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was before is forgotten once it has answered."""
    monkeypatch.setattr(multiplex, "_BACK_OFF_S", (0.01, 0.01))
    client.apple.silent = True
    client.multiplexer = Multiplexer(timeout_s=0.1)
    with pytest.raises(Unsent):
        await client.push()
    client.apple.silent = False

    async def answered() -> bool:
        try:
            return (await client.push()).status == 200
        except Unsent:
            return False

    await eventually(answered, "it is found")
    await client.multiplexer.close()


async def test_a_server_that_greets_and_leaves_is_left_alone_too(client: Client) -> None:
    """As one does whose certificate was revoked: it must not be asked again and again."""
    client.apple.answers.extend([CUT] * 20)
    failures = [await asyncio.gather(client.push(), return_exceptions=True) for _ in range(20)]
    assert any(isinstance(one, Unsent) for (one,) in failures)
    assert client.apple.connections <= 3


async def test_a_certificate_that_the_server_refuses_is_not_shown_again_and_again(
    client: Client, tmp_path: Path
) -> None:
    """It says which trouble it is, and rests for a while."""
    stranger = client_certificate(
        client.certificate.ca_file, push_certificate(authority=Authority("Somebody Else"))
    )
    with strict_server(tmp_path) as (url, refusals):
        client.url = url
        for _ in range(3):
            with pytest.raises(CertificateRefused, match="does not accept the certificate"):
                await client.push(by=stranger)
    assert len(refusals) == 1


async def test_a_key_that_is_another_certificates_cannot_be_used(client: Client) -> None:
    """Nobody is asked."""
    (chain, _), (_, key) = push_certificate(), push_certificate()
    with pytest.raises(CertificateRefused, match="cannot be used"):
        await client.push(by=client_certificate(None, (chain, key)))
    assert client.apple.connections == 0


async def test_a_server_that_nobody_vouches_for_gets_nothing(client: Client) -> None:
    """It could be anybody."""
    with pytest.raises(Unsent, match="not trusted"):
        await client.push(by=client_certificate())
    assert client.apple.arrivals == []


async def test_a_server_without_http2_gets_nothing(client: Client, tmp_path: Path) -> None:
    """There is no other way to speak with it."""
    own, key = certificate_for("localhost", tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own, key)
    async with serve(b"HTTP/1.1 200 OK\r\n\r\n", tls=tls) as server:
        client.url = server.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(Unsent, match="does not speak HTTP/2"):
            await client.push(by=client_certificate(own))
        assert server.requests == []


async def test_what_is_no_url_is_an_error_of_transport(client: Client) -> None:
    """Not one of Python's."""
    client.url = "https://[::1"
    with pytest.raises(TransportError, match="not a URL"):
        await client.push()
