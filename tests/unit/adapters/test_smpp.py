"""The SMPP link against a message centre: texts arrive intact, answers become outcomes."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters._parts import count
from adapters._smpp import SmppLink
from adapters.sms import SmsAdapter, SmsSettings
from engine.errors import ConfigurationError
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.testing import ManualClock, fake_ports
from tests.engines import eventually
from tests.sending import MESSAGE
from tests.smsc import DROP, MUTE, PASSWORD, Smsc, send, smsc

NUMBER = "+8613600000000"
CLOCK = ManualClock()
NOW = CLOCK.now_ms()


@asynccontextmanager
async def linked(centre: Smsc, **given: Any) -> AsyncIterator[SmsAdapter]:
    """An adapter whose link leads to the centre."""
    fields = {
        "url": centre.url,
        "smpp_password": PASSWORD,
        "brackets": "allow",
        "timeout": 2,
    } | given
    clock = fields.pop("clock", CLOCK)
    ports = fake_ports(settings=SmsSettings.model_validate(fields), clock=clock)
    adapter = SmsAdapter(ports)
    try:
        yield adapter
    finally:
        await adapter.close()


async def say(adapter: SmsAdapter, text: str, *, message_id: str = "d" * 32) -> Outcome:
    """Send one text."""
    message = MESSAGE._replace(id=message_id, content={"default": text})
    return await adapter.send(adapter.render(message, "sms"), NUMBER)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1) | st.text(
    "aé€[]^中🙂`\n", min_size=1, max_size=1000
)


@pytest.mark.parametrize("long", ["udh", "payload"])
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
async def test_any_text_arrives_in_the_parts_that_were_counted(texts: list[str], long: str) -> None:
    """Decoded by another library it is the same text; nothing else was sent."""
    async with smsc() as centre, linked(centre, smpp_long=long) as adapter:
        for number, text in enumerate(texts):
            assert await say(adapter, text, message_id=f"{number:032}") == Delivered()
            assert centre.shown(NUMBER[1:])[-1] == text
        parts = [count(text) if long == "udh" else 1 for text in texts]
        assert len(centre.submits) == sum(parts)
        assert centre.binds == 1


@pytest.mark.parametrize(("letter", "room"), [("x", 160), ("中", 70)])
async def test_what_one_short_message_has_no_room_for_is_a_payload(letter: str, room: int) -> None:
    """In the octets of either alphabet."""
    async with smsc() as centre, linked(centre, smpp_long="payload") as adapter:
        for length in (room, room + 1):
            assert await say(adapter, letter * length) == Delivered()
        fits, over = centre.submits
        assert (len(fits.short_message), fits.message_payload) == (room, "")
        assert (over.short_message, len(over.message_payload)) == ("", room + 1)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x58, Throttled(NOW + 2_000, "ESME_RTHROTTLED (0x00000058)")),
        (0x14, Throttled(NOW + 2_000, "ESME_RMSGQFUL (0x00000014)")),
        (0x0B, Rejected("ESME_RINVDSTADR (0x0000000B)")),
        (0x08, Retry("ESME_RSYSERR (0x00000008)")),
        (0x45, Retry("ESME_RSUBMITFAIL (0x00000045)")),
        (0x0499, Retry("command_status (0x00000499)")),
        (DROP, Retry("the connection was lost")),
        (MUTE, Retry("no answer in time")),
    ],
)
async def test_answers_become_outcomes(status: int, outcome: Outcome) -> None:
    """Whether a lost submit arrived nobody knows, so that it is tried again."""
    async with smsc() as centre, linked(centre, timeout=0.2) as adapter:
        centre.answers.append(status)
        assert await say(adapter, "hi") == outcome


async def test_after_a_throttling_nothing_is_submitted_until_the_wait_is_over() -> None:
    """A busy centre is not asked by every message in turn."""
    clock = ManualClock()
    async with smsc() as centre, linked(centre, clock=clock) as adapter:
        centre.answers.append(0x58)
        await say(adapter, "first")
        assert isinstance(await say(adapter, "second"), Throttled)
        assert len(centre.submits) == 1
        clock.advance(2_000)
        assert await say(adapter, "third") == Delivered()


async def test_a_failure_between_parts_shows_the_text_once() -> None:
    """The next try sends all parts under the same reference, and the phone has each once."""
    text = "x" * 400
    async with smsc() as centre, linked(centre) as adapter:
        centre.answers.extend([0, DROP])
        assert isinstance(await say(adapter, text), Retry)
        assert centre.shown(NUMBER[1:]) == []
        assert await say(adapter, text) == Delivered()
        assert centre.shown(NUMBER[1:]) == [text]
        assert len({reference for _, reference, *_ in centre.taken}) == 1


async def test_a_lost_link_is_opened_again() -> None:
    """By the next message."""
    async with smsc() as centre, linked(centre) as adapter:
        await say(adapter, "first")
        for writer in centre.writers:
            writer.close()
        await eventually(lambda: not centre.writers, "the connection is gone")
        link = adapter._carrier
        assert isinstance(link, SmppLink)
        await eventually(lambda: link._session is None or link._session.ended, "it is noticed")
        assert await say(adapter, "second") == Delivered()
        assert centre.binds == 2


async def test_a_link_that_cannot_be_opened_waits_longer_each_time() -> None:
    """No try is spent, and not every message tries to connect."""
    clock = ManualClock()
    async with smsc() as centre:
        pass
    async with linked(centre, clock=clock) as adapter:
        for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
            down = Throttled(clock.now_ms() + seconds * 1000, "no SMPP session: no connection")
            assert await say(adapter, "hi") == down
            clock.advance(1)
            assert await say(adapter, "hi") == down
            clock.advance(seconds * 1000)
        async with smsc(port=centre.port) as again:
            assert await say(adapter, "hi") == Delivered()
            assert again.binds == 1


async def test_a_refused_bind_says_why() -> None:
    """And not with which password."""
    async with smsc() as centre, linked(centre, smpp_password="wrong-1") as adapter:
        outcome = await say(adapter, "hi")
        assert isinstance(outcome, Throttled)
        assert (
            outcome.reason == "no SMPP session: the bind was refused: ESME_RINVPASWD (0x0000000E)"
        )


async def test_no_more_submits_wait_than_the_window_has_room_for() -> None:
    """Centres cut the connection of who sends more."""
    async with smsc() as centre, linked(centre, smpp_window=3) as adapter:
        answering = asyncio.Event()
        centre.hold = answering.wait
        sends = [asyncio.create_task(say(adapter, str(number))) for number in range(10)]
        await eventually(lambda: centre.open == 3, "the window is full")
        answering.set()
        assert set(await asyncio.gather(*sends)) == {Delivered()}
        assert centre.most_open == 3


async def test_the_link_is_kept_alive_and_its_death_is_noticed() -> None:
    """An idle link asks; when nobody answers it is closed."""
    given = {"smpp_enquire_seconds": 0.02, "timeout": 0.2}
    async with smsc() as centre, linked(centre, **given) as adapter:
        await say(adapter, "hi")
        await eventually(lambda: centre.enquiries >= 3, "it asks now and then")
        centre.deaf = True
        await eventually(lambda: not centre.writers, "the dead link is closed")


async def test_what_the_centre_asks_is_answered() -> None:
    """Its sign of life, a phone's answer, one cut short, an unknown request, and its goodbye.

    What it says badly, of which nothing is needed, takes no text's answer away.
    """
    async with smsc() as centre, linked(centre) as adapter:
        await say(adapter, "hi")
        (writer,) = centre.writers
        heard: asyncio.Queue[tuple[int, int]] = asyncio.Queue()

        async def note(message: Any, command: Any, writer: Any) -> bool:
            await heard.put((int(command), message.sequence_num))
            return True

        centre._answer = note  # type: ignore[method-assign]
        short = b"\0" * 3 + b"1\0" + b"\0\0" + b"2\0" + b"\0" * 10
        for number, (command, body) in enumerate(
            [(0x15, b""), (0x05, short), (0x05, short[:9]), (0x21, b""), (0x06, b"")], 7
        ):
            send(writer, command, 0, number, body)
        answers = [await heard.get() for _ in range(5)]
        assert answers == [
            *((0x80000015, 7), (0x80000005, 8), (0x80000005, 9)),
            *((0x80000000, 10), (0x80000006, 11)),
        ]
        await eventually(lambda: not centre.writers, "and it is gone")


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x08" * 8])
async def test_a_peer_that_speaks_something_else_is_left(said: bytes) -> None:
    """Whatever answers there, it becomes an outcome."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, linked(Smsc(port=server.sockets[0].getsockname()[1])) as adapter:
        outcome = await say(adapter, "hi")
        await left.wait()
    assert isinstance(outcome, Throttled)
    assert outcome.reason == "no SMPP session: the peer does not speak SMPP"


@pytest.mark.parametrize(
    ("source", "ton", "npi"), [("", 0, 0), ("10690000", 0, 1), ("+49170", 1, 1), ("Tocsin", 5, 0)]
)
async def test_sender_and_number_have_their_types(source: str, ton: int, npi: int) -> None:
    """International with a plus sign, alphanumeric for names."""
    async with smsc() as centre, linked(centre, smpp_source=source) as adapter:
        await say(adapter, "hi")
        (submit,) = centre.submits
        assert (submit.source.number, submit.source.ton, submit.source.npi) == (
            source.removeprefix("+"),
            ton,
            npi,
        )
        assert (submit.destination.ton, submit.destination.npi) == (1, 1)
        assert submit.registered_delivery == 0


def certificate(directory: Path) -> Path:
    """One for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smsc")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = directory / "smsc.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_tls_is_spoken_with_whom_it_trusts(tmp_path: Path) -> None:
    """A certificate that nobody vouches for ends the connection before the password goes out."""
    path = certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    async with smsc(tls) as centre:
        url = centre.url.replace("smpp:", "smpps:")
        async with linked(centre, url=url) as adapter:
            outcome = await say(adapter, "hi")
            assert isinstance(outcome, Throttled)
            assert outcome.reason == "no SMPP session: TLS failed"
            assert centre.binds == 0
        async with linked(centre, url=url, smpp_ca_file=path) as adapter:
            assert await say(adapter, "hi") == Delivered()


@pytest.mark.parametrize(
    "given",
    [
        {"url": "smpp://smsc.example"},
        {"url": "smpp://id:password@smsc.example"},
        {"url": "smpp://id@smsc.example:99999"},
        {"url": "smpp://id@smsc.example/path"},
        {"url": "smpp://id@smsc..example"},
        {"url": "smpp://sixteen-letters-x@smsc.example"},
        {"smpp_password": "パスワード"},
        {"url": "smpps://id@smsc.example", "smpp_ca_file": "/nowhere"},
    ],
)
async def test_wrong_settings_are_found_at_start(given: dict[str, Any]) -> None:
    """In one sentence, without the password."""
    with pytest.raises(ConfigurationError) as failed:
        async with linked(Smsc(port=1), **given):
            pass
    assert "adapters.sms." in str(failed.value)
    assert "パスワード" not in str(failed.value)
