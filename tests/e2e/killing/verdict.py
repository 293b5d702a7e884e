"""From what was accepted, what arrived and who was killed when: what was lost or repeated.

A pair may be sent again after its success only if a kill fell between the success and its
record. So each repeat must be *explained*: its earlier success was answered less than
`SETTLE_S` before a kill, or was in flight at it; if the database was away in that time nothing
was recorded since it went. The number of deliveries that each kill could so repeat is the bound
for duplicates. The death of an API repeats nothing, and neither does that of the database alone,
unless it is away for longer than a lease.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

SETTLE_S: Final = 1.5
"""An outcome's longest way into the ledger: the slowest flush interval (1 s), and a busy disk."""
LEASE_S: Final = 2.0
LATE_S: Final = 0.5
"""How long after its sender's death a request may still lie unread in the receiver's buffers."""

Pair = tuple[str, str]


class Window(NamedTuple):
    """What was answered after the first time and had arrived by the second may be repeated."""

    start: float
    end: float


@dataclass
class Kill:
    """A process that ended by SIGKILL; times by the monotonic clock."""

    kind: str
    at: float
    by: str
    back: float | None = None
    """When the database answered again, if it was the one killed."""

    @property
    def away(self) -> Window | None:
        """When no outcome was written: a settle that found no database waits, then tries again.

        Its pauses double, so that the last one is about as long as the database was away.
        """
        if self.back is None:
            return None
        return Window(self.at, self.back + (self.back - self.at) + 0.5)


class Delivery(NamedTuple):
    """A request with status 200."""

    arrived: float
    answered: float


@dataclass
class Verdict:
    """What a run showed."""

    accepted: int
    owed: int
    delivered: int
    buried: int
    lost: list[Pair]
    strangers: list[Pair]
    duplicates: int
    unexplained: list[str]
    bound: int
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = (
            f"{self.accepted} messages accepted, {self.owed} deliveries owed, {self.delivered}"
            f" delivered, {self.buried} buried, {len(self.lost)} lost, {self.duplicates}"
            f" duplicates of at most {self.bound}, {len(self.unexplained)} unexplained"
        )
        return "\n".join((told, *self.notes))


def windows(kills: Iterable[Kill]) -> list[Window]:
    """For each kill of somebody who holds outcomes, from when on they may be unrecorded."""
    found = []
    ordered = sorted(kills, key=lambda kill: kill.at)
    outages = [kill.away for kill in ordered if kill.away is not None]
    for kill in ordered:
        if kill.kind == "api" or (kill.back is not None and kill.back - kill.at < LEASE_S):
            continue
        start, end = kill.at - SETTLE_S, kill.at if kill.away is None else kill.away.end
        for away in reversed(outages):
            if away.start < end and start < away.end:
                start = min(start, away.start - SETTLE_S)
        found.append(Window(start, end + LATE_S))
    return found


def judge(
    accepted: Mapping[str, str],
    paths: Mapping[str, Sequence[str]],
    log: Iterable[Sequence[Any]],
    dead: Iterable[Pair],
    kills: Iterable[Kill],
) -> Verdict:
    """``accepted`` maps message ids to topics, ``paths`` topics to the paths of subscribers."""
    owed = {(message, path) for message, topic in accepted.items() for path in paths[topic]}
    successes: dict[Pair, list[Delivery]] = defaultdict(list)
    for message, path, arrived, answered, status in log:
        if status == 200:
            successes[message, path].append(Delivery(arrived, answered))
    buried = set(dead)
    dying = sorted(kills, key=lambda kill: kill.at)
    risky = windows(dying)
    unexplained = []
    duplicates = 0
    for pair, several in successes.items():
        earlier = sorted(several, key=lambda delivery: delivery.answered)[:-1]
        duplicates += len(earlier)
        unexplained += [
            f"{pair}: {_around(delivery, dying)}"
            for delivery in earlier
            if not _at_risk(delivery, risky)
        ]
    return Verdict(
        accepted=len(accepted),
        owed=len(owed),
        delivered=len(successes),
        buried=len(buried),
        lost=sorted(owed - successes.keys() - buried),
        strangers=sorted(successes.keys() - owed),
        duplicates=duplicates,
        unexplained=unexplained,
        bound=sum(
            _within(delivery, window)
            for several in successes.values()
            for delivery in several
            for window in risky
        ),
    )


def _at_risk(delivery: Delivery, risky: Iterable[Window]) -> bool:
    return any(_within(delivery, window) for window in risky)


def _around(delivery: Delivery, dying: Iterable[Kill]) -> str:
    """When a success was, told by the deaths around it."""
    near = [
        f"{kill.kind} by {kill.by} {kill.at - delivery.answered:+.2f} s"
        + (f" for {kill.back - kill.at:.2f} s" if kill.back else "")
        for kill in dying
        if -8 < kill.at - delivery.answered < 8
    ]
    return f"answered, then sent again; {', '.join(near) or 'nobody died near it'}"


def _within(delivery: Delivery, window: Window) -> bool:
    return delivery.answered >= window.start and delivery.arrived <= window.end
