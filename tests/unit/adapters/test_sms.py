"""SMS: what goes to the carrier, what cannot go, and the outbox in a carrier's place."""

from typing import Any

import pytest

from adapters.sms import SmsAdapter, SmsSettings
from engine.errors import ConfigurationError
from engine.models import (
    Delivered,
    Kind,
    Message,
    Outcome,
    Rejected,
    Window,
)
from engine.testing import InstantTransport, MemoryOutbox, fake_ports
from tests import sending
from tests.sending import LINK, subscription

SUBSCRIPTION = subscription("sms", "13600000000")
MESSAGE = sending.MESSAGE._replace(
    content={"default": "long text", "sms": "short"}, subject="not sent"
)


async def send(message: Message, **settings: Any) -> tuple[Outcome, list[Any]]:
    """The outcome and what the outbox took."""
    outbox = MemoryOutbox()
    adapter = SmsAdapter(fake_ports(outbox=outbox, settings=SmsSettings(**settings)))
    outcome = await adapter.send(adapter.render(message, "sms"), adapter.prepare(SUBSCRIPTION))
    return outcome, [fields["text"] for _, _, fields in outbox.entries]


def saying(text: str) -> Message:
    """A notification with this text."""
    return MESSAGE._replace(content={"default": text})


async def test_what_would_be_sent_is_in_the_outbox() -> None:
    """Number as given, the text for sms, its parts; no subject, no link."""
    outbox = MemoryOutbox()
    adapter = SmsAdapter(fake_ports(outbox=outbox))
    outcome = await adapter.send(adapter.render(MESSAGE, "sms"), adapter.prepare(SUBSCRIPTION))
    assert outcome == Delivered()
    fields = {
        "number": "13600000000",
        "text": "short",
        "parts": 1,
        "kind": "notification",
        "message_id": "d" * 32,
    }
    assert outbox.entries == [("sms", "13600000000", fields)]


async def test_a_url_sends_in_place_of_the_outbox() -> None:
    """The gateway gets the text; nothing is left for the outbox, nor to warn of."""
    transport, outbox = InstantTransport(), MemoryOutbox()
    settings = SmsSettings(url="https://gateway.example/send")
    adapter = SmsAdapter(fake_ports(gateway=transport, outbox=outbox, settings=settings))
    await adapter.send(adapter.render(MESSAGE, "sms"), adapter.prepare(SUBSCRIPTION))
    assert b'"text": "short"' in transport.requests[0].body
    assert not outbox.entries
    assert not adapter.notice


def test_a_url_that_nothing_speaks_is_refused() -> None:
    """Rather than writing to the outbox what was meant to be sent."""
    with pytest.raises(ConfigurationError, match="URL of HTTP or SMPP"):
        SmsAdapter(fake_ports(settings=SmsSettings(url="gopher://gateway.example/")))


@pytest.mark.parametrize(
    "kind",
    [Kind.CONFIRMATION, Kind.CANCELLATION, Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION],
)
@pytest.mark.parametrize(
    ("locale", "language", "chinese"),
    [("", "en", False), ("", "zh", True), ("en-us", "zh", False), ("zh-cn", "en", True)],
)
async def test_confirmation_carries_the_link(
    kind: Kind, locale: str, language: str, chinese: bool
) -> None:
    """In the language of the message, else that of the settings."""
    message = MESSAGE._replace(kind=kind, link=LINK, locale=locale)
    _, (text,) = await send(message, language=language)
    assert LINK in text
    assert "orders" in text
    assert ("请" in text) is chinese


@pytest.mark.parametrize("kind", [Kind.CONFIRMATION, Kind.USER_CONFIRMATION])
@pytest.mark.parametrize(("language", "chinese"), [("en", False), ("zh", True)])
async def test_confirmation_carries_the_code(kind: Kind, language: str, chinese: bool) -> None:
    """Where the subscriber asked for a code there is no link."""
    message = MESSAGE._replace(kind=kind, code="012345")
    _, (text,) = await send(message, language=language)
    assert text.startswith("012345 ")
    assert "orders" in text
    assert ("验证码" in text) is chinese


async def test_an_invitation_goes_whatever_its_topic_is_called() -> None:
    """Its link is whole, and no name in it looks like a signature."""
    name = "【bank】" + "x" * 180
    message = MESSAGE._replace(kind=Kind.CONFIRMATION, link=LINK, display_name=name)
    outcome, (text,) = await send(message, signature="Tocsin", long="cut")
    assert outcome == Delivered()
    assert text.startswith("【Tocsin】")
    assert LINK in text
    assert "(bank)" in text
    assert len(text) < 490


@pytest.mark.parametrize("bracket", "【】[]")
async def test_brackets_are_the_signatures(bracket: str) -> None:
    """The contract refuses them; an operator whose carrier does not can let them pass."""
    message = saying(f"disk {bracket} full")
    outcome, sent = await send(message)
    assert isinstance(outcome, Rejected)
    assert "signatures" in outcome.reason
    assert not sent
    assert await send(message, brackets="allow") == (Delivered(), [f"disk {bracket} full"])


async def test_a_signature_stands_in_front() -> None:
    """As carriers in China demand."""
    assert await send(saying("hi"), signature="云告警") == (Delivered(), ["【云告警】hi"])


@pytest.mark.parametrize("signature", ["a]", "【a", "x" * 33])
def test_a_signature_is_a_short_name(signature: str) -> None:
    """Its brackets are put around it."""
    with pytest.raises(ValueError, match="signature"):
        SmsSettings(signature=signature)


@pytest.mark.parametrize(
    ("long", "length", "sent"),
    [
        ("send", 490, 490),
        ("send", 1000, 1000),
        ("send", 1001, 0),
        ("cut", 490, 490),
        ("cut", 491, 490),
        ("cut", 5000, 490),
        ("reject", 490, 490),
        ("reject", 491, 0),
    ],
)
async def test_long_texts_go_as_it_is_set(long: str, length: int, sent: int) -> None:
    """Over 1,000 characters no carrier takes; the signature counts."""
    outcome, texts = await send(saying("x" * (length - 3)), long=long, signature="a")
    assert [len(text) for text in texts] == ([sent] if sent else [])
    assert isinstance(outcome, Delivered if sent else Rejected)


def test_it_says_that_it_sends_nothing() -> None:
    """Nobody should wait for an SMS that was never sent."""
    assert "nothing is sent" in SmsAdapter(fake_ports()).notice


def test_confirmations_are_limited_as_the_contract_says() -> None:
    """10 an hour, then none for an hour; 20 in two days, then none for seven."""
    assert SmsAdapter.limits.confirmations == (Window(10, 3600, 3600), Window(20, 172_800, 604_800))
