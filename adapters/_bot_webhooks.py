"""Bots behind webhooks: all that their adapters have in common.

What is a platform's own is for a subclass to say: the body, the signature, the codes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from adapters._bot_codes import Codes
from adapters._bot_fitting import json_bytes
from adapters._bot_posts import Post, compose, merged
from adapters._bot_requests import JSON_HEADERS, in_order, wire
from adapters._bot_settings import WebhookSettings
from engine.errors import Refused
from engine.models import Limits, Message, Outcome, Rate, Rejected, Subscription
from engine.ports import PlainAdapter, TransportError

if TYPE_CHECKING:
    from engine.ports import Ports

_OWN_BYTES: Final = 2048  # what a bot's keyword and signature add to a body, or a little less


@dataclass(frozen=True, slots=True)
class Target:
    """A group's bot: where it is and what protects it."""

    url: str
    keyword: str
    secret: str
    secrets: tuple[str, ...]


class WebhookBot(PlainAdapter, ABC):
    """An adapter of bots behind webhooks; what is a platform's own is for a subclass to say."""

    protocols: tuple[str, ...] = ()

    OFFICIAL: ClassVar[tuple[str, ...]]
    PATH: ClassVar[re.Pattern[str]]
    """Of the endpoint, behind the base URL; its group ``token`` is the endpoint's secret."""
    EXAMPLE: ClassVar[str]
    CODES: ClassVar[Codes]
    DIGEST_BYTES: ClassVar[int] = 12_000
    """Of a digest's text: what is surely not cut, whatever stands around it."""

    def __init__(self, ports: Ports, settings: WebhookSettings, *rates: Rate) -> None:
        self.limits = Limits(
            max_bytes=_OWN_BYTES + self.DIGEST_BYTES if settings.digest else 262_144,
            confirm=False,
            secret_endpoint=True,
            rates=settings.rates(*rates),
            digest=settings.digest,
        )
        self._settings = settings
        self._clock = ports.clock
        self._guard = ports.guard
        self._transport = ports.transport
        self._bases = (*self.OFFICIAL, *settings.base_urls)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Codes: SMN.0012 for what is no bot's webhook, SMN.0069 for an internal address.

        Nobody resolves the name: it is the platform's or the operator's own, and every address
        is looked at when it is connected to.
        """
        del protocol, extension
        if self._token(endpoint) is None:
            raise Refused("SMN.0012", f"It must be a bot's webhook such as {self.EXAMPLE}.")
        self._guard.check_url(endpoint)

    def peer(self, subscription: Subscription) -> str:
        """The bot, however the host's name is written."""
        endpoint = subscription.endpoint
        found = self._path(endpoint)
        start = 0 if found is None else found.start()
        return endpoint[:start].lower() + endpoint[start:]

    def prepare(self, subscription: Subscription) -> Target:
        """What every send needs."""
        keyword = str(subscription.extension.get("keyword") or "")
        secret = str(subscription.extension.get("sign_secret") or "")
        token = self._token(subscription.endpoint)
        secrets = tuple(one for one in (subscription.endpoint, token, secret) if one)
        return Target(subscription.endpoint, keyword, secret, secrets)

    def render(self, message: Message, protocol: str) -> Post:
        """What all see; bodies differ by keyword and signature."""
        return compose(message, protocol)

    def size(self, content: Post) -> int:
        """Bytes of all bodies of one delivery; of a digest, which must not be cut, as it is."""
        if content.merged:
            names = (*content.at.mobiles, *content.at.users)
            return _OWN_BYTES + json_bytes(content.text) + sum(2 * json_bytes(n) for n in names)
        return _OWN_BYTES + sum(len(wire(body)) for body in self.bodies(content, ""))

    def merge(self, contents: Sequence[Post]) -> Post:
        """All of them as one."""
        return merged(contents)

    async def send(self, content: Post, prepared: Target) -> Outcome:
        """One request a part, signed when it goes."""
        bodies = self.bodies(content, prepared.keyword)
        if not bodies:
            return Rejected("mentions leave no room for the text")

        def call(body: dict[str, Any]) -> Callable[[], Awaitable[Outcome]]:
            return lambda: self._post(body, prepared)

        return await in_order(call(body) for body in bodies)

    @abstractmethod
    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """The bodies of a message; none if there is no room for its text."""

    def signed(
        self, url: str, body: dict[str, Any], secret: str, now_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """URL and body with a signature; as they are where there is no such thing."""
        del secret, now_ms
        return url, body

    async def _post(self, body: dict[str, Any], target: Target) -> Outcome:
        url = target.url
        if target.secret:
            url, body = self.signed(url, body, target.secret, self._clock.now_ms())
        try:
            answer = await self._transport.post(
                self._transport.parse(url), JSON_HEADERS, wire(body)
            )
        except TransportError as error:
            return error.outcome
        now_ms, signed = self._clock.now_ms(), bool(target.secret)
        return self.CODES.judge(answer, now_ms, target.secrets, signed=signed)

    def _token(self, endpoint: str) -> str | None:
        """The secret in an endpoint; None if it is none of these bots'."""
        found = self._path(endpoint)
        return None if found is None else found["token"]

    def _path(self, endpoint: str) -> re.Match[str] | None:
        """What stands behind the base URL; None if it is none of these bots'."""
        for base in self._bases:
            if endpoint[: len(base)].lower() == base.lower():
                found = self.PATH.fullmatch(endpoint, len(base))
                if found is not None:
                    return found
        return None
