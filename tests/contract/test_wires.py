"""What adapters with connections of their own promise: the same suite, with real servers.

What it does with answers of HTTP servers has its match here for replies of theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.sms import SmsAdapter, SmsSettings
from adapters.smtp import Relay, SmtpAdapter, SmtpSettings, Tls
from engine.models import Delivered, Outcome
from engine.ports import Adapter, Clock, Ports
from engine.testing import ManualClock, fake_ports
from engine.testing.case import assert_sound
from engine.testing.conformance import MESSAGE, AdapterConformance, Outgoing, Sample, Stage
from engine.testing.stage import Network
from tests.engines import eventually
from tests.relay import CLOSE, body, parsed, real_server, relay
from tests.smsc import DROP, PASSWORD, Smsc, smsc

MAILBOX = Sample("email", "o'neil+a.b@mail.example.org")
PHONE = Sample("sms", "+8613600000000", {"verification_code_enabled": True}, secrets=(PASSWORD,))


def network(ports: Ports) -> Network:
    """What the suite hangs to see a send be cancelled."""
    assert isinstance(ports.gateway, Network)
    return ports.gateway


def mailing(port: int, clock: Clock, timeout: float = 10) -> SmtpAdapter:
    """An adapter with one relay on that port."""
    one = Relay(host="127.0.0.1", port=port, tls=Tls.NONE, timeout=timeout)
    settings = SmtpSettings(relays=(one,), sender="noreply@example.org", ehlo="worker.test")
    return SmtpAdapter(fake_ports(clock=clock, settings=settings))


def texting(centre: Smsc, clock: Clock) -> SmsAdapter:
    """An adapter whose link leads to the centre."""
    settings = SmsSettings(url=centre.url, smpp_password=SecretStr(PASSWORD), brackets="allow")
    return SmsAdapter(fake_ports(clock=clock, settings=settings))


class TestMailBySmtp(AdapterConformance):
    samples = (MAILBOX,)

    @asynccontextmanager
    async def stage(self, ports: Ports) -> AsyncIterator[Stage]:
        """With a relay of aiosmtpd's."""
        async with real_server() as server:
            server.hold = network(ports).wait_if_hung

            def take() -> list[Outgoing]:
                taken = [
                    Outgoing({"from": one.sender, "to": one.recipient}, one.raw)
                    for one in server.arrivals
                ]
                server.arrivals.clear()
                return taken

            adapter = mailing(server.port, ports.clock)
            try:
                yield Stage(adapter, take)
            finally:
                await adapter.close()

    def shown(self, text: str) -> str:
        """Mail has one form of line ends."""
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def readable(self, sent: Outgoing) -> str:
        """Subject, text and HTML as a mail program shows them."""
        mail = parsed(sent.body)
        assert not mail.defects
        html = unescape(body(mail, "html").replace("<br>", "\n"))
        return "\n".join((mail["Subject"], body(mail, "plain"), html))


class TestSmsBySmpp(AdapterConformance):
    samples = (PHONE,)

    @asynccontextmanager
    async def stage(self, ports: Ports) -> AsyncIterator[Stage]:
        """With a message centre, whose phones show what came whole."""
        async with smsc() as centre:
            centre.hold = network(ports).wait_if_hung

            def take() -> list[Outgoing]:
                taken = [
                    Outgoing({"to": number, "content-type": "text/plain"}, text.encode())
                    for number in dict.fromkeys(to for to, *_ in centre.taken)
                    for text in centre.shown(number)
                ]
                centre.taken.clear()
                return taken

            adapter = texting(centre, ports.clock)
            try:
                yield Stage(adapter, take)
            finally:
                await adapter.close()


async def attempt(adapter: Adapter[Any, Any], sample: Sample) -> Outcome:
    """Send once."""
    content = adapter.render(MESSAGE, sample.protocol)
    return await adapter.send(content, adapter.prepare(sample.subscription()))


REPLIES = [
    CLOSE,
    b"",
    b"2",
    b"250",
    b"250 ",
    b"250 2.0.0 fine",
    b"251 will forward",
    b"354 go on",
    b"250-never\r\n250-ends",
    b"421 4.3.2 going down",
    b"451 4.7.1 greylisted",
    b"452 4.2.2 full",
    b"503 5.5.1 sequence",
    b"535 5.7.8 who are you?",
    b"550 5.1.1 nobody",
    b"550-5.1.1 nobody\r\n550 5.7.1 here",
    b"550 5.999.999 \x1b[31mred\x00\xff\xe2\x80\xae",
    b"554 " + b"y" * 400,
    b"554 " + b"y" * 100_000,
    b"000 nothing",
    b"999 everything",
    b"-50 less",
    b"nonsense",
    b"\xff\xfe\x00",
    b"HTTP/1.1 200 OK",
]
"""What a relay may say instead of what it should."""


@pytest.mark.parametrize("command", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
async def test_any_reply_of_a_relay_is_an_outcome(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To whichever command; and when the relay is well again it is believed."""
    monkeypatch.setattr("adapters._relays._BACK_OFF_S", (0.001, 0.001))
    for reply in REPLIES:
        clock = ManualClock()
        async with relay(always={command: reply}) as server:
            adapter = mailing(server.port, clock, timeout=0.2)
            assert_sound(MAILBOX, await attempt(adapter, MAILBOX), [], clock)
            server.always.clear()

            async def delivered(adapter: SmtpAdapter = adapter) -> bool:
                return isinstance(await attempt(adapter, MAILBOX), Delivered)

            await eventually(delivered, f"a mail is delivered after {reply[:40]!r}")
            await adapter.close()


@pytest.mark.parametrize(
    "status", [*range(1, 0x16), 0x45, 0x58, 0x64, 0xFF, 0x400, 0x7FFFFFFF, 0xFFFFFFFF, DROP]
)
async def test_any_status_of_a_centre_is_an_outcome(status: int) -> None:
    """Known or not; and when the centre is well again it is believed."""
    clock = ManualClock()
    async with smsc() as centre:
        adapter = texting(centre, clock)
        centre.answers.append(status)
        outcome = await attempt(adapter, PHONE)
        assert not isinstance(outcome, Delivered)
        assert_sound(PHONE, outcome, [], clock)
        clock.advance(3_600_000)
        assert await attempt(adapter, PHONE) == Delivered()
        await adapter.close()
