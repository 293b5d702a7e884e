"""Message flow limits: which there are.

The contract's numbers are its defaults ("Resilience" of the SMN user guide); what is over a limit
is not sent. A limit holds for a window that begins with the first event and has no penalty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.models import Window
from engine.settings import FlowLimits

if TYPE_CHECKING:
    from engine.settings import Settings

_MINUTE_S: Final = 60
_TEN_MINUTES_S: Final = 600


class Scope(StrEnum):
    """What the deliveries that a limit counts have in common; narrow ones come first."""

    ENDPOINT = "endpoint"
    """One number or mailbox, for all topics of a project."""
    TOPIC = "topic"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit of the deliveries of a protocol."""

    scope: Scope
    window: Window

    def __str__(self) -> str:
        return (
            f"over the limit of {self.window.count} in {self.window.period_s} s"
            f" for one {self.scope}"
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """All limits in force; ``rules`` are those of deliveries, by protocol, narrow ones first."""

    publish: Window | None = None
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)


_SMN: Final[Mapping[str, int]] = {
    "topic_publish": 3000,
    "project_sms": 10_000,
    "project_email": 1000,
    "topic_sms": 100,
    "topic_email": 100,
    "endpoint_sms": 100,
    "endpoint_email": 100,
}


def flow_of(settings: Settings) -> Flow | None:
    """The limits that the settings turn on; None if that is none."""
    given = {name: getattr(settings, f"flow_{name}") for name in _SMN}
    usual = _SMN if settings.flow_limits is FlowLimits.SMN else {}
    counts = {
        name: usual.get(name, 0) if count is None else int(count) for name, count in given.items()
    }
    if not any(counts.values()):
        return None
    rules = {
        protocol: tuple(
            Rule(scope, Window(count, _TEN_MINUTES_S, 0))
            for scope in Scope
            if (count := counts[f"{scope}_{protocol}"])
        )
        for protocol in ("sms", "email")
    }
    count = counts["topic_publish"]
    return Flow(
        publish=Window(count, _MINUTE_S, 0) if count else None,
        rules={protocol: found for protocol, found in rules.items() if found},
    )
