"""Fault points: named places at which a process can be told to kill itself.

Set by ``TOCSIN_FAULT_POINT=name`` or ``name@n`` (die at the n-th pass). They exist so that the
kill tests can hit the moments that matter: `tests/e2e/test_nothing_lost.py`. Without the
setting a point costs one comparison.
"""

from __future__ import annotations

import os
import signal


class Faults:
    """Kills the process with SIGKILL at the configured point."""

    __slots__ = ("_left", "_point")

    def __init__(self, setting: str) -> None:
        self._point, _, count = setting.partition("@")
        self._left = int(count or 1)

    def reach(self, point: str) -> None:
        """Die here if this is the configured point and its count is used up."""
        if point != self._point:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
