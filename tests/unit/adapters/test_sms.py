"""The SMS stub: checks numbers, counts parts, and hands on what it would send."""

from dataclasses import replace

import pytest

from adapters.sms import SmsAdapter, count_parts
from engine.models import Delivered, Kind, Message, Rejected, Status, Subscription, Window
from engine.testing import MemoryOutbox, fake_ports

TOPIC_URN = "urn:smn:region01:762bdb3251034f268af0e395c53ea09b:orders"
SUBSCRIPTION = Subscription(
    id="b" * 32,
    topic_id="a" * 32,
    topic_urn=TOPIC_URN,
    protocol="sms",
    endpoint="13600000000",
    status=Status.CONFIRMED,
    page=0,
    seat=0,
)
MESSAGE = Message(
    id="d" * 32,
    topic_id="a" * 32,
    topic_urn=TOPIC_URN,
    project_id="762bdb3251034f268af0e395c53ea09b",
    kind=Kind.NOTIFICATION,
    content={"default": "long text", "sms": "short"},
    created_ms=1,
    deadline_ms=2,
    subject="not sent",
    topic_name="orders",
)
LINK = "https://smn.example.com/smn/subscription/confirm?token=" + "0" * 128


async def test_an_invitation_without_a_link_is_its_text() -> None:
    """The text holds the code by which the subscriber confirms."""
    outbox = MemoryOutbox()
    adapter = SmsAdapter(fake_ports(outbox=outbox))
    invitation = replace(MESSAGE, kind=Kind.CONFIRMATION, content={"default": "123456 is it"})
    await adapter.send(adapter.render(invitation, "sms"), adapter.prepare(SUBSCRIPTION))
    assert outbox.entries[0][2]["text"] == "123456 is it"


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


@pytest.mark.parametrize("kind", [Kind.CONFIRMATION, Kind.CANCELLATION])
@pytest.mark.parametrize("locale", ["", "en-us", "zh-cn"])
async def test_confirmation_carries_the_link(kind: Kind, locale: str) -> None:
    """Without it nobody could confirm, or come back."""
    message = replace(MESSAGE, kind=kind, link=LINK, locale=locale)
    content = SmsAdapter(fake_ports()).render(message, "sms")
    assert LINK in content.text
    assert "orders" in content.text


async def test_text_that_cannot_be_sent_is_rejected() -> None:
    """More than 1,000 characters no carrier takes."""
    outbox = MemoryOutbox()
    adapter = SmsAdapter(fake_ports(outbox=outbox))
    for length, outcome in ((1000, Delivered), (1001, Rejected)):
        content = adapter.render(replace(MESSAGE, content={"default": "x" * length}), "sms")
        assert isinstance(await adapter.send(content, "10086"), outcome)
    assert len(outbox.entries) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("x" * 158, 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 164, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("x" * 320, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 153 is odd: an escaped character moves to the next part as a whole
        ("x" * 152 + "€" + "x" * 153, 3),
        ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ" * 5, 1),
        ("中" * 70, 1),
        ("中" * 71, 2),
        ("中" * 134, 2),
        ("中" * 135, 3),
        ("x" * 70 + "中", 2),
        ("`" * 71, 2),
        ("🙂" * 35, 1),
        ("🙂" * 36, 2),
        # 67 is odd: a surrogate pair moves to the next part as a whole
        ("🙂" * 67, 3),
    ],
)
def test_parts_are_counted_as_carriers_do(text: str, parts: int) -> None:
    """160 or 153 units of GSM-7, 70 or 67 of UTF-16."""
    assert count_parts(text) == parts


def test_it_says_that_it_sends_nothing() -> None:
    """Nobody should wait for an SMS that was never sent."""
    assert "nothing is sent" in SmsAdapter(fake_ports()).notice


def test_confirmations_are_limited_as_the_contract_says() -> None:
    """10 an hour, then none for an hour; 20 in two days, then none for seven."""
    assert SmsAdapter.limits.confirmations == (Window(10, 3600, 3600), Window(20, 172_800, 604_800))
