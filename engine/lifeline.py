"""A child process does not outlive its parent, however the parent dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # <sys/prctl.h>


def die_with(parent: int) -> None:
    """Have this process killed as soon as its parent, process ``parent``, is gone.

    SIGKILL, because a drain without a supervisor would race with the next start on the same
    directory; a crash at any moment is something the data path is made for.
    """
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch_pipe, daemon=True).start()
    if os.getppid() != parent:  # it died before the request was in place
        os.kill(os.getpid(), signal.SIGKILL)


def _watch_pipe() -> None:
    """Standard input is a pipe that only the parent holds open: its end is the parent's."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
