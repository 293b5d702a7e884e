"""The stand-in for PR_SET_PDEATHSIG where the kernel has none: a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import embedded_child

_ELSEWHERE = """
import runpy, sys
sys.platform = "elsewhere"
file, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(file, run_name="__main__")
"""


class Child:
    """A program started as on a system without PR_SET_PDEATHSIG."""

    def __init__(self, *program: str) -> None:
        theirs, self.pipe = os.pipe()
        command = [sys.executable, "-IS", "-c", _ELSEWHERE, embedded_child.__file__]
        self.process = subprocess.Popen(
            [*command, str(os.getpid()), str(theirs), *program], pass_fds=[theirs]
        )
        os.close(theirs)

    def lose_parent(self) -> None:
        """What the death of this process would do: close the pipe."""
        pipe, self.pipe = self.pipe, -1
        if pipe >= 0:
            os.close(pipe)


@pytest.fixture
def sleeper() -> Iterator[Child]:
    """A program that would sleep on."""
    child = Child("/bin/sleep", "60")
    yield child
    child.lose_parent()
    child.process.kill()
    child.process.wait()


def test_the_program_keeps_its_process_id(sleeper: Child) -> None:
    """Who started it can wait for it and signal it as if it had started it directly."""
    name = Path(f"/proc/{sleeper.process.pid}/comm")
    deadline = time.monotonic() + 5
    while name.read_text() != "sleep\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_program_dies_when_the_pipe_closes(sleeper: Child) -> None:
    """The parent's end of the pipe closes with the parent, and that kills the program."""
    sleeper.lose_parent()
    assert sleeper.process.wait(timeout=5) == -9


def test_the_watcher_leaves_others_alone() -> None:
    """When the program has ended by itself nobody is killed in its place."""
    child = Child("/bin/true")
    assert child.process.wait(timeout=5) == 0
    child.lose_parent()
