"""A device of an application, and what the adapter of mobile push is given to send to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from adapters.push import PushAdapter, PushSettings
from engine.models import Outcome, Subscription
from engine.ports import MobileDevice
from engine.testing import KnownDevices, ManualClock, fake_ports
from tests.sending import MESSAGE, TOPIC_URN, subscription


def subscribed(platform: str) -> Subscription:
    """That of an application's endpoint, in the topic's own project."""
    project = TOPIC_URN.rpartition(":")[0]
    return subscription("application", f"{project}:endpoint:{platform}:shop:{'e' * 32}")


class PushPhone:
    """A device that the adapter finds, or none, and the adapter; ``ports`` are what it is lent."""

    usual: object = "hello"
    """What it is sent if nothing is said of it."""

    def __init__(
        self,
        subscription: Subscription,
        device: MobileDevice | None,
        settings: PushSettings,
        **ports: Any,
    ) -> None:
        self.subscription = subscription
        self.clock = ManualClock()
        self.devices = KnownDevices({subscription.endpoint: device} if device else {})
        given = {"clock": self.clock, "devices": self.devices} | ports
        self.adapter = PushAdapter(fake_ports(settings=settings, **given))

    async def push(
        self, content: object = None, subscription: Subscription | None = None, **changes: Any
    ) -> Outcome:
        """Send a message; what is no text is sent as its JSON."""
        content = self.usual if content is None else content
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return await self.push_texts({"default": text}, subscription, **changes)

    async def push_texts(
        self, texts: Mapping[str, str], subscription: Subscription | None = None, **changes: Any
    ) -> Outcome:
        """Send a message with a text for each of several platforms."""
        message = MESSAGE._replace(content=texts, **changes)
        target = self.adapter.prepare(subscription or self.subscription)
        return await self.adapter.send(self.adapter.render(message, "application"), target)
