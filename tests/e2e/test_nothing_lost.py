"""Whoever is killed, and whenever: nothing that was accepted is lost.

`killing.scenario` publishes to a few hundred subscribers, a fifth of which fail at first, while
API, workers, database and supervisor are killed; the subscribers are a process of their own
that remembers every request. `killing.verdict` compares. That it would notice a loss or a
repeat is shown by running it on workers with a promise broken on purpose.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.killing.scenario import run_scenario
from tests.e2e.killing.services import Whole, Workers

_KINDS = ("api", "worker", "database", "serve")
_LIVES = (
    ("", ("api", "worker", "worker", "database", "worker")),
    ("settle:after@100", ("worker", "database", "worker", "api", "worker")),
    ("accept:after@5", ("worker", "database", "worker")),
    ("settle:before@100", ("api", "database", "worker", "worker")),
)
"""The lives of a service: its fault point, and whom to kill before the service itself."""
_SECONDS = 60.0


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of the run, printed; ``--kill-seed`` gives one."""
    given = request.config.getoption("--kill-seed")
    found = random.SystemRandom().randrange(2**32) if given is None else int(given)
    print(f"--kill-seed {found}")  # noqa: T201 - shown when it fails
    return found


def _order(seed: int, seconds: float) -> tuple[list[str], list[str]]:
    """Fault points of one life after another, and whom to kill; longer runs have more lives."""
    chance = random.Random(seed)
    faults, order = [], []
    for _ in range(max(1, round(seconds / _SECONDS))):
        for fault, kinds in _LIVES:
            faults.append(fault)
            order += [*chance.sample(kinds, len(kinds)), "serve"]
    return faults, order[:-1]


@pytest.mark.timeout(0)  # its own bound follows the option
async def test_nothing_is_lost_whoever_is_killed(
    tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    """What was accepted is delivered or buried; what is repeated was in flight at a kill."""
    seconds = float(request.config.getoption("--kill-seconds"))
    faults, order = _order(seed, seconds)
    service = Whole(tmp_path, faults)
    async with asyncio.timeout(4 * seconds + 120):
        verdict = await run_scenario(service, order, seed)
    kills = Counter(kill.kind for kill in service.kills)
    by_fault = Counter(kill.kind for kill in service.kills if kill.by == "fault")
    print(f"kills {dict(kills)}, of which by fault points {dict(by_fault)}; {verdict}")  # noqa: T201 - shown when it fails
    assert kills.total() >= 20
    assert all(kills[kind] >= 3 for kind in _KINDS), kills
    assert verdict.owed > 2000, "too little happened"
    assert not verdict.lost, (verdict.lost[:20], verdict.notes)
    assert not verdict.strangers, verdict.strangers[:20]
    assert not verdict.unexplained, verdict.unexplained[:20]
    assert verdict.duplicates <= verdict.bound


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("nothing", marks=pytest.mark.slow),  # the test above is the short proof
        "acknowledge-first",
        "ledger-ignored",
    ],
)
async def test_the_check_notices_a_broken_promise(tmp_path: Path, seed: int, variant: str) -> None:
    """Acknowledging before writing loses, ignoring the ledger repeats; else neither happens."""
    service = Workers(tmp_path, variant)
    verdict = await run_scenario(service, ["worker"] * 3, seed)
    print(verdict)  # noqa: T201 - shown when it fails
    assert not verdict.strangers
    assert bool(verdict.lost) == (variant == "acknowledge-first"), (verdict.lost[:20], service.log)
    assert bool(verdict.unexplained) == (variant == "ledger-ignored"), verdict.unexplained[:20]
