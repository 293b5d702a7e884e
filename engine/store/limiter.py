"""The one limiter, shared by all processes: windows with penalties, and rates.

Who is limited is hashed with the master key, so that limits tell nothing of endpoints.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.policy.rates import spacing
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.models import Rate, Window
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.store.scripts import Script
    from engine.vault import Vault

_LIMITER = script(__file__, "limiter")
_RESERVE = script(__file__, "reserve")
_HOLD = script(__file__, "hold")


class Ask(NamedTuple):
    """A wish for up to so many events of a subject in a window."""

    purpose: str
    subject: str
    window: Window
    events: int


class Grant(NamedTuple):
    """How many events were allowed, and which window, by its start, they were counted in."""

    events: int
    start_ms: int


class Limiter:
    """Counts events against limits that others declare."""

    def __init__(self, store: Store, keys: Keys, vault: Vault) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault

    async def take(self, purpose: str, subject: str, windows: Sequence[Window]) -> int:
        """Count one event; 0 if it is allowed, else the time in ms until which it is not.

        Sent once only: a repeated call would count twice.
        """
        if not windows:
            return 0
        digest = self._digest(purpose, subject)
        args: list[str | int] = ["take"]
        for window in windows:
            args += (window.count, window.period_s * 1000, window.penalty_s * 1000)
        reply = await self._store.run(
            _LIMITER, self._names(digest, len(windows)), args, repeat=False
        )
        return int(reply)

    async def reserve(
        self, purpose: str, subjects: Sequence[str], rates: Sequence[Rate], *, before_ms: int
    ) -> list[int]:
        """Reserve one attempt for each subject; the times in ms at which each may be made.

        A time that is not before ``before_ms`` is told and not reserved. One call a shard,
        whatever the number of subjects; it may be repeated.
        """
        windows = [number for window in spacing(rates) for number in window]
        args: list[str | int] = [secrets.token_hex(8), before_ms, *windows]
        digests = [self._digest(purpose, subject) for subject in subjects]
        return [int(at) for at in await self._each_shard(_RESERVE, digests, lambda _: args)]

    async def hold(
        self, purpose: str, subject: str, rates: Sequence[Rate], *, until_ms: int
    ) -> None:
        """Let no time before ``until_ms`` be reserved any more; what is reserved stays."""
        longest_ms = max(period_ms for _, period_ms in spacing(rates))
        key = self._keys.limit(self._digest(purpose, subject))
        await self._store.run(_HOLD, [key], [until_ms, longest_ms])

    async def blocked(self, purpose: str, subject: str, windows: Sequence[Window]) -> int:
        """The time in ms until which a penalty lasts, 0 if there is none; nothing is counted."""
        names = self._names(self._digest(purpose, subject), len(windows))
        commands = [("HGET", name, "until") for name in names]
        replies = await self._store.call_many(commands, key=names[0], repeatable=True)
        until_ms = max(int(reply or 0) for reply in replies)
        return until_ms if until_ms > self._store.clock.now_ms() else 0

    async def grant(self, asks: Sequence[Ask]) -> list[Grant]:
        """Count of each wish as many events as its window has room for.

        Windows are asked for themselves, in one call a shard; what is not used after all goes
        back with `give_back`. Penalties do not apply. Sent once only.
        """
        args = [(ask.window.count, ask.window.period_s * 1000, ask.events) for ask in asks]
        replies = await self._by_shard("grant", asks, args)
        return [Grant(int(events), int(start)) for events, start in replies]

    async def give_back(
        self, asks: Sequence[Ask], grants: Sequence[Grant], unused: Sequence[int]
    ) -> None:
        """Uncount what was granted and not used, unless its window has passed."""
        chosen = [i for i, count in enumerate(unused) if count]
        if not chosen:
            return
        given = [asks[i] for i in chosen]
        args = [(grants[i].start_ms, unused[i]) for i in chosen]
        await self._by_shard("give", given, args)

    async def _by_shard(
        self, mode: str, asks: Sequence[Ask], args: Sequence[tuple[int, ...]]
    ) -> list[Any]:
        """Run the limiter once a shard; replies in the order of ``asks``. Sent once only."""
        return await self._each_shard(
            _LIMITER,
            [self._digest(ask.purpose, ask.subject) for ask in asks],
            lambda positions: [mode, *(arg for i in positions for arg in args[i])],
            repeat=False,
        )

    async def _each_shard(
        self,
        script: Script,
        digests: Sequence[str],
        args: Callable[[Sequence[int]], Sequence[str | int]],
        *,
        repeat: bool = True,
    ) -> list[Any]:
        """Run a script once a shard, all at the same time; replies in the order of ``digests``.

        ``args`` makes a call's arguments for the positions of its digests.
        """
        by_shard: dict[int, list[int]] = {}
        for position, digest in enumerate(digests):
            by_shard.setdefault(self._keys.shard_of_hash(digest), []).append(position)
        parts = await asyncio.gather(
            *(
                self._store.run(
                    script,
                    [self._keys.limit(digests[i]) for i in positions],
                    args(positions),
                    repeat=repeat,
                )
                for positions in by_shard.values()
            )
        )
        replies: list[Any] = [None] * len(digests)
        for positions, part in zip(by_shard.values(), parts, strict=True):
            for position, reply in zip(positions, part, strict=True):
                replies[position] = reply
        return replies

    async def clear(self, purpose: str, subject: str, windows: Sequence[Window]) -> None:
        """Forget what was counted for a subject."""
        if windows:
            names = self._names(self._digest(purpose, subject), len(windows))
            await self._store.call("DEL", *names, repeatable=True)

    def _digest(self, purpose: str, subject: str) -> str:
        return self._vault.keyed_hash(subject, f"limit:{purpose}")

    def _names(self, digest: str, count: int) -> list[str]:
        key = self._keys.limit(digest)
        return [f"{key}:{number}" for number in range(count)]
