"""Certificates that callers bring: when they expire, and how TLS gets them."""

from __future__ import annotations

import base64
import datetime as dt
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.certificates import client_tls, expiry_ms
from engine.ports import CertificateRefused, ClientCertificate
from tests.apple import client_certificate, push_certificate

EXPIRES = dt.datetime(2027, 10, 16, 7, 45, 16, tzinfo=dt.UTC)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_certificate_says_when_it_expires(encoding: Encoding) -> None:
    """In either form, also where its base64 has line breaks."""
    certificate, _ = push_certificate(EXPIRES, encoding)
    assert expiry_ms(certificate) == EXPIRES.timestamp() * 1000
    assert expiry_ms(f"{certificate[:64]}\n{certificate[64:]}\n") == EXPIRES.timestamp() * 1000


def test_what_is_no_certificate_does_not_expire() -> None:
    """A key, an App ID, nothing."""
    _, key = push_certificate(EXPIRES)
    for text in (key, "100200300", "", "-----BEGIN CERTIFICATE-----"):
        assert expiry_ms(text) is None


@given(st.binary(max_size=200), st.booleans())
def test_anything_is_a_certificate_or_none(raw: bytes, pem: bool) -> None:
    """It is a caller's: nothing in it is an error of ours."""
    whole = b"-----BEGIN CERTIFICATE-----\n" + raw if pem else raw
    assert expiry_ms(base64.b64encode(whole).decode()) is None


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_key_is_on_the_disk_for_a_moment_and_encrypted(
    encoding: Encoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS takes keys from files alone; a crash must leave none that anybody can read."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written: list[bytes] = []
    write = Path.write_bytes

    def note(path: Path, data: bytes) -> int:
        written.append(data)
        assert path.is_relative_to(tmp_path)
        assert path.parent.stat().st_mode & 0o077 == 0
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", note)
    client_tls(client_certificate(given=push_certificate(encoding=encoding)))
    (data,) = written
    assert data.count(b"PRIVATE KEY") == data.count(b"ENCRYPTED PRIVATE KEY") == 2
    assert list(tmp_path.iterdir()) == []


def test_what_tls_cannot_use_is_refused() -> None:
    """Another's key, one with a password, none at all: one error for all."""
    good = client_certificate()
    chain, key, other = good.chain, good.key, client_certificate().key
    sealed = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    for bad in ((chain, other), (chain, sealed), (chain, b"key"), (b"", key), (key, chain)):
        with pytest.raises(CertificateRefused, match="cannot be used"):
            client_tls(ClientCertificate(*bad))
