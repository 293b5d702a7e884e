"""When certificates that callers bring expire."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from engine.certificates import expiry_ms
from tests.apple import push_certificate

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
