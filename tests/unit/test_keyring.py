"""The key ring: in one file, whole or not there, the same for every process of a machine."""

import json
import multiprocessing
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, KeyGone, TocsinError
from engine.keyring import DAY_MS, Keyring
from engine.keyring_file import KeyringFile, KeyState
from engine.vault import Vault

VAULT = Vault(bytes(range(32)))
SPAWN = multiprocessing.get_context("spawn")


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """A time to begin with."""
    return Clock()


@pytest.fixture
def ring(tmp_path: Path, clock: Clock) -> Keyring:
    """An empty ring."""
    return Keyring.open(tmp_path, VAULT, clock)


def test_keys_are_kept(ring: Keyring, tmp_path: Path) -> None:
    """The next process finds what this one made, and opens what it sealed."""
    made = [ring.create("orders"), ring.create("alarms")]
    sealed = ring.seal(made[0].id, b"secret", "here")
    other = Keyring.open(tmp_path, VAULT)
    assert {key.id for key in other.all_keys()} == {key.id for key in made}
    assert other.unseal(sealed, "here") == b"secret"


def test_the_file_is_private_and_tells_nothing(ring: Keyring, tmp_path: Path) -> None:
    """Only its owner reads it, and without the master key it shows neither keys nor aliases."""
    key = ring.create("orders")
    path = tmp_path / "keyring"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    raw = path.read_bytes()
    assert key.material not in raw
    assert b"orders" not in raw
    assert key.id.encode() not in raw
    assert {entry.name for entry in tmp_path.iterdir()} == {"keyring", "keyring.lock"}
    assert repr(key.material) not in repr(key)


def test_states_follow_each_other(ring: Keyring, clock: Clock) -> None:
    """Disable, enable, schedule, cancel: a cancelled deletion leaves the key disabled."""
    key = ring.create("orders")
    assert ring.disable("orders").state is KeyState.DISABLED
    assert ring.enable(key.id).state is KeyState.ENABLED
    assert ring.schedule_deletion(key.id, 7).delete_ms == clock.ms + 7 * DAY_MS
    assert ring.state(key.id) is KeyState.PENDING_DELETION
    cancelled = ring.cancel_deletion(key.id)
    assert (cancelled.state, cancelled.delete_ms) == (KeyState.DISABLED, 0)


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ("create", ("enable", "cancel_deletion")),
        ("disable", ("disable", "cancel_deletion")),
        ("schedule", ("disable", "enable", "schedule")),
        ("delete", ("disable", "enable", "schedule", "cancel_deletion")),
    ],
)
def test_what_a_state_does_not_allow_is_refused(
    ring: Keyring, before: str, refused: tuple[str, ...]
) -> None:
    """A wrong step is said in one sentence and changes nothing."""
    key = ring.create("orders")
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: None,
        "disable": lambda: ring.disable(key.id),
        "enable": lambda: ring.enable(key.id),
        "schedule": lambda: ring.schedule_deletion(key.id, 7),
        "delete": lambda: ring.schedule_deletion(key.id, 0),
        "cancel_deletion": lambda: ring.cancel_deletion(key.id),
    }
    steps[before]()
    known = ring.all_keys()
    for step in refused:
        with pytest.raises(TocsinError, match=key.id):
            steps[step]()
        assert ring.all_keys() == known


def test_an_alias_names_one_key(ring: Keyring) -> None:
    """A taken or malformed alias is refused; that of a deleted key is free again."""
    first = ring.create("orders")
    with pytest.raises(TocsinError, match=first.id):
        ring.create("orders")
    for alias in ("", "a b", "ä", "a" * 256):
        with pytest.raises(ConfigurationError):
            ring.create(alias)
    ring.schedule_deletion("orders", 0)
    second = ring.create("orders")
    assert ring.disable("orders").id == second.id
    with pytest.raises(TocsinError, match="no key nobody"):
        ring.disable("nobody")


def test_material_is_destroyed_when_its_date_has_passed(
    ring: Keyring, clock: Clock, tmp_path: Path
) -> None:
    """Until then content opens; from then on nowhere, and the file does not hold it any more."""
    key = ring.create("orders")
    sealed = ring.seal(key.id, b"secret", "here")
    ring.schedule_deletion(key.id, 7)
    clock.ms += 7 * DAY_MS - 1
    assert ring.unseal(sealed, "here") == b"secret"
    clock.ms += 1
    assert ring.state(key.id) is KeyState.DELETED
    with pytest.raises(KeyGone, match="is deleted"):
        ring.unseal(sealed, "here")
    ring.look()
    (kept,) = KeyringFile(tmp_path, VAULT).read()[0].values()
    assert (kept.state, kept.material) == (KeyState.DELETED, b"")


def test_a_scheduled_time_is_within_bounds(ring: Keyring) -> None:
    """0 to 1096 days."""
    key = ring.create("orders")
    for days in (-1, 1097):
        with pytest.raises(ConfigurationError, match="1096"):
            ring.schedule_deletion(key.id, days)


def test_an_unknown_key_counts_as_deleted(ring: Keyring) -> None:
    """Its content does not open here, and the reason names the ring."""
    with pytest.raises(KeyGone, match="is not in the key ring"):
        ring.seal("0" * 36, b"", "")
    assert ring.state("0" * 36) is KeyState.DELETED


def test_texts_are_concealed_and_revealed(ring: Keyring) -> None:
    """A concealed text comes back, a plain one too; without the key it says so."""
    key = ring.create("orders")
    hidden = ring.conceal(key.id, "it said: secret", "here")
    assert "secret" not in hidden
    assert ring.reveal(hidden, "here") == "it said: secret"
    for plain in ("", "hello", "sealed text:", "sealed text:AAAA", hidden[:-8]):
        assert ring.reveal(plain, "here") == plain
    ring.schedule_deletion(key.id, 0)
    assert "gone" in ring.reveal(hidden, "here")
    assert "secret" not in ring.conceal(key.id, "it said: secret", "here")


async def test_a_change_is_seen_within_a_second(
    ring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process's change shows at the next use, and looking is bounded."""
    key = ring.create("orders")
    other = Keyring.open(tmp_path, VAULT)
    now = [100.0]
    monkeypatch.setattr("engine.keyring.time.monotonic", lambda: now[0])
    await other.fresh()
    ring.disable(key.id)
    await other.fresh()
    assert other.state(key.id) is KeyState.ENABLED
    now[0] += 0.5
    await other.fresh()
    assert other.state(key.id) is KeyState.DISABLED
    # One that is not known is looked for at once.
    assert await other.fresh_for(ring.create("new").id) is KeyState.ENABLED


@pytest.mark.parametrize("damage", ["gone", "cut", "rubbish", "open"])
async def test_a_file_that_is_damaged_later_stops_nobody(
    ring: Keyring, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A running process goes on with what it knows, and says what is wrong."""
    key = ring.create("orders")
    path = tmp_path / "keyring"
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:40])
    elif damage == "rubbish":
        path.write_bytes(b"\xff" * 100)
    else:
        path.write_bytes(path.read_bytes())
        path.chmod(0o640)
    await ring.fresh(at_once=True)
    assert ring.state(key.id) is KeyState.ENABLED
    assert "keyring.unreadable" in caplog.text


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"\xff\xfe", b'{"version": 1}', b"7"],
)
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, raw: bytes) -> None:
    """A ring that cannot be read is one sentence, and is never replaced by an empty one."""
    path = tmp_path / "keyring"
    path.write_bytes(raw)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="is damaged"):
        Keyring.open(tmp_path, VAULT)
    with pytest.raises(ConfigurationError, match="is damaged"):
        Keyring(KeyringFile(tmp_path, VAULT)).create("new")
    assert path.read_bytes() == raw


def test_another_master_key_is_named(ring: Keyring, tmp_path: Path) -> None:
    """The wrong master key is told apart from damage."""
    ring.create("orders")
    with pytest.raises(ConfigurationError, match="another master key"):
        Keyring.open(tmp_path, Vault(bytes(32)))


def test_a_changed_ring_is_damaged(ring: Keyring, tmp_path: Path) -> None:
    """Nobody without the master key can put a ring together."""
    ring.create("orders")
    path = tmp_path / "keyring"
    record = json.loads(path.read_text())
    record["ring"] = record["ring"][:-8] + "AAAAAAA="
    path.write_text(json.dumps(record))
    with pytest.raises(ConfigurationError, match="is damaged"):
        Keyring.open(tmp_path, VAULT)


def test_a_write_that_fails_leaves_the_old_ring(
    ring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is one sentence; what was there is there, and nothing else is left."""
    key = ring.create("orders")
    full = OSError(28, "No space left on device")

    def fail(_: int) -> None:
        raise full

    monkeypatch.setattr("engine.keyring_file.os.fsync", fail)
    with pytest.raises(ConfigurationError, match="No space left"):
        ring.disable(key.id)
    assert Keyring.open(tmp_path, VAULT).state(key.id) is KeyState.ENABLED
    assert {entry.name for entry in tmp_path.iterdir()} == {"keyring", "keyring.lock"}


def _die_while_writing(directory: Path) -> None:
    """Be killed between the write of the new file and its rename."""
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,method-assign]
    Keyring.open(directory, VAULT).disable("orders")


def _create_some(directory: Path, name: str) -> None:
    ring = Keyring.open(directory, VAULT)
    for number in range(20):
        ring.create(f"{name}-{number}")


def test_a_writer_that_is_killed_leaves_the_old_ring(ring: Keyring, tmp_path: Path) -> None:
    """Its lock is free, its half is ignored, and the next writer clears it away."""
    key = ring.create("orders")
    killed = SPAWN.Process(target=_die_while_writing, args=(tmp_path,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".keyring.*"))) == 1
    assert Keyring.open(tmp_path, VAULT).state(key.id) is KeyState.ENABLED
    ring.disable(key.id)
    assert list(tmp_path.glob(".keyring.*")) == []


def test_writers_of_two_processes_take_turns(tmp_path: Path) -> None:
    """No key of either is lost, and a reader sees a whole ring at any moment."""
    writers = [SPAWN.Process(target=_create_some, args=(tmp_path, name)) for name in "ab"]
    done = threading.Event()
    seen: list[int] = []

    def watch() -> None:
        while not done.is_set():
            seen.append(len(Keyring.open(tmp_path, VAULT).all_keys()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    watcher.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len({key.alias for key in Keyring.open(tmp_path, VAULT).all_keys()}) == 40
    assert seen == sorted(seen)


def test_a_writer_that_hangs_is_not_waited_for_ever(
    ring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with a sentence; reading needs no lock."""
    key = ring.create("orders")
    monkeypatch.setattr("engine.keyring_file._PATIENCE_S", 0.05)
    with (
        KeyringFile(tmp_path, VAULT).locked(),
        pytest.raises(ConfigurationError, match="being changed by another process"),
    ):
        ring.disable(key.id)
    assert Keyring.open(tmp_path, VAULT).state(key.id) is KeyState.ENABLED
    ring.disable(key.id)
