"""Whatever texts say: a mail is well formed, and the standard library reads them as they were."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses
from html import unescape

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import _mail
from adapters._mail import Own
from adapters._relays import stuffed
from engine.models import Message
from tests import sending
from tests.relay import body, parsed

MESSAGE = sending.MESSAGE._replace(subject=None)
OWN = Own("somebody@example.com", "b" * 32, "https://smn.example/unsubscribe?a=b&sig=" + "0" * 32)
SENDER = "noreply@example.org"
HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"),
    *("Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post"),
}
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
hostile = st.sampled_from(
    [
        "\r\n.\r\n",
        "\n",
        "\r",
        ".",
        "=",
        "=?utf-8?b?eA==?=",
        "\t",
        "  ",
        '"',
        "\\",
        "<a@b>",
        ",",
        "中",
    ]
)
texts = st.lists(st.one_of(st.text(st.characters(codec="utf-8")), hostile), max_size=40).map(
    "".join
)


def mail_of(message: Message) -> bytes:
    """As it is handed over, before dots are stuffed."""
    mail = _mail.compose(message, "email", SENDER, "en")
    return mail.to(OWN, f"{message.id}.{OWN.subscription_id}@example.org")


def line(text: str) -> str:
    """A text as a header can hold it."""
    return CONTROLS.sub(" ", text)


def lines(text: str) -> str:
    """A text with the line ends of a mail, as Python reads them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decoded(value: str) -> str:
    """A header as a mail program decodes it (RFC 2047)."""
    return str(make_header(decode_header(value)))


@settings(deadline=None)
@given(texts.filter(len), texts, texts)
def test_any_text_is_read_as_it_was(text: str, subject: str, name: str) -> None:
    """In message, subject and display name; no header is added, and no line is a server's."""
    message = MESSAGE._replace(
        content={"default": text}, subject=subject or None, display_name=name
    )
    raw = mail_of(message)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert set(raw.replace(b"\r\n", b"")).isdisjoint(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    mail = parsed(raw)
    assert not mail.defects
    assert set(mail) == HEADERS
    assert len(mail) == len(HEADERS)
    plain, html = body(mail, "plain"), body(mail, "html")
    assert plain.startswith(lines(text) + "\n\n-- \n")
    assert OWN.link in plain
    shown = html.partition('white-space:pre-wrap">')[2].partition("</div>")[0]
    safe = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", lines(text))
    assert unescape(shown.replace("<br>", "\n")) == safe
    headers = message_from_bytes(raw)
    if subject:
        assert decoded(headers["Subject"]) == line(subject)
    [(phrase, address)] = getaddresses([headers["From"]])
    assert address == SENDER
    if line(name).strip():
        assert decoded(phrase) == line(name)


@given(texts, texts)
def test_lines_with_encoded_words_are_short(subject: str, name: str) -> None:
    """At most 76 characters, with the header's name (RFC 2047 §2)."""
    message = MESSAGE._replace(subject=subject or None, display_name=name)
    head = mail_of(message).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert max((len(one) for one in head if b"=?" in one), default=0) <= 76


def test_the_first_encoded_word_leaves_room_for_the_headers_name() -> None:
    """Twenty Chinese characters are too many for one line, and fill the first."""
    message = MESSAGE._replace(subject="告" * 20, display_name="告" * 20)
    head = mail_of(message).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    words = [one for one in head if "=?" in one]
    assert [len(one) for one in words] == [74, 37, 73, 41]


@settings(deadline=None)
@given(texts.filter(len), texts, texts)
def test_any_mail_can_be_made_legible(text: str, subject: str, name: str) -> None:
    """Headers first, then the text as it was."""
    message = MESSAGE._replace(
        content={"default": text}, subject=subject or None, display_name=name
    )
    shown = _mail.legible(mail_of(message))
    assert "\r" not in shown.partition("\n\n")[0]
    assert shown.startswith("From: ")
    assert f"\nSubject: {line(subject)}\n" in shown or not subject
    assert f"\nTo: <{OWN.address}>\n" in shown
    assert f"\n\n{lines(text)}\n\n-- \n" in shown


@settings(deadline=None)
@given(texts)
def test_no_line_of_a_mail_ends_it(text: str) -> None:
    """Dots are doubled, and a server that halves them has the mail as it was."""
    raw = mail_of(MESSAGE._replace(content={"default": text or "x"}))
    sent = stuffed(raw)
    assert sent.index(b"\r\n.\r\n") == len(sent) - 5
    assert b"\n.\n" not in sent
    assert b"\r.\r" not in sent
    assert sent[:-3].replace(b"\r\n..", b"\r\n.") == raw


def test_a_long_text_is_the_shorter_of_two_encodings() -> None:
    """Chinese as base64, English as text that a person can read on the wire."""
    for text, encoding in (("中文" * 1_000, "base64"), ("word " * 1_000, "quoted-printable")):
        raw = mail_of(MESSAGE._replace(content={"default": text}))
        part = parsed(raw).get_body(("plain",))
        assert part is not None
        assert part["Content-Transfer-Encoding"] == encoding
        assert len(raw) < 3.1 * len(text.encode()) + 6_000
