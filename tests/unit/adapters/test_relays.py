"""Mail relays: connections to them, which of several is used, TLS and passwords."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.smtp import Relay as RelaySettings
from adapters.smtp import SmtpAdapter, SmtpSettings, Tls
from engine.errors import ConfigurationError
from engine.models import Delivered, Rejected, Retry, Throttled
from engine.testing import EPOCH_MS, fake_ports
from tests.endpoints import certificate_for
from tests.mailing import MESSAGE, PASSWORD, adapter_for, send, settings_for
from tests.relay import CLOSE, HANG, body, real_server, relay

# Connections


async def test_a_connection_is_used_again() -> None:
    """Also after a refusal, which is reset."""
    async with relay() as server, adapter_for(server) as adapter:
        assert await send(adapter) == Delivered(250)
        server.answer("RCPT", b"550 5.1.1 nobody")
        assert isinstance(await send(adapter), Rejected)
        server.answer("DATA", b"451 4.3.0 later")
        assert isinstance(await send(adapter), Retry)
        server.answer(".", b"554 5.7.1 spam")
        assert isinstance(await send(adapter), Rejected)
        assert await send(adapter) == Delivered(250)
    assert server.connections == 1
    assert [command[:4] for command in server.commands].count("RSET") == 2
    assert server.commands[-1] == "QUIT"


async def test_a_relay_gets_no_more_connections_than_allowed() -> None:
    """The others wait for one, and each mail arrives once."""
    async with relay() as server, adapter_for(server) as adapter:
        names = [f"n{number}@example.com" for number in range(20)]
        outcomes = await asyncio.gather(*(send(adapter, endpoint=name) for name in names))
    assert set(outcomes) == {Delivered(250)}
    assert server.most_open == 2
    assert sorted(arrival.recipient for arrival in server.arrivals) == sorted(names)


async def test_an_idle_connection_that_was_closed_is_replaced() -> None:
    """Without a failed try, whether the end was seen or not."""
    async with relay() as server, adapter_for(server) as adapter:
        assert await send(adapter) == Delivered(250)
        await server.hang_up()
        assert await send(adapter) == Delivered(250)
        server.answer("MAIL", CLOSE)
        assert await send(adapter) == Delivered(250)
        server.answer("RCPT", b"421 4.4.2 idle for too long")
        assert await send(adapter) == Delivered(250)
    assert server.connections == 4
    assert len(server.arrivals) == 4


@pytest.mark.parametrize("answer", [CLOSE, b"nonsense"])
async def test_silence_after_a_mail_is_not_a_second_mail(answer: bytes) -> None:
    """Whether it has arrived is unknown: only the schedule may send it again."""
    async with relay() as server, relay() as other, adapter_for(server, other) as adapter:
        await send(adapter)
        server.answer(".", answer)
        outcome = await send(adapter)
        assert isinstance(outcome, Retry)
        assert "may have arrived" in outcome.reason
        assert [command[:4] for command in server.commands].count("DATA") == 2
        assert await send(adapter) == Delivered(250)
    assert other.connections == 0


@pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
async def test_a_relay_that_hangs_is_given_up(command: str) -> None:
    """Each step is bounded in time; from the first of the mail's on the mail may be why."""
    async with relay(always={command: HANG}) as server, adapter_for(server, timeout=0.1) as adapter:
        outcome = await send(adapter)
    assert isinstance(outcome, Throttled if command in {"", "EHLO"} else Retry)
    assert "in time" in outcome.reason


# Several relays


@pytest.mark.parametrize("trouble", ["", "MAIL", "."])
async def test_the_next_relay_takes_over(trouble: str) -> None:
    """When the first says 421 at any point, nobody has the mail, so that another may get it."""
    answer = b"452 4.3.1 disk full" if trouble == "MAIL" else b"421 4.3.2 going down"
    async with (
        relay(always={trouble: answer}) as first,
        relay() as second,
        adapter_for(first, second) as adapter,
    ):
        assert await send(adapter) == Delivered(250)
        assert await send(adapter) == Delivered(250)
    assert (first.connections, len(second.arrivals)) == (1, 2)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("MAIL", b"530 5.7.0 log in"),
        ("RCPT", b"550 5.7.8 log in"),
        ("DATA", b"503 out of order"),
        (".", b"550 5.7.8 log in"),
    ],
)
async def test_a_relay_that_refuses_us_is_left_alone(command: str, answer: bytes) -> None:
    """The next one gets its mails; without one, what is to be done is said."""
    async with (
        relay(always={command: answer}) as first,
        relay() as second,
        adapter_for(first, second) as adapter,
        adapter_for(first) as alone,
    ):
        assert await send(adapter) == Delivered(250)
        assert await send(adapter) == Delivered(250)
        assert (first.connections, len(second.arrivals)) == (1, 2)
        outcome = await send(alone)
    assert isinstance(outcome, Throttled)
    assert "check its settings" in outcome.reason
    assert "log in" not in outcome.reason


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("RCPT", b"451 4.3.0 look-up failed"),
        ("DATA", b"451 4.3.5 configuration"),
        (".", b"452 4.3.1 disk full"),
    ],
)
async def test_a_mail_goes_to_the_next_relay_when_one_is_unwell(
    command: str, answer: bytes
) -> None:
    """Nobody has it; the relay is asked for the next mail all the same."""
    async with (
        relay() as first,
        relay() as second,
        adapter_for(first, second) as adapter,
    ):
        first.answer(command, answer)
        assert await send(adapter) == Delivered(250)
        assert await send(adapter) == Delivered(250)
    assert (len(first.arrivals), len(second.arrivals)) == (1, 1)


async def test_a_relay_that_is_gone_is_left_alone_and_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second is for as long as the first is down."""
    monkeypatch.setattr("adapters._relays._BACK_OFF_S", (0.05, 0.05))
    async with relay() as first, relay() as second, adapter_for(first, second) as adapter:
        assert await send(adapter) == Delivered(250)
        await first.stop()
        assert await send(adapter) == Delivered(250)
        assert len(second.arrivals) == 1
        await first.start()
        async with asyncio.timeout(10):
            while len(first.arrivals) < 2:
                assert await send(adapter) == Delivered(250)
                await asyncio.sleep(0.01)


async def test_when_all_are_down_tries_are_not_spent() -> None:
    """Nor by the mail that finds out: a lone one would be buried before the relay is back."""
    async with relay() as server:
        adapter = SmtpAdapter(fake_ports(settings=settings_for(server)))
    for reason in ("no connection to the mail relay: connection refused", "the mail relay is down"):
        outcome = await send(adapter)
        assert isinstance(outcome, Throttled)
        assert outcome.reason == reason
        assert EPOCH_MS < outcome.until_ms <= EPOCH_MS + 1001
    await adapter.close()


@pytest.mark.parametrize(("trouble", "answer"), [("", b"421 no"), ("MAIL", b"451 4.7.1 slow down")])
async def test_a_relay_is_left_alone_for_longer_each_time(
    trouble: str, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it takes connections and then no mail."""
    monkeypatch.setattr("adapters._relays._BACK_OFF_S", (0.01, 60.0))
    waits = []
    async with relay(always={trouble: answer}) as server, adapter_for(server) as adapter:
        async with asyncio.timeout(10):
            while server.connections < 4:
                outcome = await send(adapter)
                assert isinstance(outcome, Throttled)
                if outcome.reason != "the mail relay is down":
                    waits.append(outcome.until_ms - EPOCH_MS)
                await asyncio.sleep(0.01)
    assert waits == [11, 21, 41, 81]


async def test_what_fails_on_all_connections_at_once_is_one_failure() -> None:
    """A relay that restarts under load is used again after a second, not a minute."""
    async with relay() as server:
        adapter = SmtpAdapter(fake_ports(settings=settings_for(server, connections=8)))
    for outcome in await asyncio.gather(*(send(adapter) for _ in range(8))):
        assert isinstance(outcome, Throttled)
        assert outcome.until_ms <= EPOCH_MS + 1001
    await adapter.close()


async def test_a_relay_that_wants_fewer_connections_is_not_down() -> None:
    """What it refuses waits for those that it has."""
    async with relay() as server, adapter_for(server) as adapter:
        assert await send(adapter) == Delivered(250)
        server.always[""] = b"421 4.7.0 too many connections"
        outcomes = await asyncio.gather(*(send(adapter) for _ in range(10)))
    assert set(outcomes) == {Delivered(250)}
    assert server.most_open == 2
    assert server.connections == 2


async def test_a_long_queue_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mails for a slow relay must not hold the places of other deliveries."""
    monkeypatch.setattr("adapters._relays._QUEUE", 2)
    async with relay(always={".": HANG}) as server, adapter_for(server, connections=1) as adapter:
        tasks = [asyncio.create_task(send(adapter)) for _ in range(3)]
        await server.held.wait()
        outcome = await send(adapter)
        assert isinstance(outcome, Throttled)
        assert EPOCH_MS + 250 <= outcome.until_ms <= EPOCH_MS + 5_001
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_cancelled_mail_holds_nobody_up() -> None:
    """Its connection is in an unknown state and goes; who waited gets a new one."""
    async with relay() as server, adapter_for(server, connections=1) as adapter:
        server.answer("RCPT", HANG)
        cut = asyncio.create_task(send(adapter))
        await server.held.wait()
        waiting = asyncio.create_task(send(adapter))
        await asyncio.sleep(0)
        cut.cancel()
        assert await waiting == Delivered(250)
        with pytest.raises(asyncio.CancelledError):
            await cut


# TLS and passwords, against a server that is not ours


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, and a server's context with it."""
    chain, key = certificate_for("127.0.0.1", tmp_path_factory.mktemp("tls"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    return chain, context


def secure(port: int, tls: Tls, **options: Any) -> SmtpAdapter:
    """An adapter that talks TLS to one relay."""
    one = RelaySettings(host="127.0.0.1", port=port, tls=tls, timeout=5, **options)
    settings = SmtpSettings(relays=(one,), sender="noreply@example.org", ehlo="worker.test")
    return SmtpAdapter(fake_ports(settings=settings))


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_mail_goes_over_tls_with_a_login(
    tls: Tls, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """By both ways of TLS; what arrives is what was sent."""
    ca_file, context = certificate
    implicit = tls is Tls.IMPLICIT
    async with real_server(tls=context, implicit=implicit, password=PASSWORD) as server:
        adapter = secure(
            server.port, tls, ca_file=ca_file, username="tocsin", password=SecretStr(PASSWORD)
        )
        outcomes = [await send(adapter), await send(adapter)]
        await adapter.close()
    assert outcomes == [Delivered(250)] * 2
    assert server.logins == ["tocsin"]
    assert server.tls or implicit
    mail = server.arrivals[1].mail
    assert mail["Subject"] == MESSAGE.subject
    assert body(mail, "plain").startswith(MESSAGE.content["email"])


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
async def test_an_unknown_certificate_is_refused(
    tls: Tls, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """Nothing is sent to whom nobody vouches for."""
    async with real_server(tls=certificate[1], implicit=tls is Tls.IMPLICIT) as server:
        adapter = secure(server.port, tls)
        outcome = await send(adapter)
        await adapter.close()
    assert outcome == Throttled(EPOCH_MS + 1001, "the mail relay's certificate is not trusted")
    assert server.arrivals == []


async def test_a_relay_without_starttls_gets_nothing() -> None:
    """There is no way back to plain text."""
    async with relay() as server:
        adapter = secure(server.port, Tls.STARTTLS)
        outcome = await send(adapter)
        await adapter.close()
    assert outcome == Throttled(
        EPOCH_MS + 1001, "the mail relay does not offer what its settings ask for"
    )
    assert [command[:4] for command in server.commands] == ["EHLO"]


async def test_a_wrong_password_is_the_operators_to_mend(
    certificate: tuple[Path, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    """The mail is not to blame, and nobody gets to read the password."""
    ca_file, context = certificate
    async with real_server(tls=context, password=PASSWORD) as server:
        adapter = secure(
            server.port,
            Tls.STARTTLS,
            ca_file=ca_file,
            username="tocsin",
            password=SecretStr("battery staple"),
        )
        outcome = await send(adapter)
        await adapter.close()
    assert outcome == Throttled(
        EPOCH_MS + 1001, "the mail relay refused the user name or password (SMTP 535)"
    )
    [record] = [one for one in caplog.records if one.message == "relay.failed"]
    shown = f"{record.__dict__} {outcome} {adapter._relays.__dict__}"
    assert "battery" not in shown


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    """At start, not with the first mail."""
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match=f"{name} holds no certificates"):
            secure(25, Tls.STARTTLS, ca_file=tmp_path / name)
