"""Passcodes: which are right, and when."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.iam.passcodes import new_secret, provisioning_uri, step_of

# RFC 6238, appendix B: SHA-1, the last six of its eight digits.
SECRET = base64.b32encode(b"12345678901234567890")
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}


@pytest.mark.parametrize("now_s", VECTORS)
def test_passcodes_are_those_of_the_standard(now_s: int) -> None:
    """Every example of RFC 6238 is right, and tells its step."""
    assert step_of(SECRET, VECTORS[now_s], now_s * 1000 + 999) == now_s // 30


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_a_step_off(steps: int, right: bool) -> None:
    """Either way; the step is the passcode's own."""
    now_ms = (1234567890 + 30 * steps) * 1000
    assert step_of(SECRET, VECTORS[1234567890], now_ms) == (1234567890 // 30 if right else None)


@pytest.mark.parametrize("text", ["", "5924", "005924 ", "0059240", "٠٠٥٩٢٤", "\ud800", "005925"])
def test_anything_else_is_wrong(text: str) -> None:
    """Shorter, longer, other digits, no text at all: never an error."""
    assert step_of(SECRET, text, 1234567890_000) is None


def test_an_authenticator_app_takes_the_uri() -> None:
    """Secret, issuer, digits and period stand in it; no two secrets are the same."""
    secret = new_secret()
    assert secret != new_secret()
    assert len(base64.b32decode(secret)) == 20
    uri = urlsplit(provisioning_uri(secret, "alice@acme"))
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/Tocsin:alice%40acme")
    assert parse_qs(uri.query) == {
        "secret": [secret],
        "issuer": ["Tocsin"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
