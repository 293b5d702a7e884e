"""The vault keeps secrets that Redis must not be able to read."""

import base64
import stat
import threading
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, StoreUnfit
from engine.vault import Vault

KEY = bytes(range(32))


def test_decrypts_what_it_encrypted() -> None:
    """Any text comes back unchanged."""
    vault = Vault(KEY)
    for text in ("", "secret", "密钥\n\x00", "x" * 10_000):
        assert vault.decrypt(vault.encrypt(text, "record:1"), "record:1") == text


def test_same_text_encrypts_differently() -> None:
    """Whoever reads Redis cannot see that two secrets are equal."""
    vault = Vault(KEY)
    assert vault.encrypt("secret", "a") != vault.encrypt("secret", "a")


def test_ciphertext_belongs_to_its_context() -> None:
    """A secret copied into another record does not decrypt there."""
    vault = Vault(KEY)
    with pytest.raises(StoreUnfit):
        vault.decrypt(vault.encrypt("secret", "user:1"), "user:2")


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: "",
        lambda token: "v2." + token[3:],
        lambda token: token[:-4],
        lambda token: token[:10] + ("A" if token[10] != "A" else "B") + token[11:],
        lambda token: "v1.",
        lambda token: "v1.not base64!",
        lambda token: "v1.ü",
    ],
)
def test_damaged_ciphertext_is_an_error_of_the_data_set(damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A ciphertext that was changed is refused, never half decrypted."""
    vault = Vault(KEY)
    with pytest.raises(StoreUnfit):
        vault.decrypt(damage(vault.encrypt("secret", "a")), "a")


def test_another_key_cannot_decrypt() -> None:
    """Redis's content alone, or with another key, tells nothing."""
    with pytest.raises(StoreUnfit):
        Vault(bytes(32)).decrypt(Vault(KEY).encrypt("secret", "a"), "a")


def test_purposes_are_separate() -> None:
    """A hash or a MAC made for one purpose is worth nothing for another."""
    vault = Vault(KEY)
    assert vault.mac(b"x", "one") != vault.mac(b"x", "two")
    assert vault.keyed_hash("x", "one") != vault.keyed_hash("x", "two")


def test_hashes_are_stable_and_sized() -> None:
    """What is found by its hash today is found by it after a restart."""
    assert Vault(KEY).keyed_hash("x", "find") == Vault(KEY).keyed_hash("x", "find")
    assert len(Vault(KEY).keyed_hash("x", "find")) == 32
    assert len(Vault(KEY).mac(b"x", "check")) == 32


def test_fingerprint_tells_keys_apart() -> None:
    """The fingerprint names the key without giving it away."""
    assert Vault(KEY).fingerprint == Vault(KEY).fingerprint
    assert Vault(KEY).fingerprint != Vault(bytes(32)).fingerprint
    assert KEY.hex()[:16] not in Vault(KEY).fingerprint


def test_key_file_is_made_once(tmp_path: Path) -> None:
    """The first start makes the key, later ones read it."""
    path = tmp_path / "master.key"
    first = Vault.open(path, create=True)
    assert Vault.open(path, create=True).fingerprint == first.fingerprint
    assert Vault.open(path, create=False).fingerprint == first.fingerprint


def test_key_file_is_private_and_base64(tmp_path: Path) -> None:
    """Only its owner can read it; it is text of 32 bytes; nothing else is left behind."""
    path = tmp_path / "master.key"
    Vault.open(path, create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.b64decode(path.read_text())) == 32
    assert list(tmp_path.iterdir()) == [path]


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    """Processes that make the key at the same moment all end with the same one."""
    path = tmp_path / "master.key"
    found: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(Vault.open(path, create=True).fingerprint)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that other users can read protects nothing, and the sentence says what to do."""
    path = tmp_path / "master.key"
    Vault.open(path, create=True)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Vault.open(path, create=True)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"!" * 44, base64.b64encode(b"x" * 31), b"A" * 5000, b"\xff" * 44]
)
def test_malformed_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """A damaged key is never replaced by a new one: that would lose every secret."""
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        Vault.open(path, create=True)
    assert path.read_bytes() == content


def test_missing_key_is_one_sentence(tmp_path: Path) -> None:
    """Without leave to create, a missing key is the operator's fault and named."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        Vault.open(tmp_path / "master.key", create=False)


def test_a_fresh_key_brings_its_directory(tmp_path: Path) -> None:
    """The first process on a new data directory makes it, for its owner alone."""
    path = tmp_path / "new" / "data" / "master.key"
    assert Vault.open(path, create=True).fingerprint == Vault.open(path, create=False).fingerprint
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_directory_is_not_a_key(tmp_path: Path) -> None:
    """What is there but is no file is named, too."""
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Vault.open(tmp_path, create=True)
