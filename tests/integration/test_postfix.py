"""Mail through the whole engine and a real Postfix: what lies in the mailbox is what was said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from engine.models import End
from tests.engines import all_ended, eventually, open_engine, working
from tests.postfix import Postfix
from tests.relay import body

pytestmark = [
    pytest.mark.needs("postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix's master is started by root"),
]

SENDER = "noreply@example.org"
NAME = "Überwachung, „neu“ 监控"
MESSAGES = {
    "Störung – 磁盘已满 🙂": "磁盘已满 93 %: „größer“ 🙂\nnächste Zeile",
    "Zeile mit Punkten é": "ö\n.\n..\n.wörter\n...ende\n.",
    "长行": "长" * 3_000 + " " + "ü" * 5_000 + " end",
    "lange ASCII-Zeile, ü": "x" * 20_000,
    "ß" * 250: "\ttab  zwei Leerzeichen \nEnde mit Leerzeichen ",
}
"""Texts by subject, none of it in ASCII alone but for one long line."""


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    """A running server."""
    server = Postfix("reader", "other")
    try:
        yield server.start()
    finally:
        server.close()


def tables(server: Postfix) -> dict[str, dict[str, Any]]:
    """What the file says of it."""
    relay = {"host": "127.0.0.1", "port": server.port, "ca_file": str(server.certificate)}
    return {"smtp": {"relays": [relay], "sender": SENDER, "ehlo": "worker.test"}}


async def test_mailboxes_hold_what_was_published(
    postfix: Postfix, redis_url: str, tmp_path: Path
) -> None:
    """Sender, recipient, subject, texts, link and id of each mail, whatever they are made of."""
    async with open_engine(redis_url, tmp_path, tables=tables(postfix)) as engine:
        topic = await engine.create_topic("mails")
        await engine.topics.update(topic.urn, display_name=NAME)
        subscription = await engine.subscribe(
            topic.urn, "email", "reader@example.com", confirmed=True
        )
        link = engine.subscriptions.leave_link(subscription)
        async with working(engine):
            ids = {
                subject: await engine.publish(topic.urn, text, subject=subject)
                for subject, text in MESSAGES.items()
            }
            found = await eventually(
                lambda: _all(postfix.mails("reader"), len(MESSAGES)), "all mails are delivered"
            )
    mails = {mail["Subject"]: mail for mail in found}
    assert mails.keys() == MESSAGES.keys()
    for subject, mail in mails.items():
        assert not mail.defects
        [sender] = mail["From"].addresses
        assert (sender.display_name, sender.addr_spec) == (NAME, SENDER)
        assert [to.addr_spec for to in mail["To"].addresses] == ["reader@example.com"]
        assert mail["Return-Path"] == f"<{SENDER}>"
        assert mail["Message-ID"] == f"<{ids[subject]}.{subscription.id}@example.org>"
        assert mail["List-Unsubscribe"] == f"<{link}>"
        assert "with ESMTPS" in mail["Received"]
        text, html = body(mail, "plain"), unescape(body(mail, "html"))
        assert text.startswith(MESSAGES[subject] + "\n\n-- \n")
        assert link in text
        assert MESSAGES[subject].replace("\n", "<br>") in html
        assert f'href="{link}"' in html


async def test_a_mailbox_that_does_not_exist_is_final(
    postfix: Postfix, redis_url: str, tmp_path: Path
) -> None:
    """The reply is kept with the dead letter, and others get theirs by the same connection."""
    async with open_engine(redis_url, tmp_path, tables=tables(postfix)) as engine:
        topic = await engine.create_topic("mails")
        await engine.subscribe_many(
            topic.urn, "email", ["nobody@example.com", "other@example.com", "a@elsewhere.example"]
        )
        async with working(engine):
            await engine.publish(topic.urn, "hello")
            await all_ended(engine)
            await eventually(lambda: postfix.mails("other"), "the other mail is delivered")
        letters = await engine.dead_letters(topic.urn)
    reasons = {letter.endpoint: (letter.end, letter.code, letter.reason) for letter in letters}
    assert reasons == {
        "nobody@example.com": (End.REJECTED, 550, "SMTP 550 5.1.1: no such mailbox"),
        "a@elsewhere.example": (End.REJECTED, 550, "SMTP 550 5.1.2: no such domain"),
    }


def _all(mails: list[EmailMessage], count: int) -> list[EmailMessage]:
    return mails if len(mails) == count else []
