"""What every command does alike: run a loop, say what went wrong in one sentence."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

from engine.errors import AdapterError, ConfigurationError, StoreUnfit, TocsinError
from engine.settings import Settings

Result = TypeVar("Result")

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
_MANY_FILES = 65_536
_YOUNG_OBJECTS = 20_000


def run(main: Callable[[], Coroutine[Any, Any, Result]], *, fast: bool = True) -> Result:
    """Run ``main()`` on a fresh loop: uvloop's, or asyncio's own where not ``fast``.

    An error of ours ends the process with one sentence on standard error: status 2 if the
    operator must change something first, 1 if trying again may help.
    """
    _allow_connections()
    try:
        with asyncio.Runner(loop_factory=_uvloop if fast else None) as runner:
            return runner.run(main())
    except (ConfigurationError, AdapterError, StoreUnfit) as error:
        give_up(error, MISUSED)
    except TocsinError as error:
        give_up(error, FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _allow_connections() -> None:
    """Raise the soft limit of open files to the hard one: a worker holds thousands of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, _MANY_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def give_up(error: TocsinError, status: int) -> NoReturn:
    """End the process with the error's sentence."""
    print(f"tocsin: {error}", file=sys.stderr)  # noqa: T201 - a person reads this
    sys.exit(status)


def read_settings(given: Mapping[str, Any]) -> Settings:
    """The settings of a process that joins others; raises `ConfigurationError`."""
    settings = Settings.read(**given)
    if not settings.redis:
        raise ConfigurationError(
            "Name a database with --redis URL; `tocsin serve` is the command that brings its own."
        )
    return settings


def announce(line: str) -> None:
    """Print the one line that a supervisor or a script waits for."""
    print(line, flush=True)  # noqa: T201 - the command's product


def collect_seldom() -> None:
    """Look for garbage in cycles less often, and never among what start-up has made.

    The hot paths make many short-lived objects and hardly a cycle; Python's default looks after
    every 700 of them, which costs a worker a tenth of its processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def drain_on_signal() -> asyncio.Event:
    """An event that SIGUSR1 sets: from then on nothing new is taken, until the stop comes."""
    drain = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, drain.set)
    return drain


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM, SIGINT or SIGHUP sets; call it inside the running loop.

    SIGHUP counts unless it was ignored from the start, as by nohup. A second SIGINT interrupts
    at once: whoever presses Ctrl-C twice does not want to wait.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop
