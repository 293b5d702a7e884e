"""A message as a mail (RFC 5322, MIME): text and HTML, in English or Chinese.

All that recipients share is encoded once; a mail for one of them is a join of ready pieces and
its own few lines. Whatever the texts hold, the result is ASCII in lines of at most 998 octets
that end in CR LF: header texts are encoded words (RFC 2047) unless plain, bodies
quoted-printable or base64, whichever is shorter.
"""

from __future__ import annotations

import binascii
import datetime as dt
import re
from base64 import b64encode, encodebytes
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import format_datetime
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from adapters import _mail_texts
from engine.models import Kind

if TYPE_CHECKING:
    from engine.models import Message

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
# No text in HTML (HTML §13.1.4), unlike tab and line ends.
_NO_HTML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# What reads the same before and after folding, decoding and unfolding.
_PLAIN: Final = re.compile(r"(?! )(?!.*  )(?!.*=\?)[\x20-\x7e]{1,60}(?<! )")
_WORD_LINE: Final = 76
"""Characters of a line that holds an encoded word; so none has more than 75 (RFC 2047 §2)."""
_WORD: Final = "=?utf-8?b?{}?="
_BASE64_LINE_BYTES: Final = 57
_BASE64_COST: Final = 4 / 3 * 78 / 76


class Own(NamedTuple):
    """What is one recipient's own; an empty ``link`` is none."""

    address: str
    subscription_id: str
    link: str


@dataclass(frozen=True, slots=True)
class Part:
    """A body whose end is a recipient's own.

    ``ready`` is encoded; ``rest`` is what base64 left over to be encoded with the ``footer``,
    which is split where the link goes.
    """

    ready: bytes
    rest: bytes
    footer: tuple[bytes, bytes]
    base64: bool

    def end(self, link: bytes) -> bytes:
        """The rest of the encoded body."""
        before, after = self.footer
        raw = b"".join((self.rest, before, link, after))
        return _base64(raw) if self.base64 else _quoted(raw)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as a mail, but for what is a recipient's own.

    ``text`` is what the text part says, without its footer.
    """

    id: str
    kind: Kind
    head: bytes
    opening: bytes
    plain: Part
    between: bytes
    html: Part
    closing: bytes
    linked: bool
    subject: str
    text: str

    @property
    def size(self) -> int:
        """Bytes of what is shared."""
        ready = len(self.plain.ready) + len(self.html.ready)
        return ready + len(self.head) + len(self.opening) + len(self.between) + len(self.closing)

    def to(self, own: Own, message_id: str) -> bytes:
        """The whole mail for one recipient."""
        headers = [f"To: <{own.address}>\r\nMessage-ID: <{message_id}>\r\n"]
        link = own.link if self.linked else ""
        if link:
            headers.append(f"List-Unsubscribe: <{link}>\r\n")
            if link.startswith("https://"):
                # One click must be a POST over TLS (RFC 8058 §3.1).
                headers.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        raw_link = link.encode()
        return b"".join(
            (
                self.head,
                "".join(headers).encode(),
                self.opening,
                self.plain.ready,
                self.plain.end(raw_link),
                self.between,
                self.html.ready,
                self.html.end(escape(link).encode()),
                self.closing,
            )
        )


def compose(message: Message, protocol: str, sender: str, language: str) -> Mail:
    """The mail of a message; ``language`` is for the words of our own."""
    words = _mail_texts.words(message, language)
    linked = message.kind is Kind.NOTIFICATION
    text = message.text(protocol)
    if words.invitation is None or not message.link:
        # An invitation without a link is the text that holds its code.
        subject = message.subject or (words.invitation or words).subject
        shown = text
        body = _mail_texts.html_message(message.subject or "", _paragraph(text))
    else:
        subject = words.invitation.subject
        shown = f"{words.invitation.text}\n\n{message.link}\n\n{words.invitation.hint}"
        body = _mail_texts.html_invitation(words.invitation, message.link)
    page = _mail_texts.html_page(_html(subject), _html(words.topic), body, words.language)
    plain = _part(shown, words.footer.text if linked else ("", ""))
    html_end = words.footer.html if linked else ("", _mail_texts.END)
    html = _part(page, html_end)
    boundary = f"=_{message.id}"
    created = dt.datetime.fromtimestamp(message.created_ms // 1000, dt.UTC)
    shown_name = message.display_name if message.kind not in _mail_texts.USERS else ""
    head = (
        f"{_from(shown_name, sender)}\r\n"
        f"{_subject(subject)}\r\n"
        f"Date: {format_datetime(created)}\r\n"
        "MIME-Version: 1.0\r\n"
        "Auto-Submitted: auto-generated\r\n"
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'
    )
    return Mail(
        id=message.id,
        kind=message.kind,
        head=head.encode(),
        opening=f"\r\n--{boundary}\r\n{_heading('plain', plain)}".encode(),
        plain=plain,
        between=f"\r\n--{boundary}\r\n{_heading('html', html)}".encode(),
        html=html,
        closing=f"\r\n--{boundary}--\r\n".encode(),
        linked=linked,
        subject=subject,
        text=shown,
    )


def legible(mail: bytes) -> str:
    """The headers and the text part of a mail, decoded, with LF at the end of lines."""
    parsed = BytesParser(EmailMessage, policy=default).parsebytes(mail)
    # As they stand there: the parser of addresses and the like is slow with hostile ones.
    headers = "".join(
        f"{name}: {make_header(decode_header(_LINE_END.sub('', value)))}\n"
        for name, value in parsed.raw_items()
    )
    part = parsed.get_body(("plain",))
    text = "" if part is None else str(part.get_content())
    return headers + "\n" + _LINE_END.sub("\n", text)


def _subject(text: str) -> str:
    """The header of a text: verbatim if it survives that, else as encoded words.

    Characters that could end the header are blanks (RFC 5322 §2.2), whoever let them through.
    """
    clean = _mail_texts.CONTROLS.sub(" ", text)
    return f"Subject: {clean}" if _PLAIN.fullmatch(clean) else _encoded_words("Subject: ", clean)


def _from(name: str, address: str) -> str:
    """The header of ``name <address>``, or of the bare address (RFC 5322 §3.4)."""
    clean = _mail_texts.CONTROLS.sub(" ", name)
    if not clean.strip():
        return f"From: {address}"
    if _PLAIN.fullmatch(clean):
        quoted = clean.replace("\\", "\\\\").replace('"', '\\"')
        return f'From: "{quoted}" <{address}>'
    return f"{_encoded_words('From: ', clean)}\r\n <{address}>"


def _encoded_words(line: str, text: str) -> str:
    """Lines of a word each; the first begins with the header's name, the others with a blank."""
    lines, chunk = [], b""
    for character in text:
        # A word holds whole characters (RFC 2047 §5).
        encoded = character.encode("utf-8", "replace")
        room = (_WORD_LINE - len(line) - len(_WORD.format(""))) // 4 * 3
        if len(chunk) + len(encoded) > room:
            lines.append(line + _WORD.format(b64encode(chunk).decode()))
            line, chunk = " ", b""
        chunk += encoded
    return "\r\n".join((*lines, line + _WORD.format(b64encode(chunk).decode())))


def _part(text: str, footer: tuple[str, str]) -> Part:
    raw = (_LINE_END.sub("\r\n", text) + "\r\n").encode("utf-8", "replace")
    before, after = (_LINE_END.sub("\r\n", end).encode("utf-8", "replace") for end in footer)
    quoted = _quoted(raw)
    if len(quoted) <= len(raw) * _BASE64_COST:
        return Part(quoted, b"", (before, after), base64=False)
    cut = len(raw) // _BASE64_LINE_BYTES * _BASE64_LINE_BYTES
    return Part(_base64(raw[:cut]), raw[cut:], (before, after), base64=True)


def _quoted(raw: bytes) -> bytes:
    # Its own line ends are those of the first line, so there has to be one.
    return binascii.b2a_qp(raw) if raw else b""


def _base64(raw: bytes) -> bytes:
    return encodebytes(raw).replace(b"\n", b"\r\n")


def _heading(subtype: str, part: Part) -> str:
    encoding = "base64" if part.base64 else "quoted-printable"
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )


def _html(text: str) -> str:
    return escape(_NO_HTML.sub("\ufffd", text))


def _paragraph(text: str) -> str:
    return _LINE_END.sub("<br>", _html(text))
