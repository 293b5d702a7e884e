"""Mail: what is sent, what becomes of replies, and what settings may say."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters._relays import Reply
from adapters.smtp import SmtpAdapter, SmtpSettings, judge
from engine.adapter_settings import read
from engine.errors import ConfigurationError
from engine.models import Delivered, Kind, Rejected, Retry, Subscription, Window
from engine.testing import FakeLinks, MemoryOutbox, fake_ports
from tests.mailing import MESSAGE, PASSWORD, SUBSCRIPTION, adapter_for, send, settings_for
from tests.relay import body, parsed, relay
from tests.sending import LINK


class PlainLinks(FakeLinks):
    """Links of a service without TLS."""

    def unsubscribe(self, subscription: Subscription) -> str:
        return super().unsubscribe(subscription).replace("https:", "http:")


# What a mail is


async def test_a_mail_arrives_as_it_was_meant() -> None:
    """Sender with the topic's display name, subject, text, HTML and link, all of it intact."""
    async with relay() as server, adapter_for(server) as adapter:
        assert await send(adapter) == Delivered(250)
    [arrival] = server.arrivals
    mail, link = arrival.mail, FakeLinks().unsubscribe(SUBSCRIPTION)
    assert (arrival.sender, arrival.recipient) == ("noreply@example.org", "somebody@example.com")
    [sender] = mail["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (MESSAGE.display_name, "noreply@example.org")
    assert mail["To"].addresses[0].addr_spec == "somebody@example.com"
    assert mail["Subject"] == MESSAGE.subject
    assert mail["Date"].datetime.timestamp() * 1000 == MESSAGE.created_ms
    assert mail["Message-ID"] == f"<{'d' * 32}.{'b' * 32}@example.org>"
    assert mail["List-Unsubscribe"] == f"<{link}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    text, html = body(mail, "plain"), body(mail, "html")
    assert text.startswith(MESSAGE.content["email"] + "\n\n-- \n")
    assert link in text
    assert "磁盘已满<br>.<br>..dots<br>end" in html
    assert f'href="{link}"' in html
    assert not mail.defects
    assert arrival.raw.isascii()
    assert max(map(len, arrival.raw.split(b"\r\n"))) <= 998


async def test_without_a_display_name_the_sender_is_the_address() -> None:
    """And the subject of a message without one is the topic's name."""
    message = MESSAGE._replace(display_name="", subject=None)
    async with relay() as server, adapter_for(server) as adapter:
        await send(adapter, message)
    mail = server.arrivals[0].mail
    assert (mail["From"], mail["Subject"]) == ("noreply@example.org", "orders")


async def test_one_click_needs_https() -> None:
    """The header promises a POST over TLS (RFC 8058)."""
    async with relay() as server, adapter_for(server, links=PlainLinks()) as adapter:
        await send(adapter)
    mail = server.arrivals[0].mail
    assert mail["List-Unsubscribe"].startswith("<http://")
    assert "List-Unsubscribe-Post" not in mail


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "kind",
    [Kind.CONFIRMATION, Kind.CANCELLATION, Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION],
)
async def test_an_invitation_carries_its_link(kind: Kind, language: str) -> None:
    """In text and HTML, as a button and to be copied, and with no other link."""
    message = MESSAGE._replace(kind=kind, link=LINK, locale=f"{language}-xx", subject=None)
    async with relay() as server, adapter_for(server) as adapter:
        await send(adapter, message)
    mail = server.arrivals[0].mail
    text, html = body(mail, "plain"), body(mail, "html")
    assert LINK in text
    assert html.count(f'href="{LINK}"') == 2
    assert MESSAGE.display_name in text + mail["Subject"]
    assert f'<html lang="{language}">' in html
    assert ("订阅" in text) == (language == "zh")
    assert "List-Unsubscribe" not in mail
    assert "unsubscribe?" not in text + html


async def test_an_invitation_without_a_link_is_its_text() -> None:
    """The text holds the code by which the subscriber confirms."""
    message = MESSAGE._replace(
        kind=Kind.CONFIRMATION, content={"default": "123456 is it"}, subject=None
    )
    async with relay() as server, adapter_for(server) as adapter:
        await send(adapter, message)
    mail = server.arrivals[0].mail
    assert body(mail, "plain").strip() == "123456 is it"
    assert "123456 is it" in body(mail, "html")
    assert MESSAGE.display_name in mail["Subject"]


async def test_a_display_name_cannot_make_a_header() -> None:
    """Whatever let it through."""
    message = MESSAGE._replace(display_name="x\r\nBcc: y@example.com\x00", subject="a\r\nCc: b")
    async with relay() as server, adapter_for(server) as adapter:
        await send(adapter, message)
    mail = server.arrivals[0].mail
    assert {"Bcc", "Cc"} & set(mail) == set()
    assert mail["Subject"] == "a Cc: b"


@pytest.mark.parametrize(
    "endpoint",
    [
        "a@example.com>\r\nRCPT TO:<b@example.com",
        "a@example.com> SIZE=1",
        "a@example.com\n",
        "<a@example.com",
        "a@exa mple.com",
        "a",
        "",
        "a@b@c",
        "a@example.com,b@example.com",
        "a@example.com\u0085",
        "用户@example.com",
        "a@例子.example",
    ],
)
async def test_an_address_cannot_make_a_command(endpoint: str) -> None:
    """What is no plain address gets no mail, not even a connection."""
    async with relay() as server, adapter_for(server) as adapter:
        assert await send(adapter, endpoint=endpoint) == Rejected("not a mail address")
    assert server.commands == []


# Without a relay


async def test_without_a_relay_mail_goes_to_the_outbox() -> None:
    """And the operator is told at start."""
    outbox = MemoryOutbox()
    adapter = SmtpAdapter(fake_ports(outbox=outbox))
    assert await send(adapter) == Delivered()
    [(protocol, endpoint, fields)] = outbox.entries
    assert (protocol, endpoint) == ("email", "somebody@example.com")
    assert fields["text"] == MESSAGE.content["email"]
    assert fields["subject"] == MESSAGE.subject
    assert fields["unsubscribe_url"] == FakeLinks().unsubscribe(SUBSCRIPTION)
    assert "not sent" in adapter.notice


async def test_with_a_relay_there_is_no_notice() -> None:
    """Nothing to say."""
    async with relay() as server, adapter_for(server) as adapter:
        assert adapter.notice == ""


# What replies mean


@pytest.mark.parametrize(
    ("command", "reply", "kind", "said"),
    [
        ("rcpt", "550 5.1.1 nobody here", Rejected, "SMTP 550 5.1.1: no such mailbox"),
        ("rcpt", "550 who?", Rejected, "SMTP 550"),
        ("rcpt", "552 5.2.2 full", Rejected, "the mailbox is full"),
        ("rcpt", "452 4.2.2 full", Retry, "the mailbox is full"),
        ("rcpt", "550 5.7.1 no", Rejected, "refused by policy"),
        ("content", "554 5.7.1 spam", Rejected, "refused by policy"),
        ("content", "552 5.3.4 too big", Rejected, "the mail is too large"),
        ("content", "451 4.3.0 later", Retry, "SMTP 451 4.3.0"),
        ("rcpt", "251 will forward", Retry, "SMTP 251"),
    ],
)
def test_a_reply_decides(command: str, reply: str, kind: type[Retry | Rejected], said: str) -> None:
    """4xx is tried again, 5xx is not."""
    outcome = judge(Reply(command, int(reply[:3]), reply[4:]))
    assert isinstance(outcome, kind)
    assert said in outcome.reason
    assert outcome.code == int(reply[:3])


@pytest.mark.parametrize("reply", ["450 4.7.1 come back", "451 4.7.1 wait", "450 Greylisted"])
def test_greylisting_is_given_time(reply: str) -> None:
    """A second try after five seconds would be wasted."""
    outcome = judge(Reply("rcpt", int(reply[:3]), reply[4:]))
    assert isinstance(outcome, Retry)
    assert outcome.after_ms >= 60_000


def test_an_answer_is_kept_as_a_short_clean_line() -> None:
    """It is shown to people."""
    outcome = judge(Reply("rcpt", 550, "5.1.1 \x1b[31m" + "x\n\udcff" * 10_000))
    assert isinstance(outcome, Rejected)
    assert outcome.answer.isprintable()
    assert len(outcome.answer) <= 200


# DKIM


@pytest.fixture(scope="module")
def dkim_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A private key's file, and its public half as DNS holds it."""
    key = rsa.generate_private_key(65_537, 2048)
    file = tmp_path_factory.mktemp("dkim") / "private.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return file, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


async def test_a_mail_is_signed(dkim_key: tuple[Path, bytes]) -> None:
    """What arrives verifies, links and all; what is changed on the way does not."""
    file, record = dkim_key
    async with relay() as server:
        settings = settings_for(server).model_copy(
            update={"dkim_domain": "example.org", "dkim_selector": "s1", "dkim_key_file": file}
        )
        adapter = SmtpAdapter(fake_ports(settings=settings))
        assert await send(adapter) == Delivered(250)
        await adapter.close()
    raw = server.arrivals[0].raw
    asked: list[bytes] = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record

    assert dkim.verify(raw, dnsfunc=dns)
    assert asked == [b"s1._domainkey.example.org."]
    signed = parsed(raw)["DKIM-Signature"].lower()
    assert {"list-unsubscribe", "list-unsubscribe-post", "to", "subject"} <= set(
        re.split("[^a-z-]+", signed)
    )
    assert not dkim.verify(raw.replace(b"To: <some", b"To: <any"), dnsfunc=dns)


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_wrong_key_is_named_at_start(tmp_path: Path, content: bytes | None) -> None:
    """Not with the first mail."""
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    settings = SmtpSettings(dkim_domain="a.example", dkim_selector="s", dkim_key_file=file)
    with pytest.raises(ConfigurationError, match="dkim_key_file"):
        SmtpAdapter(fake_ports(settings=settings))


# Settings


def test_relays_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, with defaults for what is not said."""
    monkeypatch.setenv("TOCSIN_SMTP_RELAYS", '[{"host": "mail.example.com", "username": "u"}]')
    monkeypatch.setenv("TOCSIN_SMTP_SENDER", "noreply@example.com")
    [one] = read("smtp", SmtpSettings, {}).relays
    assert (one.host, one.port, one.tls, one.username) == ("mail.example.com", 0, "starttls", "u")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"relays": [{"host": "mail.example.com"}]}, "sender"),
        ({"relays": [{"host": "a b"}], "sender": "a@example.com"}, "relays.0.host"),
        ({"sender": "somebody"}, "sender"),
        ({"sender": "a@example.com>\r\nX: y"}, "sender"),
        ({"sender": "a@example.com", "relays": [{"host": "h", "timout": 1}]}, "timout"),
        (
            {
                "sender": "a@example.com",
                "relays": [{"host": "h", "tls": "none", "username": "u", "password": PASSWORD}],
            },
            "tls",
        ),
        ({"sender": "a@example.com", "relays": [{"host": "mail..example.com"}]}, "relays.0.host"),
        ({"message_id_domain": "x>\r\n"}, "message_id_domain"),
        ({"dkim_domain": "example.com"}, "dkim_selector"),
    ],
)
def test_wrong_settings_are_named(table: dict[str, Any], said: str) -> None:
    """In one sentence, without a password."""
    with pytest.raises(ConfigurationError) as error:
        read("smtp", SmtpSettings, table)
    assert said in str(error.value)
    assert PASSWORD not in str(error.value)


def test_confirmations_are_limited_as_the_contract_says() -> None:
    """20 an hour, then none for an hour; 40 in two days, then none for seven."""
    assert SmtpAdapter.limits.confirmations == (
        Window(20, 3600, 3600),
        Window(40, 172_800, 604_800),
    )
