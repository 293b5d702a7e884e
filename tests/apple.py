"""Push certificates as Apple gives them to applications, but for who signs them."""

from __future__ import annotations

import base64
import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def push_certificate(
    expires: dt.datetime, encoding: Encoding = Encoding.PEM, bundle: str = "com.example.shop"
) -> tuple[str, str]:
    """Certificate and key as an application is created with them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, bundle),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Apple Push Services: {bundle}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(expires - dt.timedelta(days=365))
        .not_valid_after(expires)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
    return _base64(certificate.public_bytes(encoding)), _base64(secret)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
