import logging

import pytest

from engine.logs import EventFormatter


def _format(message: str, **fields: object) -> str:
    record = logging.makeLogRecord(
        {"msg": message, "levelname": "INFO", "created": 1_764_000_000.1234, **fields}
    )
    return EventFormatter("api").format(record)


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
