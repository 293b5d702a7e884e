"""Who may use a data directory, and what the others are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import data_lock
from engine.data_lock import DataLock
from engine.errors import ConfigurationError


def test_a_held_directory_is_refused_by_its_holders_name(tmp_path: Path) -> None:
    """A second hold, even by the same process, is refused; a released one is free."""
    lock = DataLock.acquire(tmp_path)
    with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()};"):
        DataLock.acquire(tmp_path)
    lock.release()
    DataLock.acquire(tmp_path).release()


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """A new data directory and its lock are closed to everybody else."""
    lock = DataLock.acquire(tmp_path / "a" / "b")
    assert lock.directory.stat().st_mode & 0o077 == 0
    assert (lock.directory / "lock").stat().st_mode & 0o077 == 0
    lock.release()


@pytest.mark.parametrize("record", [b"", b"nonsense", b'{"pid": 1, "other": 2}', b"[1]"])
def test_an_unreadable_record_of_a_free_directory_does_not_matter(
    tmp_path: Path, record: bytes
) -> None:
    """The lock decides; the record only explains."""
    (tmp_path / "lock").write_bytes(record)
    lock = DataLock.acquire(tmp_path)
    assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()
    lock.release()


def test_a_stale_record_harms_no_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded ids that now belong to other processes are neither believed nor killed."""
    monkeypatch.setattr(data_lock, "_PATIENCE_SECONDS", 0.1)
    stranger = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    lock = DataLock.acquire(tmp_path)
    lock.record(stranger.pid)
    record = json.loads((tmp_path / "lock").read_bytes()) | {"pid": stranger.pid}
    (tmp_path / "lock").write_text(json.dumps(record))
    try:
        with pytest.raises(ConfigurationError, match="or one that it started"):
            DataLock.acquire(tmp_path)
        assert stranger.poll() is None
    finally:
        lock.release()
        stranger.kill()
        stranger.wait()


def test_a_killed_holder_leaves_the_directory_free(tmp_path: Path) -> None:
    """SIGKILL of a holder without a database frees the directory at once."""
    program = (
        "import sys; from pathlib import Path; from engine.data_lock import DataLock;"
        " DataLock.acquire(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(ConfigurationError, match=f"process {holder.pid};"):
        DataLock.acquire(tmp_path)
    holder.kill()
    holder.communicate()
    DataLock.acquire(tmp_path).release()


def test_a_place_that_cannot_be_a_directory_is_one_sentence(tmp_path: Path) -> None:
    """A file in the directory's place is said so."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file cannot be used: File exists\."):
        DataLock.acquire(tmp_path / "file")
