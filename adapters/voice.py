"""Voice: calls through the operator's HTTP gateway, which reads the text out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from adapters._http_gateway import Form, HttpGateway, HttpGatewaySettings
from adapters._phone import Language, own_text
from engine.errors import ConfigurationError
from engine.models import Limits, Message, Outcome, Subscription, Window
from engine.ports import PlainAdapter

if TYPE_CHECKING:
    from engine.ports import Ports

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


class VoiceSettings(HttpGatewaySettings):
    """Who calls."""

    url: str = Field(
        "", description="`https://…` of the gateway; without one `callnotify` is not offered"
    )
    timeout: float = Field(
        60, gt=0, le=600, description="seconds for the gateway's complete answer"
    )
    language: Language = Field(
        "en", description="`en` or `zh`: of invitations that name no language"
    )


class VoiceAdapter(PlainAdapter):
    """Speaks ``callnotify``, if it is told where."""

    # The contract has no numbers for calls: those for SMS go to the same phones.
    limits = Limits(
        confirm=True,
        rounds=True,
        confirmations=(Window(10, _HOUR, _HOUR), Window(20, 2 * _DAY, 7 * _DAY)),
    )

    def __init__(self, ports: Ports) -> None:
        settings = ports.configure(VoiceSettings)
        if settings.url and not settings.speaks_http:
            raise ConfigurationError("Setting 'adapters.voice.url' is no URL of HTTP.")
        self.protocols = ("callnotify",) if settings.url else ()
        self._language = settings.language
        self._gateway = HttpGateway(settings, ports.gateway, ports.clock)

    def prepare(self, subscription: Subscription) -> str:
        """The number as it was given."""
        return subscription.endpoint

    def render(self, message: Message, protocol: str) -> Form:
        """What is read out: no links; the digits of a code one by one."""
        own = own_text(message, self._language, spoken=True)
        return self._gateway.render(message, message.text(protocol) if own is None else own)

    def size(self, content: Form) -> int:
        """Bytes of one request."""
        return content.size

    async def send(self, content: Form, prepared: str) -> Outcome:
        """Ask for one call; what the gateway answers says whether it was answered."""
        return await self._gateway.send(content, prepared)

    async def close(self) -> None:
        """Release the gateway."""
        await self._gateway.close()
