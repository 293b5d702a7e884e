"""The command line, and what it gives to the processes it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.environment import environment
from benchmarks.service import settings


def test_list_names_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    """``--list`` says what there is, in one line each."""
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line.split()[0] for line in lines}
    first = {"idle", "latency", "commands", "listing", "cpu", "publish"}
    assert names == first | {"speed", "memory", "isolation", "email", "email_memory"}


def test_unknown_suite_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown suite is named, with those there are; exit status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["fast"])
    assert ended.value.code == 2
    assert "'fast'" in capsys.readouterr().err


def test_processes_get_only_the_benchmarks_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller has set for Tocsin does not reach what is measured."""
    monkeypatch.setenv("TOCSIN_DURABILITY", "memory")
    variables = environment(drain_seconds="7")
    assert "TOCSIN_DURABILITY" not in variables
    assert variables["TOCSIN_DRAIN_SECONDS"] == "7"
    assert variables["TOCSIN_ALLOW_ENDPOINTS"] == "127.0.0.0/8"


def test_this_process_has_the_same_settings(tmp_path: Path) -> None:
    """The library in the benchmark reads the settings that its processes read."""
    found = settings(tmp_path, in_flight="77")
    assert (found.in_flight, found.quota_subscriptions) == (77, 1_000_000)
    assert found.data == tmp_path / "data"
