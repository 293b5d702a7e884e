"""A server of every protocol on this machine, each with one reader, and what the reader reads.

The servers are as strict as their platforms' documentation. What arrived is read by the rules of
its protocol alone: mail by the standard library, a short message from the coding that it is in.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from tests import function_gateway, push_kit, receiver
from tests.endpoints import certificate_for
from tests.function_gateway import function_graph
from tests.phone_gateway import phone_gateway
from tests.platforms import bots
from tests.platforms.every_bot import every_bot
from tests.push_kit import PushKit
from tests.relay import body, relay
from tests.smsc import PASSWORD, smsc

if TYPE_CHECKING:
    from engine.app import Engine

PHONE: Final = "+8613600000000"
CUT: Final = "\n[…]"
"""What a bot's message ends with that was too long for its platform."""
_MOST_EVENT: Final = 262_144
_MOST_PUSHED: Final = 2_048
_MOST_TEXTED: Final = 1_000


@dataclass(frozen=True)
class Sent:
    """What was published: the subject, the text for each protocol, under which name."""

    subject: str
    texts: Mapping[str, str]
    name: str = ""

    def text(self, protocol: str) -> str:
        """For one protocol."""
        return self.texts.get(protocol, self.texts["default"])


@dataclass
class Reader:
    """A subscriber of one protocol.

    ``take`` returns what has arrived since the last time; ``admits`` says whether the protocol
    can carry a message at all, and ``read`` fails unless an arrival says what was sent.
    """

    protocol: str
    endpoint: str
    take: Callable[[], list[Any]]
    read: Callable[[Sent, Any], None]
    admits: Callable[[Sent], bool] = lambda _: True
    extension: Mapping[str, object] = field(default_factory=dict)


@dataclass
class Everywhere:
    """All readers, and the settings under which adapters find their servers.

    Certificates of servers are made in ``folder``; ``trust`` is a client's that knows them.
    """

    stack: AsyncExitStack
    now_ms: Callable[[], int]
    folder: Path
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    readers: list[Reader] = field(default_factory=list)
    certificate_pem: bytes = b""

    async def start(self) -> None:
        """Start the servers."""
        await self._web()
        await self._mail()
        await self._phones()
        await self._functions()
        await self._bots()
        await self._devices()

    async def subscribe(self, engine: Engine, topic_urn: str) -> None:
        """Subscribe everybody."""
        self.certificate_pem = engine.signer.certificate_pem
        for reader in self.readers:
            await engine.subscribe(
                topic_urn,
                reader.protocol,
                await self._device(engine) if reader.protocol == "application" else reader.endpoint,
                extension=reader.extension,
                confirmed=True,
            )

    async def _web(self) -> None:
        certificate, key = certificate_for("127.0.0.1", self.folder)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        self.trust.load_verify_locations(certificate)
        for protocol, context in (("http", None), ("https", tls)):
            server = await self.stack.enter_async_context(receiver.served(context))
            read = self._webhook_reads(protocol)
            self.readers.append(Reader(protocol, server.url("hook"), _taker(server.arrivals), read))

    def _webhook_reads(self, protocol: str) -> Callable[[Sent, receiver.Arrival], None]:
        def read(sent: Sent, arrival: receiver.Arrival) -> None:
            found = json.loads(arrival.body.decode())
            said = found.get("subject", ""), found["message"]
            assert said == (sent.subject, sent.text(protocol))
            self._verify(found)

        return read

    def _verify(self, message: Mapping[str, str]) -> None:
        """As the contract tells receivers."""
        names = ("message", "message_id", "subject", "timestamp", "topic_urn", "type")
        text = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name))
        key = x509.load_pem_x509_certificate(self.certificate_pem).public_key()
        assert isinstance(key, RSAPublicKey)
        key.verify(base64.b64decode(message["signature"]), text.encode(), PKCS1v15(), SHA256())

    async def _mail(self) -> None:
        server = await self.stack.enter_async_context(relay())
        one = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
        self.tables["smtp"] = {"relays": [one], "sender": "tocsin@example.com"}
        self.readers.append(
            Reader("email", "somebody@example.com", _taker(server.arrivals), _read_mail)
        )

    async def _phones(self) -> None:
        centre = await self.stack.enter_async_context(smsc())
        self.tables["sms"] = {"url": centre.url, "smpp_password": PASSWORD}

        def shown() -> list[str]:
            found = centre.shown(PHONE[1:])
            centre.taken.clear()
            return found

        def admits(sent: Sent) -> bool:
            text = sent.text("sms")
            return len(text) <= _MOST_TEXTED and not set(text) & set("【】[]")

        self.readers.append(Reader("sms", PHONE, shown, _same("sms"), admits))
        gateway = await self.stack.enter_async_context(phone_gateway())
        self.tables["voice"] = gateway.table

        def spoken(sent: Sent, order: Mapping[str, str]) -> None:
            assert order["content"] == sent.text("callnotify")

        self.readers.append(Reader("callnotify", PHONE, _taker(gateway.orders), spoken))

    async def _functions(self) -> None:
        table = {"access_key": function_gateway.ACCESS_KEY}
        table["secret_key"] = function_gateway.SECRET_KEY
        for protocol, endpoint, setting, path in function_gateway.ENDPOINTS:
            graph = await self.stack.enter_async_context(function_graph())
            graph.functions = {endpoint}
            table[setting] = f"{graph.url}{path}"
            self.readers.append(_function(protocol, endpoint, _taker(graph.events)))
        self.tables["function"] = table

    async def _bots(self) -> None:
        for one in every_bot(self.now_ms):
            base = await self.stack.enter_async_context(bots.served(one.platform))
            self.tables[one.adapter] = one.table(base)
            reader = Reader(
                one.protocol,
                one.endpoint(base),
                _taker(one.bot.shown),
                _bot_reads(one.protocol, one.most),
                extension=one.extension,
            )
            self.readers.append(reader)

    async def _devices(self) -> None:
        kit = PushKit()
        url = await self.stack.enter_async_context(push_kit.served(kit))
        self.tables["push"] = {
            "enabled": True,
            "hms_url": url,
            "hms_token_url": f"{url}/oauth2/v3/token",
        }

        def admits(sent: Sent) -> bool:
            return len(sent.text("application").encode()) <= _MOST_PUSHED

        def read(sent: Sent, arrival: Mapping[str, str]) -> None:
            assert arrival["data"] == sent.text("application")

        self.readers.append(Reader("application", "", _taker(kit.messages), read, admits))

    async def _device(self, engine: Engine) -> str:
        project = (await engine.accounts.bootstrap()).project_id
        secrets = (push_kit.APP_ID, push_kit.APP_SECRET)
        urn, _, _ = await engine.applications.create(project, "HMS", "shop", secrets)
        device, _ = await engine.devices.register(project, urn, push_kit.DEVICE, "")
        return str(device.parts)


def _taker(kept: list[Any]) -> Callable[[], list[Any]]:
    def take() -> list[Any]:
        found = kept.copy()
        kept.clear()
        return found

    return take


def _same(protocol: str) -> Callable[[Sent, Any], None]:
    def read(sent: Sent, arrival: str) -> None:
        assert arrival == sent.text(protocol)

    return read


def _function(protocol: str, endpoint: str, take: Callable[[], list[Any]]) -> Reader:
    def admits(sent: Sent) -> bool:
        event = json.dumps([sent.subject, sent.text(protocol)], ensure_ascii=False)
        return len(event.encode()) < _MOST_EVENT - 1_024

    def read(sent: Sent, arrival: tuple[str, dict[str, Any]]) -> None:
        _, event = arrival
        (record,) = event.get("input", event)["record"]
        smn = record["smn"]
        assert (smn["subject"], smn["message"]) == (sent.subject, sent.text(protocol))

    return Reader(protocol, endpoint, take, read, admits)


def _bot_reads(protocol: str, most: int) -> Callable[[Sent, Any], None]:
    def read(sent: Sent, arrival: bots.Shown) -> None:
        text = sent.text(protocol)
        if not arrival.markdown and sent.subject:
            text = f"{sent.subject}\n{text}"
        if protocol == "welink":
            text = _in_xml(text)
        if arrival.text != text and arrival.text.endswith(CUT):
            begin = arrival.text.removesuffix(CUT)
            assert text.startswith(begin)
            assert len(json.dumps(text, ensure_ascii=False).encode()) > most - 512
        else:
            assert arrival.text == text

    return read


def _in_xml(text: str) -> str:
    """XML has one form of line ends and no other control characters (XML 1.0 §2.2, §2.11)."""
    text = re.sub(r"\r\n?", "\n", text)
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def _read_mail(sent: Sent, arrival: Any) -> None:
    """Lines as SMTP wants them, and subject, sender, text and HTML as they were published."""
    assert all(len(line) <= 998 for line in arrival.raw.split(b"\r\n"))
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", arrival.raw)
    mail = arrival.mail
    assert not mail.defects
    if sent.subject:
        assert mail["Subject"] == sent.subject
    # In its newer interface the library puts a blank between encoded words of a name, against
    # RFC 2047 §6.2.
    phrase, address = parseaddr(message_from_bytes(arrival.raw)["From"])
    assert address == "tocsin@example.com"
    assert str(make_header(decode_header(phrase))) == (sent.name if sent.name.strip() else "")
    text = re.sub(r"\r\n?", "\n", sent.text("email"))
    assert body(mail, "plain").startswith(f"{text}\n")
    page = _Page()
    page.feed(body(mail, "html"))
    page.close()
    assert re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", text) in page.text


class _Page(HTMLParser):
    """The text that a browser shows of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "br":
            self.text += "\n"
