"""Mobile push: a message to a device of an application, by its platform's own service.

The endpoint is the URN of an application's endpoint. What the platform needs of it, its token
and the application's credentials, is looked up for each attempt, so that a device that was
switched off gets nothing and an application that was authenticated anew is believed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import Field

from adapters import _hms
from engine.adapter_settings import AdapterSettings
from engine.errors import Refused, StoreError
from engine.models import Limits, Message, Outcome, Rejected, Retry, Subscription, Throttled

if TYPE_CHECKING:
    from engine.ports import MobileDevice, Ports

_URL: Final = r"^https?://[!-~]+[^/?#]$"
_PLATFORMS: Final[Mapping[str, int]] = {"HMS": _hms.MAX_BYTES}
"""Platform → the longest message that it takes (SMN "Publishing to an Endpoint")."""
# What the platform is sent around a text: tokens, names, what JSON escapes.
_AROUND_BYTES: Final = 4096
# Later than this after its time a message can only have been redriven.
_LATE_MS: Final = 10_000


class PushSettings(AdapterSettings):
    """Whether and where mobile platforms are spoken to; credentials are the applications' own."""

    enabled: bool = Field(
        default=False, description="offer `application` and the operations on applications"
    )
    hms_url: str = Field(
        "https://push-api.cloud.huawei.com", pattern=_URL, description="Push Kit of HMS"
    )
    hms_token_url: str = Field(
        "https://oauth-login.cloud.huawei.com/oauth2/v3/token",
        pattern=_URL,
        description="where HMS gives tokens to applications",
    )


@dataclass(frozen=True, slots=True)
class Push:
    """A message as each platform has it, and for how long it may be kept."""

    message_id: str
    texts: Mapping[str, str]
    created_ms: int
    deadline_ms: int

    def text(self, platform: str) -> str:
        """What one platform is sent."""
        return self.texts.get(platform, self.texts["default"])


class Target(NamedTuple):
    """Whom to send to: the endpoint's URN and the subscription's id."""

    urn: str
    id: str
    own: bool


class PushAdapter:
    """Speaks ``application`` where it is enabled."""

    notice = ""
    limits = Limits(max_bytes=_hms.MAX_BYTES, confirm=False)

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._devices = ports.devices
        settings = ports.configure(PushSettings)
        self.protocols = ("application",) if settings.enabled else ()
        self._hms = _hms.Hms(ports.gateway, ports.clock, settings.hms_token_url, settings.hms_url)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Code SMN.0012 for an endpoint that no application has."""
        del protocol, extension
        if await self._devices.find(endpoint) is None:
            raise Refused("SMN.0012", "No application has such an endpoint.")

    def prepare(self, subscription: Subscription) -> Target:
        """The endpoint's URN, and whether it is of the topic's own project."""
        urn = subscription.endpoint
        own = urn.split(":")[3:4] == subscription.topic_urn.split(":")[3:4]
        return Target(urn, subscription.id, own)

    def render(self, message: Message, protocol: str) -> Push:
        """The text of each platform."""
        texts = {name: message.content[name] for name in _PLATFORMS if name in message.content}
        texts["default"] = message.text(protocol)
        return Push(message.id, texts, message.created_ms, message.deadline_ms)

    def size(self, content: Push) -> int:
        """Bytes of the longest text that is sent, and of what stands around it."""
        longest = max(len(text.encode()) for text in content.texts.values())
        return longest + _AROUND_BYTES

    async def send(self, content: Push, prepared: Target) -> Outcome:
        """Look the device up and send to its platform what it takes, if anything."""
        try:
            device = await self._devices.find(prepared.urn)
        except StoreError:
            return Retry("the endpoint could not be looked up")
        fault = _fault(content, prepared, device)
        if device is None or fault:
            return Rejected(fault)
        now_ms = self._clock.now_ms()
        left_s = _left_s(content, now_ms)
        if left_s == 0:
            # Its time has passed while it was on its way; the engine ends it.
            return Throttled(now_ms + 1_000, "time_to_live passed")
        message = _hms.translate(content.text(device.platform))
        if isinstance(message, str):
            return Rejected(message)
        return await self._hms.send(device, message, left_s)

    async def close(self) -> None:
        """Nothing of its own: the gateway is the engine's."""


def _fault(content: Push, target: Target, device: MobileDevice | None) -> str:
    """Why the device is not sent the message, '' if it is."""
    if not target.own:
        return "the endpoint belongs to another project"
    if device is None:
        return "the endpoint is gone"
    if not device.enabled:
        return "the endpoint is disabled"
    most = _PLATFORMS.get(device.platform)
    if most is None:
        return f"{device.platform} is not spoken"
    if len(content.text(device.platform).encode()) > most:
        return f"{device.platform} takes at most {most} bytes"
    return ""


def _left_s(content: Push, now_ms: int) -> int:
    """Seconds for which the platform may keep the message, 0 if its time has passed.

    One that comes much later than its time has been redriven, and lives as long anew.
    """
    left_ms = content.deadline_ms - now_ms
    if -_LATE_MS < left_ms <= 0:
        return 0
    if left_ms <= 0:
        left_ms = content.deadline_ms - content.created_ms
    return -(-left_ms // 1000)
