import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.children import Backoff, Child, Command


def _child(script: str, *arguments: str) -> Child:
    program = (sys.executable, "-c", script, *arguments)
    return Child(Command("child", program, dict(os.environ)), Backoff(first=0.01))


READY = "print('ready child', flush=True)\n"
OBEDIENT = "import signal\n" + READY + "signal.pause()"
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    + READY
    + "while 1: signal.pause()"
)


def _soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_backoff_doubles_up_to_a_bound() -> None:
    """The first restart is at once, later ones wait twice as long each time, up to a bound."""
    backoff = Backoff(first=1, most=4, good_run=10)
    assert [backoff.delay(0) for _ in range(5)] == [0, 1, 2, 4, 4]


def test_a_good_run_forgets_the_backoff() -> None:
    """A child that ran for a while is restarted at once again."""
    backoff = Backoff(first=1, most=4, good_run=10)
    for _ in range(3):
        backoff.delay(0)
    assert backoff.delay(11) == 0


async def test_a_dead_child_is_started_again() -> None:
    """A child that is killed comes back as another process."""
    child = _child(OBEDIENT)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    first = child.pid
    assert first is not None
    child.ready.clear()
    os.kill(first, signal.SIGKILL)
    await child.ready.wait()
    assert child.pid != first
    await child.stop(_soon(5))
    await keeping


async def test_a_child_is_asked_before_it_is_cut() -> None:
    """SIGTERM ends a child that listens to it; it is not restarted."""
    child = _child(OBEDIENT)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    await child.stop(_soon(5))
    await keeping
    assert child.pid is None


async def test_a_child_that_does_not_listen_is_cut() -> None:
    """A child that ignores SIGTERM is killed at the deadline."""
    child = _child(STUBBORN)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    await child.stop(_soon(0.1))
    await keeping


async def test_a_refusal_is_not_repeated() -> None:
    """A child that refuses its configuration before it is ready is not started again."""
    child = _child("raise SystemExit(2)")
    await child.keep()
    assert child.refused


async def test_a_failure_that_may_pass_is_repeated(tmp_path: Path) -> None:
    """A child that fails at first is started until it works."""
    mark = tmp_path / "tried"
    script = (
        "import pathlib, signal, sys\n"
        "mark = pathlib.Path(sys.argv[1])\n"
        "if not mark.exists():\n"
        "    mark.touch()\n"
        "    raise SystemExit(1)\n" + OBEDIENT
    )
    child = _child(script, str(mark))
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    await child.stop(_soon(5))
    await keeping


async def test_what_else_it_says_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only the ready line is ours; other output must not get lost."""
    child = _child("print('a remark', flush=True)\n" + OBEDIENT)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    await child.stop(_soon(5))
    await keeping
    captured = capsys.readouterr()
    assert captured.err == "a remark\n"
    assert captured.out == ""


async def test_an_endless_line_does_no_harm() -> None:
    """A child may write more in one line than is read at once, and still gets ready."""
    child = _child("print('x' * 1_000_000)\n" + OBEDIENT)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    await child.stop(_soon(5))
    await keeping


async def test_a_cancelled_keeper_leaves_no_process() -> None:
    """Cancelling the keeper kills the child."""
    child = _child(OBEDIENT)
    keeping = asyncio.create_task(child.keep())
    await child.ready.wait()
    descriptor = os.pidfd_open(child.pid or 0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)
