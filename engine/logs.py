"""How a process writes its log: one line an event on standard error.

    2026-11-23T16:31:00.123Z INFO api[4242] message.accepted topic=news pages=40

The message is the event's dotted name, its fields come by ``extra``. Values with spaces,
quotes or line breaks are JSON strings, so an event is always one line. A library configures
nothing: only the command line calls `configure`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN: Final = re.compile(r"[\w.,:;/@+*%\[\]()<>-]+", re.ASCII)


class EventFormatter(logging.Formatter):
    """Formats a record as ``time level process event key=value …``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = f"{process}[{os.getpid()}]"

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the record holds."""
        seconds, fraction = divmod(record.created, 1)
        time = f"{_second(int(seconds))}.{int(fraction * 1000):03d}Z"
        event = _one_line(record.getMessage())
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        words = [time, record.levelname, self._process, event]
        words += [f"{name}={_value(value)}" for name, value in fields.items()]
        return " ".join(words)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """A busy process writes thousands of lines in the same one."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def _value(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def configure(process: str, level: int = logging.INFO) -> None:
    """Send the log of this process to standard error; ``process`` names its part (``api``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # What no line shows need not be found out for each (Python's logging, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - the documented switch
