"""Mobile push: a message to a device of an application, by its platform's own service.

The endpoint is the URN of an application's endpoint. What the platform needs of it, its token
and the application's credentials, is looked up for each attempt, so that a device that was
switched off gets nothing and an application that was authenticated anew is believed at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import Field

from adapters import _apns, _hms
from engine.adapter_settings import AdapterSettings
from engine.errors import ConfigurationError, Refused, StoreError
from engine.models import Limits, Message, Outcome, Rejected, Retry, Subscription, Throttled
from engine.ports import PlainAdapter

if TYPE_CHECKING:
    from engine.ports import MobileDevice, Ports

_URL: Final = r"^https?://[!-~]+[^/?#]$"
_HTTPS: Final = r"^https://[!-~]+[^/?#]$"
_PLATFORMS: Final[Mapping[str, int]] = {
    "HMS": _hms.MAX_BYTES,
    "APNS": _apns.MAX_BYTES,
    "APNS_SANDBOX": _apns.MAX_BYTES,
}
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
    apns_url: str = Field(
        "https://api.push.apple.com", pattern=_HTTPS, description="Apple's service for `APNS`"
    )
    apns_sandbox_url: str = Field(
        "https://api.sandbox.push.apple.com", pattern=_HTTPS, description="that for `APNS_SANDBOX`"
    )
    apns_ca_file: Path | None = Field(
        None, description="certificates to trust for both; default: the system's"
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

    def id_for(self, subscription_id: str) -> str:
        """A UUID of this message to one subscription, the same for each attempt (RFC 9562 §5.5)."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.message_id}:{subscription_id}"))


class Target(NamedTuple):
    """Whom to send to: the endpoint's URN and the subscription's id."""

    urn: str
    id: str
    own: bool


class PushAdapter(PlainAdapter):
    """Speaks ``application`` where it is enabled."""

    limits = Limits(max_bytes=max(_PLATFORMS.values()), confirm=False)

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._devices = ports.devices
        settings = ports.configure(PushSettings)
        self.protocols = ("application",) if settings.enabled else ()
        self._hms = _hms.Hms(ports.gateway, ports.clock, settings.hms_token_url, settings.hms_url)
        if settings.apns_ca_file is not None:
            try:
                _apns.check_authorities(settings.apns_ca_file)
            except OSError as error:
                raise ConfigurationError(
                    "Setting 'adapters.push.apns_ca_file' names no file of certificates."
                ) from error
        urls = {"APNS": settings.apns_url, "APNS_SANDBOX": settings.apns_sandbox_url}
        self._apns = _apns.Apns(ports.http2, ports.clock, urls, settings.apns_ca_file)

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
        until_ms = _until_ms(content, now_ms)
        if until_ms <= now_ms:
            # Its time has passed while it was on its way; the engine ends it.
            return Throttled(now_ms + 1_000, "time_to_live passed")
        text = content.text(device.platform)
        if device.platform == "HMS":
            return await self._hms.send(device, text, until_ms)
        return await self._apns.send(device, text, content.id_for(prepared.id), until_ms)


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


def _until_ms(content: Push, now_ms: int) -> int:
    """Until when the platform may keep the message; past if its time has passed.

    One that comes much later than its time has been redriven, and lives as long anew.
    """
    if now_ms - content.deadline_ms < _LATE_MS:
        return content.deadline_ms
    return now_ms + content.deadline_ms - content.created_ms
