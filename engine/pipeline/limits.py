"""Message flow control: what is published too often is refused, what is sent too often is ended.

Built only if a limit is on; everything else checks for None. Who counts is the store's limiter.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, assert_never

from engine.errors import Refused, StoreError
from engine.models import End, Kind
from engine.pipeline.batch import Try
from engine.policy.limits import Scope
from engine.store.ledger import Waiting
from engine.store.limiter import Ask

if TYPE_CHECKING:
    from engine.models import Message, Topic
    from engine.pipeline.batch import Batch, Delivery
    from engine.policy.limits import Flow, Rule
    from engine.ports import Clock
    from engine.store.limiter import Grant, Limiter

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
        and a redriven one is its operator's decision. What it took from one limit and does not
        use for another's sake is given back.
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
        """The deliveries that must not go, and for which limit's sake.

        Narrow limits first, and wider ones only for what passed: otherwise what a full number
        refuses would use up its topic's share meanwhile, and others be refused for nothing.
        """
        going = fresh
        refused: list[tuple[Delivery, Rule]] = []
        charged: list[tuple[Ask, Grant, list[Delivery]]] = []
        for rule in self._flow.rules[batch.protocol]:
            if rule.scope is Scope.TOPIC and message.kind is Kind.DIRECT:
                continue  # it has no topic, but its project's or application's home
            alone = rule.scope is Scope.ENDPOINT
            groups = [[delivery] for delivery in going] if alone else [going]
            asks = [_ask(rule, batch.protocol, message, group) for group in groups]
            grants = await self._limiter.grant(asks)
            going = []
            for ask, grant, group in zip(asks, grants, groups, strict=True):
                going += group[: grant.events]
                refused += [(delivery, rule) for delivery in group[grant.events :]]
                charged.append((ask, grant, group[: grant.events]))
            if not going:
                break
        await self._give_back(batch, charged, {delivery.seat for delivery in going})
        return refused

    async def _give_back(
        self, batch: Batch, charged: list[tuple[Ask, Grant, list[Delivery]]], going: set[int]
    ) -> None:
        """Uncount what passed one limit and was refused by a later one."""
        unused = [sum(d.seat not in going for d in group) for _, _, group in charged]
        asks, grants = [ask for ask, _, _ in charged], [grant for _, grant, _ in charged]
        try:
            await self._limiter.give_back(asks, grants, unused)
        except StoreError as error:
            # They count as sent until their windows have passed.
            log.warning("limiter.failed", extra={"protocol": batch.protocol, "error": str(error)})


def _ask(rule: Rule, protocol: str, message: Message, group: list[Delivery]) -> Ask:
    subject: tuple[str, ...]
    match rule.scope:
        case Scope.ENDPOINT:
            subject = (protocol, message.project_id, group[0].entry.state.peer)
        case Scope.TOPIC:
            subject = (protocol, message.topic_id)
        case Scope.PROJECT:
            subject = (protocol, message.project_id)
        case _:
            assert_never(rule.scope)
    return Ask(f"flow:{rule.scope}", "\n".join(subject), rule.window, len(group))
