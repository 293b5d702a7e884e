"""Reading MONITOR."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.monitor import Command, Counts, known_scripts, parse

ROOT = Path(__file__).parents[3]


def test_commands_of_clients_and_of_scripts() -> None:
    """A line marked ``lua`` is inside a script, whatever kind of client the others came from."""
    tcp = '+1795452255.8 [0 127.0.0.1:5] "HGET" "a" "b"\r\n'
    assert parse(tcp, {}) == Command("hget", inside_script=False)
    unix = '+1795452255.803630 [0 unix:/tmp/a b/s] "info" "stats"\r\n'
    assert parse(unix, {}) == Command("info", inside_script=False)
    assert parse('+1795452255.8 [0 lua] "SET" "a" "1"\r\n', {}) == Command(
        "set", inside_script=True
    )


def test_scripts_are_named() -> None:
    """EVALSHA is told apart by script; an unknown one by the start of its digest."""
    line = '+1.5 [0 1.2.3.4:1] "EVALSHA" "abcdef0123456789" "1" "k"\r\n'
    assert parse(line, {"abcdef0123456789": "settle"}) == Command("evalsha:settle", False)
    assert parse(line, {}) == Command("evalsha:abcdef01", False)


def test_other_lines_are_no_commands() -> None:
    """The acknowledgement of MONITOR is not counted."""
    assert parse("+OK\r\n", {}) is None


def test_every_script_of_the_engine_is_known() -> None:
    """The digest is the one Redis makes of the script's text."""
    text = (ROOT / "engine/pipeline/settle.lua").read_bytes()
    assert known_scripts()[hashlib.sha1(text).hexdigest()] == "settle"


def test_counts_start_again() -> None:
    """After a reset only what follows counts."""
    counts = Counts()
    counts.add(Command("get", inside_script=False))
    counts.add(Command("set", inside_script=True))
    assert (counts.sent.total(), counts.inside.total()) == (1, 1)
    counts.reset()
    assert (counts.sent.total(), counts.inside.total()) == (0, 0)
