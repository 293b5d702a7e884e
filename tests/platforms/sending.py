"""What tests of bots send, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.models import RICH, Message, Outcome, Subscription
from engine.ports import Adapter
from engine.testing import InstantTransport, ManualClock, fake_ports
from tests.platforms.bots import Platform
from tests.sending import MESSAGE


def message(
    text: str = "disk full", rich: Mapping[str, Any] | None = None, **given: Any
) -> Message:
    """One for all protocols; ``rich`` is its object form for every bot."""
    content = {"default": text}
    if rich is not None:
        found: dict[str, Any] = {"msgType": "text", "content": text, **rich}
        for protocol in ("dingding", "dingTalkBot", "feishu", "wechat", "welink"):
            content[protocol] = found["content"]
            content[protocol + RICH] = json.dumps(found)
    fields: dict[str, Any] = {"subject": None, "content": content}
    return MESSAGE._replace(**(fields | given))


class World:
    """An adapter, a stand-in for its platform, and the clock that both see; no sockets."""

    def __init__(self, kind: type[Any], platform: type[Any], settings: Any = None) -> None:
        self.clock = ManualClock()
        self.platform: Platform = platform(self.clock.now_ms)
        self.transport = InstantTransport(self.platform.answer)
        ports = fake_ports(
            clock=self.clock,
            transport=self.transport,
            gateway=self.transport,
            settings=settings,
        )
        self.adapter: Adapter[Any, Any] = kind(ports)

    async def send(self, sent: Message, to: Subscription) -> Outcome:
        """One attempt."""
        content = self.adapter.render(sent, to.protocol)
        return await self.adapter.send(content, self.adapter.prepare(to))
