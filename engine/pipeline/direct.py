"""Messages to an inline recipient: a number, a device, a probe, anybody without a subscription.

They are messages like any other, with one seat of one page that is stored in the message
itself. What they need of a topic (a shard, a record that says whether they are still wanted)
is the topic they belong to, or a home: a record of the same form that no list shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import Refused
from engine.store.recipients import inline_recipient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.models import Kind, Topic
    from engine.pipeline.accept import Draft, Publisher
    from engine.ports import Adapter
    from engine.store.recipients import Recipients


class Direct:
    """Accepts messages for inline recipients."""

    def __init__(
        self,
        publisher: Publisher,
        recipients: Recipients,
        adapters: Mapping[str, Adapter[Any, Any]],
    ) -> None:
        self._publisher = publisher
        self._recipients = recipients
        self._adapters = adapters

    async def send(
        self,
        home: Topic,
        kind: Kind,
        recipient: tuple[str, str, str],
        draft: Draft,
        *,
        extension: Mapping[str, object] | None = None,
        link: str | None = None,
    ) -> str:
        """Accept a message for ``(id, protocol, endpoint)``; returns the message's id.

        The id (32 hex digits) stands in log and dead letters where a subscription's does. The
        endpoint must have passed its adapter's ``check``. Codes: SMN.0011 for a protocol that
        is not enabled, SMN.0006 for a home that is gone, and those of `Publisher.address`.
        """
        identifier, protocol, endpoint = recipient
        if protocol not in self._adapters:
            raise Refused("SMN.0011")
        found = inline_recipient(home.id, home.urn, identifier, protocol, endpoint, extension or {})
        return await self._publisher.address(
            home, found, kind, draft, link=link, sealed=self._recipients.seal(found)
        )
