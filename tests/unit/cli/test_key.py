"""``tocsin key``: every step of a key's life from the command line, without a service."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.vault import Vault


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a master key, as a service leaves it."""
    Vault.open(tmp_path / "master.key", create=True)
    return tmp_path


def _run(data: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["key", *arguments, "--data", str(data)], prog_name="tocsin")
    return result.exit_code, result.stdout, result.stderr


def _json(data: Path, *arguments: str) -> list[dict[str, Any]]:
    status, out, err = _run(data, *arguments, "--json")
    assert status == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_a_keys_whole_life(data: Path) -> None:
    """Created, listed, disabled, enabled, scheduled, kept after all, and destroyed."""
    (made,) = _json(data, "create", "--alias", "orders")
    assert (made["alias"], made["state"], made["deletion"]) == ("orders", "ENABLED", "")
    assert _json(data, "list") == [made]
    key = made["key_id"]
    assert _json(data, "disable", "orders")[0]["state"] == "DISABLED"
    assert _json(data, "enable", key)[0]["state"] == "ENABLED"
    (scheduled,) = _json(data, "schedule-deletion", key)
    assert scheduled["state"] == "PENDING_DELETION"
    assert scheduled["deletion"] > made["created"]
    assert _json(data, "cancel-deletion", key)[0]["state"] == "DISABLED"
    assert _json(data, "schedule-deletion", key, "--days", "0")[0]["state"] == "DELETED"
    assert [found["state"] for found in _json(data, "list")] == ["DELETED"]


def test_people_read_lines(data: Path) -> None:
    """Without --json a key is one line."""
    _run(data, "create", "--alias", "orders")
    assert "ENABLED orders created=" in _run(data, "list")[1]
    assert "PENDING_DELETION orders" in _run(data, "schedule-deletion", "orders")[1]


def test_help_says_that_rings_are_each_machines_own(data: Path) -> None:
    """Whoever runs several machines must know what to copy."""
    help_text = " ".join(CliRunner().invoke(app, ["key", "--help"]).stdout.split())
    assert "on several machines copy DIR/keyring to each" in help_text


def test_a_step_that_cannot_be_done_exits_1(data: Path) -> None:
    """An unknown key, a taken alias, a wrong state: one sentence, status 1."""
    _run(data, "create", "--alias", "orders")
    for arguments, word in (
        (("enable", "orders"), "is ENABLED"),
        (("disable", "nobody"), "no key nobody"),
        (("create", "--alias", "orders"), "already"),
    ):
        status, out, err = _run(data, *arguments)
        assert (status, out) == (1, "")
        assert word in err
        assert len(err.splitlines()) == 1


def test_what_the_operator_must_change_exits_2(data: Path, tmp_path: Path) -> None:
    """The wrong or a missing master key, a damaged ring: one sentence, status 2."""
    _run(data, "create", "--alias", "orders")
    key = data / "master.key"
    mine = key.read_bytes()
    key.unlink()
    assert _one_sentence(data) == f"tocsin: The master key {key} does not exist."
    Vault.open(key, create=True)
    assert "another master key" in _one_sentence(data)
    key.write_bytes(mine)
    (data / "keyring").write_bytes(b"{")
    assert "is damaged" in _one_sentence(data)


def _one_sentence(data: Path) -> str:
    status, out, err = _run(data, "list")
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return str(line)
