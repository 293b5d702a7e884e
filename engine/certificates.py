"""Reads certificates that callers bring."""

from __future__ import annotations

import base64

from cryptography import x509


def expiry_ms(encoded: str) -> int | None:
    """When a certificate, base64 of PEM or DER, expires; None for what is no certificate."""
    try:
        raw = base64.b64decode("".join(encoded.split()), validate=True)
        if raw.lstrip().startswith(b"-----BEGIN"):
            certificate = x509.load_pem_x509_certificate(raw)
        else:
            certificate = x509.load_der_x509_certificate(raw)
    except ValueError:
        return None
    return int(certificate.not_valid_after_utc.timestamp()) * 1000
