"""Digests: what one subscription is owed at the same time goes out as one message.

For protocols with rates whose adapter can merge and declares that it shall. What is due is
gathered for a moment; then one turn is asked for. If there is none now, all wait for the time
that was told, in Redis as ever, and are gathered again: by whichever worker they come to.
Nothing is reserved ahead, so that the backlog shares the next free turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from engine.models import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from engine.pipeline.batch import Batch, Delivery
    from engine.ports import Merging

Content = TypeVar("Content")

_GATHER_S = 0.25
"""As long as what came due together takes to be read again, a few batches at a time."""


def merges(batch: Batch) -> bool:
    """Whether the deliveries of a batch may share a message with others.

    Not those that are addressed: a probe or an invitation is about itself.
    """
    message = batch.message
    return batch.adapter.limits.digest and message is not None and message.kind is Kind.NOTIFICATION


class Gathering:
    """Gathers deliveries to a subscription for a moment, then has them sent together."""

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        send: Callable[[list[Delivery]], Awaitable[None]],
    ) -> None:
        self._spawn = spawn
        self._send = send
        self._open: dict[str, list[Delivery]] = {}

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries; the first to a subscription begins its gathering."""
        for delivery in deliveries:
            identifier = delivery.entry.id
            gathered = self._open.setdefault(identifier, [])
            gathered.append(delivery)
            if len(gathered) == 1:
                self._spawn(self._gather(identifier))

    async def _gather(self, identifier: str) -> None:
        await asyncio.sleep(_GATHER_S)
        await self._send(self._open.pop(identifier))


def in_order(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Deliveries of one topic as their messages were published."""
    return sorted(deliveries, key=lambda delivery: delivery.batch.sequence)


def merged(adapter: Merging[Content, Any], contents: Sequence[Content]) -> tuple[Content, int]:
    """One content of as many of the first as fit into a message, and how many those are.

    The first goes in any case, and as it is if it goes alone.
    """
    best, fitting, too_many = contents[0], 1, len(contents) + 1
    trying = len(contents)
    while fitting < trying < too_many:
        content = adapter.merge(contents[:trying])
        if adapter.size(content) <= adapter.limits.max_bytes:
            best, fitting = content, trying
        else:
            too_many = trying
        trying = (fitting + too_many) // 2
    return best, fitting
