"""The audit: records what callers do, and lists it.

Recording never waits and never fails: an operation goes into a short queue that a task empties
into Redis. What cannot be kept, because Redis is away or full or does not keep up, is counted
and logged, not waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import Refused, StoreError
from engine.store.audit_log import Place, place_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.models import Operation
    from engine.ports import Clock
    from engine.store.audit_log import AuditLog

_LOG: Final = logging.getLogger("tocsin.audit")
_QUEUE: Final = 2000
"""Operations that wait to be written: a burst of seconds, and at most some megabytes."""
_BATCH: Final = 100
_DRAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the audit, the newest first; ``more`` says whether there are older ones."""

    operations: tuple[Operation, ...]
    more: bool


class Audit:
    """Records and lists the operations of all projects."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._queue: deque[Operation] = deque()
        self._writer: asyncio.Task[None] | None = None
        self.lost = 0
        """Operations that could not be kept since the process began."""

    def record(self, operation: Operation) -> None:
        """Keep an operation soon; returns at once, whatever happens to it."""
        if len(self._queue) >= _QUEUE:
            self._lose(1, "the queue is full")
            return
        self._queue.append(operation)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def drain(self) -> None:
        """Write what still waits; what a slow Redis does not take in a few seconds is lost."""
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer], timeout=_DRAIN_S)
            if not self._writer.done():
                self._writer.cancel()
                await asyncio.wait([self._writer])
        if self._queue:
            self._lose(len(self._queue), "the process ends")
            self._queue.clear()

    async def list(
        self,
        project_id: str,
        wanted: Callable[[Operation], bool],
        *,
        limit: int,
        after_ms: int = 0,
        before_ms: int | None = None,
        below: str | None = None,
    ) -> Found:
        """Operations of a project, the newest first, recorded strictly between two times.

        ``below`` is the id of an operation: the list goes on with older ones. Raises `Refused`
        APIGW.0201 if it is no id of this project.
        """
        place = place_of(project_id, below) if below else None
        if below and place is None:
            raise Refused("APIGW.0201", "There is no such trace to go on from.")
        until_ms = self._clock.now_ms() + 1000 if before_ms is None else before_ms
        found: list[Operation] = []
        entries = self._log.newest(project_id, after_ms=after_ms, before_ms=until_ms, below=place)
        async for operation in entries:
            if not wanted(operation):
                continue
            if len(found) == limit:
                return Found(tuple(found), more=True)
            found.append(operation)
        return Found(tuple(found), more=False)

    async def find(self, project_id: str, trace_id: str) -> Operation | None:
        """The operation with this id."""
        return await self._log.find(project_id, trace_id)

    async def follow(
        self, project_id: str, after: Operation | None, since_ms: int
    ) -> AsyncIterator[Operation]:
        """Operations as they are recorded, behind one, or since a time if there is none."""
        place = place_of(project_id, after.id) if after is not None else None
        async for operation in self._log.follow(project_id, place or Place(since_ms - 1, 0)):
            yield operation

    async def _write(self) -> None:
        while self._queue:
            by_project: dict[str, list[Operation]] = {}
            for _ in range(min(len(self._queue), _BATCH)):
                operation = self._queue.popleft()
                by_project.setdefault(operation.project_id, []).append(operation)
            for project_id, operations in by_project.items():
                try:
                    await self._log.append(project_id, operations)
                except StoreError as error:
                    self._lose(len(operations), str(error))
                except asyncio.CancelledError:
                    self._lose(len(operations), "the process ends")
                    raise

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        _LOG.warning("audit.lost", extra={"count": count, "total": self.lost, "reason": reason})
