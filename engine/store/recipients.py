"""Inline recipients: who gets a message and sits in no roster is stored with the message.

Sealed under the master key: an endpoint may be a secret, and an extension holds some.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.models import INLINE, Status, Subscription

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.models import Message
    from engine.vault import Vault


class Recipients:
    """Seals recipients into messages and takes them out again."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, recipient: Subscription) -> str:
        """The recipient as a message of its topic carries it."""
        plain = json.dumps(
            [recipient.id, recipient.protocol, recipient.endpoint, recipient.extension],
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return self._vault.encrypt(plain, _context(recipient.topic_id))

    def unseal(self, message: Message, sealed: str) -> Subscription:
        """Undo `seal`; raises `StoreUnfit` for what was sealed elsewhere."""
        plain = self._vault.decrypt(sealed, _context(message.topic_id))
        identifier, protocol, endpoint, extension = json.loads(plain)
        return inline_recipient(
            message.topic_id, message.topic_urn, identifier, protocol, endpoint, extension
        )


def inline_recipient(
    topic_id: str,
    topic_urn: str,
    identifier: str,
    protocol: str,
    endpoint: str,
    extension: Mapping[str, object],
) -> Subscription:
    """A recipient as adapters know them: a confirmed subscription, alone on no page.

    ``identifier`` is 32 hex digits, as a subscription's id.
    """
    return Subscription(
        id=identifier,
        topic_id=topic_id,
        topic_urn=topic_urn,
        protocol=protocol,
        endpoint=endpoint,
        status=Status.CONFIRMED,
        page=INLINE,
        seat=0,
        extension=extension,
    )


def _context(topic_id: str) -> str:
    return f"recipient:{topic_id}"
