"""Reads certificates that callers bring, and makes them known to TLS."""

from __future__ import annotations

import base64
import secrets
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from engine.ports import CertificateRefused, TransportError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from engine.ports import ClientCertificate


# TypeError: the key has a password.
_UNUSABLE: Final = (
    ValueError,
    TypeError,
    ssl.SSLError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
)


def expiry_ms(encoded: str) -> int | None:
    """When a certificate, base64 of PEM or DER, expires; None for what is no certificate."""
    try:
        raw = base64.b64decode("".join(encoded.split()), validate=True)
        certificate = _chain(raw)[0]
    except (ValueError, x509.InvalidVersion):
        return None
    return int(certificate.not_valid_after_utc.timestamp()) * 1000


def client_tls(certificate: ClientCertificate) -> ssl.SSLContext:
    """TLS of a client that shows this certificate; raises `CertificateRefused` if it cannot.

    And `TransportError` where files can neither be read nor written.

    It takes milliseconds and reads files: not for an event loop. Python's TLS takes keys from
    files alone, so one is written, encrypted with a password that nobody keeps: what a crash
    may leave on the disk tells nothing.
    """
    password = secrets.token_hex(32)
    try:
        context = ssl.create_default_context(cafile=certificate.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        sealed = _key(certificate.key).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in _chain(certificate.chain))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.pem"
            file.write_bytes(sealed + chain)
            context.load_cert_chain(file, password=password)
    except _UNUSABLE as error:
        raise CertificateRefused("certificate and key cannot be used") from error
    except OSError as error:
        raise TransportError("no file for certificate and key") from error
    return context


def _chain(raw: bytes) -> list[x509.Certificate]:
    """One certificate or more, of PEM or DER; ValueError if it is none."""
    # What OpenSSL takes out of a .p12 has words before the certificate.
    if b"-----BEGIN" in raw:
        return x509.load_pem_x509_certificates(raw)
    return [x509.load_der_x509_certificate(raw)]


def _key(raw: bytes) -> PrivateKeyTypes:
    if b"-----BEGIN" in raw:
        return load_pem_private_key(raw, None)
    return load_der_private_key(raw, None)
