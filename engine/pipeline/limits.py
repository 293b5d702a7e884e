"""Message flow control: what is published too often is refused, what is sent too often is ended.

Built only if a limit is on; everything else checks for None. Who counts is the store's limiter.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from engine.errors import Refused, StoreError
from engine.models import End, Kind
from engine.pipeline.batch import Try
from engine.policy.limits import Scope, may_go
from engine.store.ledger import Waiting
from engine.store.limiter import Ask

if TYPE_CHECKING:
    from engine.models import Message, Topic
    from engine.pipeline.batch import Batch, Delivery
    from engine.policy.limits import Flow, Rule
    from engine.ports import Clock
    from engine.store.limiter import Limiter

log = logging.getLogger(__name__)

LIMITED = "limited"
"""The counter of what was not sent for a limit's sake."""
_LATER_MS = 10_000
"""What cannot be counted waits for so long and goes then: a limit is no reason to lose it."""
_COUNTED = frozenset({Kind.NOTIFICATION, Kind.DIRECT})
"""Confirmations have a flow control of their own, which looked at them before they came here."""


class FlowControl:
    """Applies the limits in force."""

    def __init__(self, flow: Flow, limiter: Limiter, clock: Clock) -> None:
        self._flow = flow
        self._limiter = limiter
        self._clock = clock

    async def check_publish(self, topic: Topic) -> None:
        """Count one message to a topic; raises `Refused` APIGW.0308 if that is one too many."""
        window = self._flow.publish
        if window is None:
            return
        until_ms = await self._limiter.take("flow:publish", topic.id, [window])
        if until_ms:
            wait_s = max(math.ceil((until_ms - self._clock.now_ms()) / 1000), 1)
            raise Refused(
                "APIGW.0308",
                f"{window.count} messages a minute to one topic",
                retry_after=wait_s,
            )

    def concerns(self, batch: Batch) -> bool:
        """Whether the deliveries of a batch are limited."""
        message = batch.message
        return (
            message is not None
            and batch.protocol in self._flow.rules
            and message.kind in _COUNTED
            and self._clock.now_ms() < batch.deadline_ms
        )

    async def let_through(self, batch: Batch, due: list[Delivery]) -> list[Delivery]:
        """End the deliveries that are over a limit; returns the others.

        A delivery counts once, before its first attempt: one that has waited has been counted,
        and a redriven one is its operator's decision. All limits are asked together; what a
        delivery took from one and does not use for another's sake is given back.
        """
        waiting = batch.row.waiting
        fresh = [delivery for delivery in due if delivery.seat not in waiting]
        if batch.message is None or not fresh:
            return due
        try:
            refused = await self._refused(batch, batch.message, fresh)
        except StoreError as error:
            log.warning("limiter.failed", extra={"protocol": batch.protocol, "error": str(error)})
            later_ms = self._clock.now_ms() + _LATER_MS
            for delivery in due:
                waiting.setdefault(delivery.seat, Waiting(0, later_ms, delivery.entry.id))
            return []
        for delivery, rule in refused:
            entry = delivery.entry
            last = Try(delivery.tries, self._clock.now_ms(), reason=str(rule))
            batch.end(delivery.seat, entry.id, entry.shown, End.LIMITED, last)
            batch.refusals[LIMITED] = batch.refusals.get(LIMITED, 0) + 1
        ended = {delivery.seat for delivery, _ in refused}
        return [delivery for delivery in due if delivery.seat not in ended]

    async def _refused(
        self, batch: Batch, message: Message, fresh: list[Delivery]
    ) -> list[tuple[Delivery, Rule]]:
        """The deliveries that must not go, and for which limit's sake."""
        rules = self._flow.rules[batch.protocol]
        shared = [rule for rule in rules if rule.scope is not Scope.ENDPOINT]
        own = [rule for rule in rules if rule.scope is Scope.ENDPOINT]
        asks = [_ask(rule, batch.protocol, message, len(fresh)) for rule in shared]
        for rule in own:
            asks += [_ask(rule, batch.protocol, message, 1, d) for d in fresh]
        grants = await self._limiter.grant(asks)
        counts = [grant.events for grant in grants]
        common, apart = counts[: len(shared)], counts[len(shared) :]
        passes = [all(apart[i :: len(fresh)]) for i in range(len(fresh))]
        goes = may_go(passes, common)
        used = [sum(goes)] * len(shared) + [int(go) for _ in own for go in goes]
        unused = [count - use for count, use in zip(counts, used, strict=True)]
        try:
            await self._limiter.give_back(asks, grants, unused)
        except StoreError as error:
            # They count as sent until their windows have passed.
            log.warning("limiter.failed", extra={"protocol": batch.protocol, "error": str(error)})
        tightest = shared[common.index(min(common))] if shared else own[0]
        return [
            (delivery, tightest if passed else own[0])
            for delivery, passed, go in zip(fresh, passes, goes, strict=True)
            if not go
        ]


def _ask(
    rule: Rule, protocol: str, message: Message, count: int, delivery: Delivery | None = None
) -> Ask:
    subject: tuple[str, ...]
    if delivery is not None:
        subject = (protocol, message.project_id, delivery.entry.state.endpoint)
    elif rule.scope is Scope.TOPIC:
        subject = (protocol, message.topic_id)
    else:
        subject = (protocol, message.project_id)
    return Ask(f"flow:{rule.scope}", "\n".join(subject), rule.window, count)
