"""Direct SMS: a text to a number that subscribes to nothing (the older SMN API, "SendSms")."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Refused, TocsinError
from engine.models import Kind
from engine.pipeline.accept import MAX_MESSAGE_BYTES, Draft
from engine.policy import protocols, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.pipeline.direct import Direct
    from engine.ports import Adapter
    from engine.store.homes import Homes

PROTOCOL: Final = "sms"


class Sms:
    """Sends texts; raises `Refused` with the contract's code."""

    def __init__(
        self,
        homes: Homes,
        direct: Direct,
        adapters: Mapping[str, Adapter[Any, Any]],
        region: str,
    ) -> None:
        self._homes = homes
        self._direct = direct
        self._adapters = adapters
        self._region = region

    async def send(self, project_id: str, number: str, text: str) -> str:
        """Accept a text for a number; returns the message's id.

        Codes: SMN.0011 SMS is not enabled, SMN.0012 number, SMN.0009 text.
        """
        adapter = self._adapters.get(PROTOCOL)
        if adapter is None:
            raise Refused("SMN.0011")
        await adapter.check(PROTOCOL, number, protocols.check(PROTOCOL, number, {}))
        if not 1 <= texts.size(text) <= MAX_MESSAGE_BYTES:
            raise Refused("SMN.0009", f"It has 1 to {MAX_MESSAGE_BYTES} bytes of UTF-8.")
        # No topic's URN has a colon more.
        urn = f"urn:smn:{self._region}:{project_id}:sms:direct"
        home = await self._homes.open(project_id, urn, PROTOCOL)
        if home is None:
            raise TocsinError(f"The home {urn} is retired, which nobody does.")
        recipient = secrets.token_hex(16), PROTOCOL, number
        return await self._direct.send(home, Kind.DIRECT, recipient, Draft({"default": text}))
