"""Encrypted content opens with its key, in its place, unchanged; or not at all."""

import uuid

import pytest

from engine.errors import StoreError
from engine.sealing import MATERIAL_BYTES, seal, sealed_by, unseal

KEY_ID = str(uuid.UUID(int=7))
MATERIAL = bytes(range(MATERIAL_BYTES))


@pytest.mark.parametrize("plain", [b"", b"x", "密钥\n\x00".encode(), b"x" * 300_000])
def test_opens_what_it_sealed(plain: bytes) -> None:
    """Any content comes back unchanged."""
    assert unseal(MATERIAL, seal(KEY_ID, MATERIAL, plain, "here"), "here") == plain


def test_sealed_content_names_its_key_and_nothing_else() -> None:
    """A reader learns which key it needs; the content does not show, nor that two are equal."""
    sealed = seal(KEY_ID, MATERIAL, b"secret", "here")
    assert sealed_by(sealed) == KEY_ID
    assert b"secret" not in sealed
    assert sealed != seal(KEY_ID, MATERIAL, b"secret", "here")


@pytest.mark.parametrize("plain", [b"", b"[1,2]", b"sealed", b"sealed:2:x"])
def test_plain_content_names_no_key(plain: bytes) -> None:
    """What was stored without a key is told apart."""
    assert sealed_by(plain) == ""


def test_content_belongs_to_its_place_and_key() -> None:
    """Copied to another message, or said to be of another key, it does not open."""
    sealed = seal(KEY_ID, MATERIAL, b"secret", "here")
    other_id = str(uuid.UUID(int=8)).encode()
    for stored, material, context in (
        (sealed, MATERIAL, "there"),
        (sealed, bytes(MATERIAL_BYTES), "here"),
        (sealed.replace(KEY_ID.encode(), other_id), MATERIAL, "here"),
    ):
        with pytest.raises(StoreError):
            unseal(material, stored, context)


@pytest.mark.parametrize("cut", [0, 9, 46, 50, 62, 70, 80])
def test_damaged_content_does_not_open(cut: int) -> None:
    """Cut short or changed anywhere, it is refused, never half opened."""
    sealed = seal(KEY_ID, MATERIAL, b"a secret that is long enough", "here")
    changed = bytearray(sealed)
    changed[cut] ^= 1
    for stored in (sealed[:cut], bytes(changed)):
        with pytest.raises(StoreError):
            unseal(MATERIAL, stored, "here")
