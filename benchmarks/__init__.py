"""Benchmarks: what the engine promises about speed, isolation and rest, measured.

``python -m benchmarks`` runs every suite against real processes on loopback, prints each
goal with pass or miss, and leaves one JSON and one SVG a suite in ``benchmarks/results/``.

Everything that is compared runs on one machine in one run, alternating; every number comes
with all of its samples, the machine, the versions and the commit.
"""
