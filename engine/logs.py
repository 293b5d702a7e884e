"""How a process writes its log: one line an event on standard error.

    2026-11-23T16:31:00.123Z INFO api[4242] message.accepted topic=news pages=40

The message is the event's dotted name, its fields come by ``extra``. Values with spaces,
quotes or line breaks are JSON strings, so an event is always one line. A library configures
nothing: only the command line calls `configure`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN: Final = re.compile(r"[\w.,:;/@+*%\[\]()<>-]+", re.ASCII)


class EventHandler(logging.Handler):
    """Writes each record as ``time level process event key=value …`` to a stream.

    What comes in one turn of an event loop is written at its end, with one call.
    """

    def __init__(self, process: str, stream: TextIO) -> None:
        super().__init__()
        self._process = f"{process}[{os.getpid()}]"
        self._stream = stream
        self._lines: list[str] = []
        self._held = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record, whatever it holds."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        try:
            self.write(record.created, record.levelname, record.getMessage(), fields)
            if record.levelno >= logging.WARNING:
                self.flush()  # it may be the last thing that this process says
        except Exception:  # noqa: BLE001 - logging's own rule: a log line never breaks its writer
            self.handleError(record)

    def write(self, created: float, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Take in one event; ``created`` is in seconds since the epoch."""
        second = int(created)
        words = [
            f"{_second(second)}.{int((created - second) * 1000):03d}Z {level} {self._process}",
            event if event.isprintable() else json.dumps(event),
        ]
        for name, value in fields.items():
            text = value if type(value) is str else str(value)
            if not _PLAIN.fullmatch(text):
                text = json.dumps(text, ensure_ascii=False)
            words.append(f"{name}={text}")
        line = " ".join(words)
        with self._held:
            self._lines.append(line)
            first = len(self._lines) == 1
        if first:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # no loop runs in this thread: there is no end of a turn
                self.flush()

    def flush(self) -> None:
        """Write what was taken in."""
        with self._held:
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


def note(logger: logging.Logger, event: str, fields: Mapping[str, object]) -> None:
    """An event of level INFO, for what happens thousands of times a second.

    The same as ``logger.info(event, extra=fields)``, without what that costs where nobody but
    our own handler listens.
    """
    handlers = logging.root.handlers
    if not logger.isEnabledFor(logging.INFO):
        return
    if len(handlers) == 1 and type(handlers[0]) is EventHandler and not logger.handlers:
        handlers[0].write(time.time(), "INFO", event, fields)
    else:
        logger.info(event, extra=fields)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """A busy process writes thousands of lines in the same one."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def configure(process: str, level: int = logging.INFO) -> None:
    """Send the log of this process to standard error; ``process`` names its part (``api``)."""
    logging.basicConfig(level=level, handlers=[EventHandler(process, sys.stderr)], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # What no line shows need not be found out for each (Python's logging, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - the documented switch
