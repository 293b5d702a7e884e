"""The one limiter, shared by all processes: windows with penalties, and token buckets.

Who is limited is hashed with the master key, so that limits tell nothing of endpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.models import Window
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault

_LIMITER = script(__file__, "limiter")


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
        self, purpose: str, subjects: Sequence[str], *, rate: float, burst: int
    ) -> list[int]:
        """Reserve one send for each subject; the times in ms at which each may go.

        ``rate`` is per second. One call a shard, whatever the number of subjects.
        """
        by_shard: dict[int, list[int]] = {}
        digests = [self._digest(purpose, subject) for subject in subjects]
        for position, digest in enumerate(digests):
            by_shard.setdefault(self._keys.shard_of_hash(digest), []).append(position)
        times = [0] * len(subjects)
        for positions in by_shard.values():
            args: list[str | float] = ["reserve"]
            for _ in positions:
                args += (1000 / rate, burst)
            replies = await self._store.run(
                _LIMITER,
                [self._keys.limit(digests[position]) for position in positions],
                args,
                repeat=False,
            )
            for position, reply in zip(positions, replies, strict=True):
                times[position] = int(reply)
        return times

    async def blocked(self, purpose: str, subject: str, windows: Sequence[Window]) -> int:
        """The time in ms until which a penalty lasts, 0 if there is none; nothing is counted."""
        names = self._names(self._digest(purpose, subject), len(windows))
        commands = [("HGET", name, "until") for name in names]
        replies = await self._store.call_many(commands, key=names[0], repeatable=True)
        until_ms = max(int(reply or 0) for reply in replies)
        return until_ms if until_ms > self._store.clock.now_ms() else 0

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
