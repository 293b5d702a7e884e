"""The suites, in the order in which they run: the quick ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.suites import (
    commands,
    cpu,
    email,
    email_memory,
    idle,
    isolation,
    latency,
    listing,
    memory,
    publish,
    speed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.bench import Suite

SUITES: Final[Mapping[str, Suite]] = {
    "idle": idle,
    "latency": latency,
    "commands": commands,
    "listing": listing,
    "cpu": cpu,
    "publish": publish,
    "speed": speed,
    "memory": memory,
    "isolation": isolation,
    "email": email,
    "email_memory": email_memory,
}
