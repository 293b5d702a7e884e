import asyncio
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.logs import EventHandler, note


def _format(message: str, **fields: object) -> str:
    stream = io.StringIO()
    record = logging.makeLogRecord(
        {"msg": message, "levelname": "INFO", "created": 1_764_000_000.1234, **fields}
    )
    EventHandler("api", stream).emit(record)
    return stream.getvalue().removesuffix("\n")


@contextmanager
def _only(handler: logging.Handler) -> Iterator[None]:
    """Let this handler be the only one that the root logger has."""
    root = logging.root
    before, root.handlers = root.handlers, [handler]
    try:
        yield
    finally:
        root.handlers = before


def test_fields_follow_the_event() -> None:
    """An event is its time, level, process, dotted name and fields, in that order."""
    line = _format("message.accepted", topic="news", pages=40)
    time, level, process, event, *fields = line.split()
    assert time == "2025-11-24T16:00:00.123Z"
    assert level == "INFO"
    assert process.startswith("api[")
    assert event == "message.accepted"
    assert fields == ["topic=news", "pages=40"]


def test_values_cannot_break_the_line() -> None:
    """A value with a line break stays inside its quotes, so nobody can forge an event."""
    line = _format("x.y", answer='bad\n2026 INFO api[1] forged "yes"')
    assert "\n" not in line
    assert line.endswith(r'answer="bad\n2026 INFO api[1] forged \"yes\""')


def test_messages_of_other_libraries_cannot_break_the_line() -> None:
    """A message with a line break is quoted like a value."""
    assert "\n" not in _format("two\nlines")


def test_an_exception_is_one_line_too() -> None:
    """An exception is shown with its traceback, without a line break."""
    with pytest.raises(ValueError, match="broken") as caught:
        int("broken")
    line = _format("job.failed", exc_info=(caught.type, caught.value, caught.tb))
    assert "error=" in line
    assert "traceback=" in line
    assert "\n" not in line


@pytest.mark.parametrize("others", [False, True])
async def test_a_frequent_event_is_written_like_any_other(others: bool) -> None:
    """Whether or not somebody else listens."""
    stream = io.StringIO()
    logger = logging.getLogger("test.frequent")
    logger.setLevel(logging.INFO)
    seen = logging.NullHandler()
    if others:
        logger.addHandler(seen)
    with _only(EventHandler("api", stream)):
        note(logger, "request.answered", {"status": 200, "path": "/a b"})
        await asyncio.sleep(0)
    logger.removeHandler(seen)
    assert stream.getvalue().endswith('request.answered status=200 path="/a b"\n')


async def test_events_of_one_turn_are_written_together() -> None:
    """Thousands of lines a second cost few calls, and none is written late."""
    stream = io.StringIO()
    handler = EventHandler("api", stream)
    for number in range(3):
        handler.write(0.0, "INFO", f"event.{number}", {})
    assert stream.getvalue() == ""
    await asyncio.sleep(0)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == [
        "event.0",
        "event.1",
        "event.2",
    ]


async def test_a_warning_is_written_at_once() -> None:
    """It may be the last thing that a process says."""
    stream = io.StringIO()
    EventHandler("api", stream).handle(
        logging.makeLogRecord({"msg": "going.down", "levelname": "WARNING", "levelno": 30})
    )
    assert "going.down" in stream.getvalue()


def test_a_quiet_logger_writes_nothing() -> None:
    """The level counts for frequent events, too."""
    stream = io.StringIO()
    logger = logging.getLogger("test.quiet")
    logger.setLevel(logging.WARNING)
    with _only(EventHandler("api", stream)):
        note(logger, "request.answered", {})
    assert stream.getvalue() == ""
