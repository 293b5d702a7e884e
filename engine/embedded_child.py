"""Become a program that dies when the process that started it does.

Run as a file, by a bare interpreter: ``python -IS embedded_child.py PARENT PIPE PROGRAM …``.
It replaces itself by the program, which keeps the process id, the session and the inherited
descriptors. PARENT is the id of the process that started it; PIPE the descriptor of a pipe
whose other end only that process holds.

Linux kills the program when the *thread* that started it ends (PR_SET_PDEATHSIG, prctl(2));
it must be the thread of the event loop. Elsewhere a small process waits for the pipe to
close. The signal is SIGKILL: whoever acknowledges only what is on disk loses nothing by it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arrange the death, then become the program."""
    parent, pipe, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        os.close(pipe)
        _die_with(parent)
    elif os.fork() == 0:
        _watch(pipe, os.getppid())
    else:
        os.close(pipe)
    os.execv(program[0], program)  # noqa: S606 - becoming that program is the point


def _die_with(parent: int) -> None:
    import ctypes  # noqa: PLC0415 - a tenth of the start's time, and only Linux needs it

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the kernel knew that we care.
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(pipe: int, program: int) -> None:
    """Wait until the parent's end of the pipe closes, then kill the program if it still runs."""
    # The directory lock must go when the program does: keep nothing but the pipe.
    os.closerange(0, pipe)
    os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
    os.read(pipe, 1)
    if os.getppid() == program:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
