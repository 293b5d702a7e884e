import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli import app

COMMANDS = ["serve", "api", "worker", "demo", "outbox", "send", "audit", "logs", "version"]
NESTED = ["list", "redrive", "drop"]
IAM = {
    "domain": ["create", "list", "enable", "disable", "restrict", "suspend", "delete"],
    "project": ["create", "list", "enable", "disable", "delete"],
    "user": ["create", "list", "password", "mfa", "enable", "disable", "delete"],
    "key": ["create", "list", "enable", "disable", "delete"],
    "group": ["create", "list", "add", "remove", "delete"],
    "agency": ["create", "list", "delete"],
    "policy": ["create", "list", "delete"],
}
PATHS = [
    *([group] for group in ("dead", "iam", "key")),
    *(["iam", noun] for noun in IAM),
    *([command] for command in COMMANDS),
    *(["dead", command] for command in NESTED),
    *(["iam", command] for command in ("grant", "revoke", "grants")),
    *(["iam", noun, verb] for noun, verbs in IAM.items() for verb in verbs),
]
KEY = ["create", "list", "disable", "enable", "schedule-deletion", "cancel-deletion"]
PATHS += [["key", command] for command in KEY]


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, prog_name="tocsin")
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_shows_an_example(path: list[str]) -> None:
    """``--help`` explains each command with an example that begins with the command itself."""
    status, out, _ = _run(*path, "--help")
    assert status == 0
    assert f"Example: tocsin {' '.join(path)}" in out


@pytest.mark.parametrize("command", ["serve", "worker", "outbox"])
def test_help_says_that_sms_is_a_stub(command: str) -> None:
    """Nobody should wait for a short message that only went to the outbox."""
    assert "SMS is a stub" in _run(command, "--help")[1].replace("\n  ", " ")


@pytest.mark.parametrize(("command", "default"), [("serve", "embedded"), ("api", "none: it has")])
def test_help_names_one_default(command: str, default: str) -> None:
    """No embedded server for whoever brings a database."""
    shown = " ".join(_run(command, "--help")[1].split())
    assert f"URL of a Redis or Valkey [env: TOCSIN_REDIS] [default: {default}" in shown


def test_version_is_printed_for_people_and_programs() -> None:
    """``version`` prints the version, as ``--version`` does, and ``--json`` as an object."""
    assert _run("--version") == _run("version")
    assert _run("version")[1].startswith("tocsin ")
    assert "version" in json.loads(_run("version", "--json")[1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["serve", "--durability", "hope"],
        ["serve", "--port", "many"],
        ["dead", "redrive"],
        ["dead", "drop", "--all", "--topic", "urn:smn:region01:p:t"],
        ["iam", "grant", "SMN FullAccess"],
        ["iam", "grant", "SMN FullAccess", "--user", "a", "--group", "b"],
        ["iam", "key", "create"],
        ["iam", "policy", "create", "mine", "/nonexistent/policy.json"],
        ["audit", "--since", "yesterday"],
        ["audit", "--rating", "good"],
        ["logs"],
        ["logs", "orders", "--since", "yesterday"],
        ["logs", "orders", "--status", "good"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """Wrong usage ends with status 2 and says why on standard error."""
    status, out, err = _run(*arguments)
    assert status == 2
    assert out == ""
    assert "Error: " in err


@pytest.mark.parametrize(
    ("arguments", "variables", "word"),
    [
        (["serve"], {"TOCSIN_PORT": "70000"}, "port"),
        (["serve"], {"TOCSIN_RETRY_DELAYS": "5,-1"}, "retry_delays"),
        (["serve", "--config", "missing.toml"], {}, "missing.toml"),
        (["serve", "--config", "broken.toml"], {}, "broken.toml cannot be read"),
        (["serve", "--config", "unknown.toml"], {}, "'bogus': there is no setting of this name"),
        (["serve", "--allow-endpoints", "everything"], {}, "'allow_endpoints': '"),
        (["api"], {}, "--redis"),
        (["worker"], {}, "--redis"),
        (["outbox"], {}, "No service runs on"),
        (["dead", "list"], {}, "No service runs on"),
        (["iam", "user", "list"], {}, "No service runs on"),
        (["audit"], {}, "No service runs on"),
        (["logs", "orders"], {}, "No service runs on"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_configuration_exits_2_with_one_sentence(
    arguments: list[str],
    variables: dict[str, str],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A configuration that cannot work is one line on standard error, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.toml").write_text("port: 80")
    (tmp_path / "unknown.toml").write_text("bogus = 1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    status, out, err = _run(*arguments)
    assert status == 2
    assert out == ""
    assert word in err
    assert len(err.splitlines()) == 1


def test_the_module_is_the_command() -> None:
    """``python -m engine`` is ``tocsin``."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tocsin ")
