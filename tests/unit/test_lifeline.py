import os
import subprocess
import sys

CHILD = """
import sys, signal
from engine.lifeline import die_with
die_with(int(sys.argv[1]))
print("alive", flush=True)
signal.pause()
"""
PARENT = """
import os, subprocess, sys
program = [sys.executable, "-c", sys.argv[1], str(os.getpid())]
subprocess.Popen(program, stdin=subprocess.PIPE).wait()
"""


def test_a_child_dies_with_its_parent() -> None:
    """SIGKILL of the parent ends the child: its standard output closes."""
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"alive\n"
        parent.kill()
        assert parent.stdout.read() == b""  # ends only when the child, too, has closed it


def test_a_child_that_comes_too_late_dies_at_once() -> None:
    """A child whose parent is already gone does not start to work."""
    not_the_parent = os.getppid()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(not_the_parent)], capture_output=True, check=False
    )
    assert done.returncode == -9
    assert done.stdout == b""
