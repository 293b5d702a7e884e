"""Stage 2: fill a lane from the backlog, a quantum at a time.

The inbox holds each topic with a backlog once; a quantum takes its first pages and sends the
topic to the tail. So a message to a million subscribers, or a hundred thousand messages to one
topic, delay others by a quantum. `accept` plans the first quantum itself; the rest is planned
whenever a worker reads from the lane, and by every poll.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pipeline.accept import LANE_LIMIT, QUANTUM_PAGES
from engine.store.keys import GROUP
from engine.store.scripts import Script, script

if TYPE_CHECKING:
    from engine.store.keys import Keys

_PLAN = script(__file__, "plan")


def plan_call(
    keys: Keys, shard: int, protocol: str
) -> tuple[Script, tuple[str, ...], tuple[int | str, ...]]:
    """The script call that plans one quantum of a lane."""
    return (
        _PLAN,
        (
            keys.inbox(shard, protocol),
            keys.backlog(shard, protocol),
            keys.lane(shard, protocol),
            keys.retry(shard, protocol),
        ),
        (QUANTUM_PAGES, LANE_LIMIT, GROUP),
    )
