"""Access tokens of applications: asked for when needed, kept in memory only."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.models import Outcome, Rejected

if TYPE_CHECKING:
    from engine.ports import Clock

_MOST: Final = 1000
"""Applications whose tokens are kept; the one asked for longest ago goes first."""
_EARLY_S: Final = 300
"""A token is replaced so long before it ends, as the platforms advise."""


@dataclass(frozen=True, slots=True)
class App:
    """An application's name and secret at its platform."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """What the platform gave, and for how long."""

    text: str = field(repr=False)
    seconds: int


def token_of(found: Mapping[str, Any], token: str, seconds: str) -> Token | None:
    """The token in an answer, if there is one that a header can carry."""
    text, lasts = found.get(token), found.get(seconds)
    if isinstance(text, str) and re.fullmatch("[!-~]{1,4096}", text) and isinstance(lasts, int):
        return Token(text, lasts)
    return None


class Tokens:
    """Tokens by application. ``ask`` gets one, or says what its lack means for a message."""

    def __init__(self, clock: Clock, ask: Callable[[App], Awaitable[Token | Outcome]]) -> None:
        self._clock = clock
        self._ask = ask
        self._kept: dict[App, tuple[str, int]] = {}
        self._asking: dict[App, asyncio.Task[str | Outcome]] = {}

    async def use(self, app: App, call: Callable[[str], Awaitable[Outcome | None]]) -> Outcome:
        """What a call with the application's token comes to.

        None from the call: the platform did not accept the token. It has a second one then,
        since a token may end before its time.
        """
        for _ in range(2):
            token = await self._get(app)
            if not isinstance(token, str):
                return token
            outcome = await call(token)
            if outcome is not None:
                return outcome
            if self._kept.get(app, ("", 0))[0] == token:
                del self._kept[app]
        return Rejected("the platform refuses its own access token")

    async def close(self) -> None:
        """Ask for nothing any more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _get(self, app: App) -> str | Outcome:
        """A token; all who want one at the same time share one request, and its failure."""
        kept, until_ms = self._kept.get(app, ("", 0))
        if self._clock.now_ms() < until_ms:
            return kept
        asking = self._asking.get(app)
        if asking is None:
            asking = self._asking[app] = asyncio.create_task(self._renew(app))
            asking.add_done_callback(lambda _: self._asking.pop(app, None))
        # Who is cancelled does not take it from the others.
        return await asyncio.shield(asking)

    async def _renew(self, app: App) -> str | Outcome:
        token = await self._ask(app)
        if not isinstance(token, Token):
            return token
        lasts_s = max(token.seconds - _EARLY_S, token.seconds // 2)
        self._kept.pop(app, None)
        self._kept[app] = token.text, self._clock.now_ms() + lasts_s * 1000
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return token.text
