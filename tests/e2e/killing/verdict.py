"""From what was accepted, what arrived and who was killed when: what was lost or repeated.

A pair may be sent again after its success only if a kill fell between the success and its
record. So each repeat must be *explained*: its earlier success was answered less than
`SETTLE_S` before a kill, or while the database was away, or was in flight at the kill. The
number of deliveries that each kill could so repeat is the bound for duplicates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

SETTLE_S: Final = 2.0
"""An outcome's longest way into the ledger: the slowest flush interval (1 s), and a busy disk."""
BACK_OFF_S: Final = 5.0
"""The longest pause of a settle that found no database."""

Pair = tuple[str, str]


@dataclass
class Kill:
    """A process that ended by SIGKILL; times by the monotonic clock."""

    kind: str
    at: float
    by: str
    back: float | None = None
    """When the database answered again; for kills that took it along."""


class Window(NamedTuple):
    """What was answered between these times, or was in flight at the second, may be repeated."""

    start: float
    end: float


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
    unexplained: list[Pair]
    bound: int
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.accepted} messages accepted, {self.owed} deliveries owed, {self.delivered}"
            f" delivered, {self.buried} buried, {len(self.lost)} lost, {self.duplicates}"
            f" duplicates of at most {self.bound}, {len(self.unexplained)} unexplained"
        )


def windows(kills: Iterable[Kill]) -> list[Window]:
    """For each kill of somebody who holds outcomes, from when on they may be unrecorded."""
    ordered = sorted(kills, key=lambda kill: kill.at)
    outages = [(k.at, k.back + BACK_OFF_S) for k in ordered if k.back is not None]
    found = []
    for kill in ordered:
        if kill.kind == "api":
            continue
        start = kill.at - SETTLE_S
        for down, up in sorted(outages, reverse=True):
            if down < kill.at and start < up:
                start = min(start, down - SETTLE_S)
        found.append(Window(start, kill.at if kill.back is None else kill.back + BACK_OFF_S))
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
    risky = windows(kills)
    unexplained = []
    duplicates = 0
    for pair, several in successes.items():
        earlier = sorted(several, key=lambda delivery: delivery.answered)[:-1]
        duplicates += len(earlier)
        unexplained += [pair for delivery in earlier if not _at_risk(delivery, risky)]
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


def _within(delivery: Delivery, window: Window) -> bool:
    return delivery.answered >= window.start and delivery.arrived <= window.end
