"""What the engine is measured beside: a bare loop, in turn with it, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.environment import environment

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds of so many seconds of each, after a warm-up."""

    subscriptions: int
    rounds: int
    engine_s: float
    loop_s: float
    warm_up_s: float

    @property
    def loop_warm_up_s(self) -> float:
        """A loop is warm sooner."""
        return min(1.0, self.loop_s / 4)


async def measure(module: str, job: DataclassInstance) -> list[Any]:
    """The JSON lines that a module prints which reads the job as JSON on standard input.

    In a fresh process, so that nothing of the caller slows it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(json.dumps(asdict(job)).encode())
    if process.returncode != 0:
        raise RuntimeError(f"{module} failed with status {process.returncode}")
    return [json.loads(line) for line in out.splitlines()]
