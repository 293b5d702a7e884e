"""The command line: ``python -m benchmarks [SUITE…] [--quick] [--list] [--out DIR] [--seed N]``.

Exit status: 0 all goals met (or a quick run that worked), 1 a goal missed or a suite that
failed, 2 wrong usage or a program that is not installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import secrets
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks import machine, report
from benchmarks.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Suite

_RESULTS = Path(__file__).parent / "results"
_QUIET = 0.5
"""A one-minute load above this is somebody else's work, and shows in the numbers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    from benchmarks.suites import SUITES  # noqa: PLC0415 - imports the engine: not for --help

    options = _options(arguments, list(SUITES))
    if options.list:
        for name, suite in SUITES.items():
            sys.stdout.write(f"{name:10}  {(suite.__doc__ or '').splitlines()[0]}\n")
        return 0
    try:
        machine.tool("nginx", "nginx-light")
        machine.tool("wrk", "wrk")
    except machine.MissingTool as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if machine.load()[0] > _QUIET:
        sys.stderr.write(f"the machine is busy, load {machine.load()}: numbers will be off\n")
    _open_files()
    _forget_settings()
    out = options.out or (None if options.quick else _RESULTS)
    missed = [
        name
        for name in options.suites or SUITES
        if not _run(name, SUITES[name], quick=options.quick, seed=options.seed, out=out)
    ]
    if missed:
        sys.stderr.write(f"failed or missed a goal: {', '.join(missed)}\n")
    return 1 if missed else 0


def _options(arguments: Sequence[str] | None, names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the engine against its goals.",
        epilog="example: python -m benchmarks speed latency",
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: all of them")
    parser.add_argument("--list", action="store_true", help="name the suites and stop")
    parser.add_argument("--quick", action="store_true", help="a smoke run of about a minute")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"where results go (default {_RESULTS.name}/; a quick run writes none unless told)",
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the texts")
    options = parser.parse_args(arguments)
    for name in options.suites:
        if name not in names:
            parser.error(f"there is no suite {name!r}; there are {', '.join(names)}")
    return options


def _run(name: str, suite: Suite, *, quick: bool, seed: int, out: Path | None) -> bool:
    sys.stderr.write(f"{name}\n")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as scratch:
        context = report.Context(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=machine.commit(),
            seed=seed,
            quick=quick,
            machine=machine.machine(),
            versions=machine.versions(),
            fsync=machine.fsync_ms(Path(scratch)),
        )
        try:
            result = uvloop.run(suite.run(Bench(Path(scratch), seed, quick)))
        except Exception:  # noqa: BLE001 - the other suites still run; the status tells
            traceback.print_exc()
            return False
    known = {**context.machine, "load_average_after": machine.load()}
    context = dataclasses.replace(context, machine=known)
    report.show(result, context, sys.stdout)
    if out is not None:
        report.write(result, context, out)
    sys.stderr.write(f"  {time.monotonic() - begun:.0f} s\n")
    return result.ok or quick


def _open_files() -> None:
    """Thousands of connections and listeners: take all the descriptors there are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _forget_settings() -> None:
    """A benchmark states its settings itself; the caller's would change what it measures."""
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        del os.environ[name]


if __name__ == "__main__":
    sys.exit(main())
