"""One mail, and an adapter that hands it to relays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.smtp import Relay as RelaySettings
from adapters.smtp import SmtpAdapter, SmtpSettings, Tls
from engine.models import Message, Outcome
from engine.ports import Links
from engine.testing import FakeLinks, fake_ports
from tests import sending
from tests.relay import Relay
from tests.sending import subscription

SUBSCRIPTION = subscription("email", "somebody@example.com")
MESSAGE = sending.MESSAGE._replace(
    content={"default": "for others", "email": "磁盘已满\n.\n..dots\nend"},
    subject="Störung 🙂",
    display_name="Bestellungen, „neu“",
)
PASSWORD = "correct horse"


def settings_for(*relays: Relay, **options: Any) -> SmtpSettings:
    """Settings for unencrypted relays, 2 connections each."""
    given: dict[str, Any] = {"connections": 2, "timeout": 5.0, "tls": Tls.NONE}
    chosen = {**given, **options}
    return SmtpSettings(
        relays=tuple(RelaySettings(host="127.0.0.1", port=each.port, **chosen) for each in relays),
        sender="noreply@example.org",
        ehlo="worker.test",
    )


@asynccontextmanager
async def adapter_for(
    *relays: Relay, links: Links | None = None, **options: Any
) -> AsyncIterator[SmtpAdapter]:
    """An adapter with these relays, closed afterwards."""
    settings = settings_for(*relays, **options)
    adapter = SmtpAdapter(fake_ports(settings=settings, links=links or FakeLinks()))
    yield adapter
    await adapter.close()


async def send(
    adapter: SmtpAdapter, message: Message = MESSAGE, endpoint: str = "somebody@example.com"
) -> Outcome:
    """One attempt."""
    target = adapter.prepare(SUBSCRIPTION._replace(endpoint=endpoint))
    return await adapter.send(adapter.render(message, "email"), target)
