"""How an endpoint agrees: invitations with a link or a code, farewells, and their limits."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Refused
from engine.models import Kind, Window
from engine.pipeline.accept import Draft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.iam.live import LiveDirectory
    from engine.links import LinkMaker
    from engine.models import Subscription, Topic
    from engine.pipeline.accept import Publisher
    from engine.ports import Adapter, Clock
    from engine.store.codes import Codes
    from engine.store.limiter import Limiter

log = logging.getLogger(__name__)

LINK_SECONDS: Final = 48 * 3600
"""Life of a link or code that confirms (SMN "Adding a Subscription")."""

_LIMIT: Final = "confirmation"
_GUESSES: Final = "verification_code"
# 48 hours of guessing find one code in 2,000 sent; a person mistypes a few times.
_GUESS_WINDOWS: Final = (Window(10, 3600, 3600),)


class Invitations:
    """Writes to endpoints that have not agreed yet, or do not any more."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        limiter: Limiter,
        codes: Codes,
        links: LinkMaker,
        adapters: Mapping[str, Adapter[Any, Any]],
        directory: LiveDirectory,
        clock: Clock,
    ) -> None:
        self._publisher = publisher
        self._limiter = limiter
        self._codes = codes
        self._links = links
        self._adapters = adapters
        self._directory = directory
        self._clock = clock

    async def check_key(self, topic: Topic) -> None:
        """Raise `Refused` APIGW.0201 if an invitation could not be encrypted."""
        await self._publisher.check_key(topic)

    async def invite(self, topic: Topic, subscription: Subscription) -> None:
        """Send the confirmation message, unless flow control suppresses it."""
        subject = await self._subject(topic, subscription)
        until_ms = await self._limiter.take(_LIMIT, subject, self._of(subscription))
        if until_ms:
            log.warning(
                "confirmation.suppressed",
                extra={"subscription": subscription.id, "until_ms": until_ms},
            )
            return
        link = code = None
        if subscription.extension.get("verification_code_enabled"):
            code = await self._code(subscription)
            text = f"{code} is your code, for 48 hours, if you want {_to(topic)}."
        else:
            link = self.link(subscription)
            text = (
                f"You are invited {_to(topic)}. To confirm, open this link within 48 hours: {link}"
            )
        kind = Kind.USER_CONFIRMATION if topic.user else Kind.CONFIRMATION
        await self._send(topic, subscription, kind, text, link, code)

    async def part(self, topic: Topic, subscription: Subscription, link: str) -> None:
        """Tell who has left, and how to come back."""
        text = (
            f"You have left. If you want {_to(topic)} again, open this link within 48 hours: {link}"
        )
        kind = Kind.USER_CONFIRMATION if topic.user else Kind.CANCELLATION
        await self._tell(topic, subscription, kind, text, link)

    async def welcome(self, topic: Topic, subscription: Subscription) -> None:
        """Tell a subscription user that has agreed how to leave, whenever it likes to."""
        if topic.user:
            link = self._links.unsubscribe(subscription)
            text = f"You have agreed {_to(topic)}. To leave, open this link: {link}"
            await self._tell(topic, subscription, Kind.USER_CANCELLATION, text, link)

    async def _tell(
        self, topic: Topic, subscription: Subscription, kind: Kind, text: str, link: str
    ) -> None:
        """Send what follows from an endpoint's own decision, which stands if it cannot be sent."""
        try:
            await self._send(topic, subscription, kind, text, link)
        except Refused as refused:
            log.warning("cancellation.unsent", extra={"reason": str(refused)})

    async def _send(
        self,
        topic: Topic,
        subscription: Subscription,
        kind: Kind,
        text: str,
        link: str | None,
        code: str | None = None,
    ) -> None:
        """The text is for adapters that have no words of their own for link and code."""
        if topic.user:
            topic = topic._replace(name=topic.user.name, display_name=topic.user.name)
        await self._publisher.address(
            topic, subscription, kind, Draft({"default": text}, code=code), link=link
        )

    async def check_code(self, subscription: Subscription, code: str) -> None:
        """Raise `Refused` unless the code is the one that was sent.

        SMN.0022 wrong, expired or used up; APIGW.0308 after too many wrong ones.
        """
        until_ms = await self._limiter.take(_GUESSES, subscription.id, _GUESS_WINDOWS)
        if until_ms:
            wait_s = max((until_ms - self._clock.now_ms()) // 1000, 1)
            raise Refused("APIGW.0308", "too many verification codes", retry_after=wait_s)
        if not await self._codes.matches(subscription, code):
            raise Refused("SMN.0022", "The verification code is wrong or has expired.")

    async def settle(self, topic: Topic, subscription: Subscription) -> None:
        """Forget what was counted against an endpoint that has confirmed, and its code."""
        subject = await self._subject(topic, subscription)
        await self._limiter.clear(_LIMIT, subject, self._of(subscription))
        if subscription.extension.get("verification_code_enabled"):
            await self._limiter.clear(_GUESSES, subscription.id, _GUESS_WINDOWS)
            await self._codes.drop(subscription)

    def link(self, subscription: Subscription) -> str:
        """The link that confirms, or subscribes again."""
        expires_ms = self._clock.now_ms() + LINK_SECONDS * 1000
        return self._links.confirm(subscription, expires_ms, subscription.topic_urn)

    async def _code(self, subscription: Subscription) -> str:
        """A new code in place of the one before."""
        code = f"{secrets.randbelow(1_000_000):06}"
        await self._codes.put(subscription, code, life_ms=LINK_SECONDS * 1000)
        return code

    async def _subject(self, topic: Topic, subscription: Subscription) -> str:
        """Whose invitations are counted together: those of one account to one endpoint."""
        project = (await self._directory.snapshot()).projects.get(topic.project_id)
        # A subscription user's topic has its account in the place of a project.
        account = project.domain_id if project else topic.project_id
        return f"{account}\n{subscription.protocol}\n{subscription.endpoint}"

    def _of(self, subscription: Subscription) -> tuple[Window, ...]:
        adapter = self._adapters.get(subscription.protocol)
        return adapter.limits.confirmations if adapter else ()


def _to(topic: Topic) -> str:
    """What an endpoint is asked to agree to."""
    if topic.user:
        return f"to receive messages as the subscription user {topic.user.name}"
    return f"to subscribe to the topic {topic.display_name or topic.urn}"
