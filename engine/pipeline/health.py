"""Endpoint health, shared by all workers: failures are counted in Redis, parked ones known here.

An endpoint with too many failed attempts in a window is parked: its deliveries wait without
spending tries. When its time is up one worker may send one probe; a success reopens it.
Nothing is asked of Redis for endpoints that answer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StoreError
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from engine.pipeline.pages import EndpointState
    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.events import Events
    from engine.store.keys import Keys
    from engine.vault import Vault

log = logging.getLogger(__name__)

_HEALTH = script(__file__, "health")
_REPORT_S = 0.2
_CALL_ENDPOINTS = 256
_PROBE_MS = 10_000
_KNOWN = 100_000


class _Failures(NamedTuple):
    """Failed attempts of an endpoint that are not reported yet."""

    attempts: int
    shown: str
    topic_id: str


class Health:
    """What is known of endpoints that fail."""

    def __init__(
        self, store: Store, keys: Keys, vault: Vault, settings: Settings, events: Events
    ) -> None:
        self._events = events
        self._store = store
        self._keys = keys
        self._vault = vault
        self._settings = settings
        self._failures: dict[str, _Failures] = {}
        self._probing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.parked: dict[str, int] = {}
        """Digest → time in ms until which the endpoint is left alone."""

    def until_ms(self, state: EndpointState, now_ms: int) -> int:
        """The time until which to leave an endpoint alone; 0 = it may be tried now.

        Once its time is up the first caller's question reserves the probe; until that is
        granted the endpoint stays parked for everybody.
        """
        digest = self._digest(state)
        until = self.parked.get(digest, 0)
        if until == 0 or digest in self._probing:
            self._probing.discard(digest)
            return 0
        if until <= now_ms:
            self.parked[digest] = now_ms + _PROBE_MS
            self._spawn(self._probe(digest))
            return now_ms + 1
        return until

    def failed(self, state: EndpointState, topic_id: str) -> None:
        """Count a failed attempt; reported with others a little later."""
        digest = self._digest(state)
        known = self._failures.get(digest)
        count = known.attempts + 1 if known else 1
        self._failures[digest] = _Failures(count, state.shown, topic_id)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_REPORT_S, self._report)

    def succeeded(self, state: EndpointState) -> None:
        """An endpoint answers again; tell the others if it was parked."""
        if not self.parked:
            return
        digest = self._digest(state)
        if self.parked.pop(digest, None) is not None:
            self._spawn(self._reopen(digest))

    def learn(self, shard: int, parked: dict[str, int]) -> None:
        """Take over what a poll read of one shard."""
        for digest in [d for d in self.parked if self._keys.shard_of_hash(d) == shard]:
            if digest not in parked:
                del self.parked[digest]
        if len(self.parked) + len(parked) <= _KNOWN:
            self.parked.update(parked)

    async def close(self) -> None:
        """Report what is left and stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._report()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _digest(self, state: EndpointState) -> str:
        if not state.digest:
            state.digest = self._vault.keyed_hash(state.peer, "health")
        return state.digest

    def _report(self) -> None:
        self._timer = None
        failures, self._failures = self._failures, {}
        if failures:
            self._spawn(self._count(failures))

    async def _probe(self, digest: str) -> None:
        for until in await self._ask("probe", [(digest, 0)]):
            if until == 0:
                self._probing.add(digest)
                self.parked[digest] = self._store.clock.now_ms()
            else:
                self.parked[digest] = until

    async def _reopen(self, digest: str) -> None:
        await self._ask("succeeded", [(digest, 0)])
        log.info("endpoint.reopened", extra={"endpoint": digest})

    async def _count(self, failures: dict[str, _Failures]) -> None:
        by_shard: dict[int, list[tuple[str, int]]] = {}
        for digest, failed in failures.items():
            shard = self._keys.shard_of_hash(digest)
            by_shard.setdefault(shard, []).append((digest, failed.attempts))
        for several in by_shard.values():
            for start in range(0, len(several), _CALL_ENDPOINTS):
                part = several[start : start + _CALL_ENDPOINTS]
                for (digest, _), until in zip(part, await self._ask("failed", part), strict=True):
                    if until:
                        self.parked[digest] = abs(until)
                    if until < 0:
                        await self._announce(failures[digest], -until)

    async def _announce(self, failed: _Failures, until_ms: int) -> None:
        log.warning(
            "endpoint.blacklisted",
            extra={"topic_id": failed.topic_id, "endpoint": failed.shown, "until_ms": until_ms},
        )
        try:
            await self._events.record(
                "endpoint.blacklisted",
                topic_id=failed.topic_id,
                endpoint=failed.shown,
                recovery_time=until_ms,
            )
        except StoreError as error:
            log.warning("event.unrecorded", extra={"error": str(error)})

    async def _ask(self, mode: str, endpoints: Iterable[tuple[str, int]]) -> list[int]:
        listed = list(endpoints)
        settings, keys = self._settings, self._keys
        shard = keys.shard_of_hash(listed[0][0])
        try:
            replies = await self._store.run(
                _HEALTH,
                [keys.parked(shard), *(keys.fails(digest) for digest, _ in listed)],
                [
                    mode,
                    settings.blacklist_failures,
                    int(settings.blacklist_window * 1000),
                    int(settings.blacklist_seconds * 1000),
                    _PROBE_MS,
                    *(part for endpoint in listed for part in endpoint),
                ],
            )
        except StoreError as error:
            # Health is advice: without it deliveries are tried and fail on their own.
            log.warning("health.unreported", extra={"mode": mode, "error": str(error)})
            return [0] * len(listed)
        return [int(reply) for reply in replies]

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
